"""Panels of named statements: a row for each, its claims and its words in columns of their own left of the axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from bnlab.plots.style import new_figure
from bnlab.plots.typesetting import POINTS, text_width, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bnlab.claims import Claim

ROW = 0.2  # inches: two lines of a label
AROUND = 0.6  # inches above and below the rows of a panel: its title, ticks and unit
PRINT = 0.4  # inches of small print
SIZE = 6.0  # points, as all widths below
GAP = 5.0  # between the columns
IDS = 40.0  # width of two claims beside each other
SHARE = 0.45  # of a panel's width, that the words may take
INK, PALE = "#222222", "#6b6b6b"


def claim_ids(claims: Iterable[Claim]) -> dict[str, str]:
    """The label of every statement -> the claims that have it, as `S1-05, S2-03`."""
    found: dict[str, list[str]] = {}
    for claim in claims:
        for statement in claim.parts or getattr(claim.test, "statements", ()):
            found.setdefault(statement.label, []).append(claim.id)
    return {label: ", ".join(dict.fromkeys(ids)) for label, ids in found.items()}


def row_figure(width: float, counts: Sequence[int]) -> tuple[Figure, list[Axes]]:
    """A figure of so many inches with panels below each other, each as high as its number of rows needs."""
    figure = new_figure(width, sum(ROW * count + AROUND for count in counts) + PRINT)
    return figure, list(figure.subplots(len(counts), 1, height_ratios=counts, squeeze=False)[:, 0])


def label_rows(ax: Axes, labels: Sequence[str], ids: Mapping[str, str]) -> None:
    """Name the rows at y = 0, -1, ... of the axes. `ids` maps a label to its claims, which stand before its words."""
    # With the room that subplots leave between them at first.
    panel = 1.2 * POINTS * ax.get_figure(root=True).get_figwidth() * _share_of_width(ax)
    words = [wrap(label, SHARE * panel, SIZE) for label in labels]
    named = [wrap(ids.get(label, ""), IDS, SIZE) for label in labels]
    left = _column(ax, words, SHARE * panel, GAP, INK)
    _column(ax, named, IDS, left + GAP, PALE)
    ax.set_yticks([])
    ax.set_ylim(-len(labels) + 0.4, 0.6)
    ax.spines["left"].set_visible(False)


def _share_of_width(ax: Axes) -> float:
    """The panel's part of the whole figure, which may be made of figures."""
    pixels = ax.get_position().width * ax.get_figure(root=False).bbox.width
    return pixels / ax.get_figure(root=True).bbox.width


def _column(ax: Axes, cells: Sequence[Sequence[str]], most: float, right: float, colour: str) -> float:
    """Write a cell beside each row, `right` points or more left of the axes; returns how far left they begin.

    A column nearly as wide as it may be is made as wide, so that those of panels below each other are in line.
    """
    width = max((text_width(line, SIZE) for lines in cells for line in lines), default=0.0)
    left = right + (most if width > 0.7 * most else width)
    for place, lines in enumerate(cells):
        ax.annotate(
            "\n".join(lines), (0, -place), xycoords=ax.get_yaxis_transform(), xytext=(-left, 0),
            textcoords="offset points", va="center", fontsize=SIZE, color=colour, linespacing=1.0, parse_math=False,
        )  # fmt: skip
    return left
