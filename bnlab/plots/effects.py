"""Oriented effects with their intervals, one line per statement: what a verdict rests on, at a glance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bnlab.plots.rows import label_rows
from bnlab.plots.style import PUBLISHED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bnlab.claims import Verdict

COLOURS = {"supported": "#10457e", "refuted": "#c24e00"}
OPEN = "#6b6b6b"  # undecided
WIDE = 8.0  # an axis that reaches further is logarithmic beyond 1


def draw_effects(ax: Axes, verdicts: Sequence[Verdict], ids: Mapping[str, str], scale: float = 1.0) -> pd.DataFrame:
    """Effect and 95 % t interval of every verdict beside its label, the first at the top; filled where it is decided.

    `ids` are the claims of a label. Values are multiplied by `scale` (100 for per cent). A published effect is a hollow
    black circle, a margin that all share a grey strip around 0. Returns label, effect, low, high, n, published.
    """
    import pandas as pd

    rows = []
    for place, verdict in enumerate(verdicts):
        row = _scaled(verdict, scale)
        rows.append(row)
        _draw_row(ax, -place, verdict.verdict, row)
    ax.axvline(0, color="black", linewidth=0.6, zorder=0.5)
    margins = {verdict.margin for verdict in verdicts if verdict.margin}
    if len(margins) == 1:
        margin = margins.pop() * scale
        ax.axvspan(-margin, margin, color="#d9d9d9", linewidth=0, zorder=0)
    label_rows(ax, [verdict.label for verdict in verdicts], ids)
    if max((abs(v) for row in rows for v in row[1:4] if math.isfinite(v)), default=0.0) > WIDE:
        ax.set_xscale("symlog", linthresh=1)
        ax.xaxis.set_major_formatter("{x:g}")
    return pd.DataFrame(rows, columns=["label", "effect", "low", "high", "n", "published"])


def _scaled(verdict: Verdict, scale: float) -> tuple:
    def scaled(value: float | None) -> float:
        return float("nan") if value is None else value * scale

    low, high = verdict.interval or (None, None)
    published = verdict.published.value if verdict.published else None
    return verdict.label, scaled(verdict.effect), scaled(low), scaled(high), verdict.n, scaled(published)


def _draw_row(ax: Axes, y: float, word: str, row: tuple) -> None:
    _, effect, low, high, _, published = row
    colour = COLOURS.get(word, OPEN)
    ax.plot([low, high], [y, y], color=colour, linewidth=1.2, clip_on=False)
    inside = colour if word in COLOURS else "white"
    ax.plot([effect], [y], color=colour, marker="o", markersize=3, markerfacecolor=inside, clip_on=False)
    ax.plot(
        [published], [y], marker="o", markersize=4.5, markerfacecolor="none",
        markeredgecolor=PUBLISHED.colour, markeredgewidth=0.7, linestyle="none", clip_on=False,
    )  # fmt: skip
