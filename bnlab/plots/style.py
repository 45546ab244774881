"""How every figure looks: page widths, fonts, and one fixed colour, dash and marker per arm."""

from __future__ import annotations

import contextlib
import functools
from collections import ChainMap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMN, TEXT, PAGE = 3.25, 5.5, 6.75  # inches: one column, the text of a one-column venue, both columns

FONT = "STIXGeneral"  # comes with matplotlib, so that a figure is the same on every machine
RC = {
    "font.family": FONT,
    "mathtext.fontset": "stix",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.2,
    "axes.formatter.use_locale": False,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,  # TrueType; many submission systems refuse Type 3
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "bnlab",
    "path.simplify": True,
}


@dataclass(frozen=True)
class Look:
    """`dash` is a matplotlib line style. Colours differ in lightness too, for grey print."""

    label: str
    colour: str
    dash: object
    marker: str


LOOKS = {
    "plain": Look("plain", "#c24e00", (0, (4.5, 1.5)), "s"),
    "bn": Look("BN", "#10457e", "-", "o"),
    "bn_noise": Look("BN + noise", "#3aa888", (0, (5, 1.2, 1.2, 1.2)), "^"),
    "plain_noise": Look("plain + noise", "#d9a520", (0, (1.2, 1.2)), "D"),
}
POSITION_LOOKS = {
    "before": Look("before the activation", "#10457e", "-", "o"),
    "after": Look("after the activation", "#c24e00", (0, (4.5, 1.5)), "s"),
}
OPTIMIZER_LOOKS = {
    "sgd": Look("SGD", "#10457e", "-", "o"),
    "momentum": Look("SGD with momentum", "#c24e00", (0, (4.5, 1.5)), "s"),
    "rmsprop": Look("RMSprop", "#3aa888", (0, (5, 1.2, 1.2, 1.2)), "^"),
    "adam": Look("Adam", "#d9a520", (0, (1.2, 1.2)), "D"),
}
RENORM_LOOKS = {
    "renorm": Look("renorm", "#c24e00", (0, (4.5, 1.5)), "s"),
    "bn_by_batch": Look("BN by batch", "#3aa888", (0, (5, 1.2, 1.2, 1.2)), "^"),
    "renorm_by_batch": Look("renorm by batch", "#d9a520", (0, (1.2, 1.2)), "D"),
}
COMPARED = (LOOKS, POSITION_LOOKS, OPTIMIZER_LOOKS, RENORM_LOOKS)  # one of these to a figure: they share their colours
PUBLISHED = Look("published", "#000000", "-", "o")  # thin, markers hollow


def look(variant: str) -> Look:
    """The look of a variant, or of what else is compared; one without its own is drawn in grey under its own name."""
    return ChainMap(*COMPARED).get(variant, Look(variant, "#6b6b6b", "-", "v"))


@contextlib.contextmanager
def paper_style() -> Iterator[None]:
    """matplotlib's defaults and the settings above, whatever the user's own configuration says."""
    _only_the_font_that_comes_along()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


@functools.cache
def _only_the_font_that_comes_along() -> None:
    """A system may have another version of the font, which would change the bytes of a figure."""
    own = str(Path(matplotlib.get_data_path()))
    manager = font_manager.fontManager
    manager.ttflist = [font for font in manager.ttflist if font.name != FONT or font.fname.startswith(own)]


def styled(draw: Callable) -> Callable:
    """Decorator of a figure function: what it makes is made in the style above."""

    @functools.wraps(draw)
    def inside(*args, **kwargs):
        with paper_style():
            return draw(*args, **kwargs)

    return inside


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches; panels and legend are kept apart by matplotlib's constrained layout."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.03, hspace=0.03)
    return figure


def legend(figure: Figure, handles: list, columns: int = 4) -> None:
    """One legend for all panels, above them."""
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, columnspacing=1.4, handletextpad=0.5)
