"""How every figure looks: page widths, fonts and lines, with the looks of the arms."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bnlab.plots.looks import COMPARED as COMPARED
from bnlab.plots.looks import LOOKS as LOOKS
from bnlab.plots.looks import PUBLISHED as PUBLISHED
from bnlab.plots.looks import Look as Look
from bnlab.plots.looks import look as look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


def say_empty(ax: Axes, text: str) -> None:
    """Words in the middle of a panel that has nothing to show."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="#666666")


def legend(figure: Figure, handles: list, columns: int = 4) -> None:
    """One legend for all panels, above them."""
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, columnspacing=1.4, handletextpad=0.5)
