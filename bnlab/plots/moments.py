"""One number per seed, arm and group (a layer, a cell): every seed a dot, their mean with its interval beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bnlab.plots.style import look
from bnlab.stats import mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

GROUP_WIDTH = 0.72
GroupValues = Mapping[str, Mapping[str, Mapping[int, float]]]  # group -> variant -> {seed: value}
COLUMNS = ["group", "variant", "kind", "seed", "value", "low", "high", "n"]


def draw_groups(ax: Axes, values: GroupValues, log: bool = False) -> pd.DataFrame:
    """Groups side by side on x, the arms of each next to each other.

    Dots are seeds; the marker and bar are the mean and 95 % t interval (with `log`, of log10: a geometric mean).
    Missing seeds (NaN) are not drawn and not counted. Returns the numbers, one row per dot and per mean.
    """
    import pandas as pd

    variants = list(dict.fromkeys(variant for arms in values.values() for variant in arms))
    if log:
        ax.set_yscale("log")
    rows: list[tuple] = []
    for place, (group, arms) in enumerate(values.items()):
        for variant in arms:
            rows += _draw_arm(ax, place + offset(variant, variants), group, variant, arms[variant], log)
    ax.set_xticks(range(len(values)), list(values))
    ax.set_xlim(-0.5, len(values) - 0.5)
    ax.grid(axis="x", visible=False)
    return pd.DataFrame(rows, columns=COLUMNS)


def offset(variant: str, variants: list[str]) -> float:
    """Distance of an arm from the middle of its group."""
    return GROUP_WIDTH * ((variants.index(variant) + 0.5) / len(variants) - 0.5)


def _draw_arm(ax: Axes, x: float, group: str, variant: str, by_seed: Mapping[int, float], log: bool) -> list[tuple]:
    drawn = {seed: v for seed, v in by_seed.items() if math.isfinite(v) and (v > 0 or not log)}
    own = look(variant)
    ax.plot(
        np.full(len(drawn), x + 0.05), list(drawn.values()), linestyle="none", marker=".", markersize=3.2,
        color=own.colour, alpha=0.75, markeredgewidth=0,
    )  # fmt: skip
    rows = [(group, variant, "seed", seed, value, math.nan, math.nan, 1) for seed, value in drawn.items()]
    if not drawn:
        return rows
    mean, low, high, n = _mean(list(drawn.values()), log)
    if not math.isnan(low):
        ax.plot([x, x], [low, high], color=own.colour, linewidth=1.1)
    ax.plot([x], [mean], marker=own.marker, markersize=3.6, color=own.colour)
    return [*rows, (group, variant, "mean", "", mean, low, high, n)]


def _mean(values: list[float], log: bool) -> tuple[float, float, float, int]:
    found = mean_interval([math.log10(v) for v in values] if log else values)
    low, high = (math.nan if edge is None else edge for edge in (found.low, found.high))
    mean, low, high = (10**v if log else v for v in (found.mean, low, high))
    return mean, low, high, found.n
