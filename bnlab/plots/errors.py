"""Errors of statements that are exactly true or false, one line each, on a logarithmic axis."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bnlab.plots.style import PUBLISHED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SMALLEST = 1e-17  # smaller errors, and exact zeros, are drawn here
COLOUR = "#10457e"


def draw_errors(
    ax: Axes, errors: Mapping[str, Sequence[float]], limits: Mapping[str, float], rows_high: int
) -> pd.DataFrame:
    """Least to largest error of every statement under its label, its median as a dot, its limit as a grey bar.

    The axis is `rows_high` statements high, so that panels side by side have rows of one height.

    Returns label, least, median, largest, limit, n, in the order drawn from the top.
    """
    import pandas as pd

    rows = []
    for place, (label, values) in enumerate(errors.items()):
        if not values:
            continue
        least, median, largest = min(values), statistics.median(values), max(values)
        rows.append((label, least, median, largest, limits[label], len(values)))
        drawn = [max(value, SMALLEST) for value in (least, median, largest)]
        ax.plot(drawn[::2], [-place, -place], color=COLOUR, linewidth=1.2)
        ax.plot(drawn[1], -place, color=COLOUR, marker="o", markersize=3)
        ax.plot(limits[label], -place, color="#8a8a8a", marker="|", markersize=8, markeredgewidth=1.4)
        ax.text(0.01, 0.22 - place, label, transform=ax.get_yaxis_transform(), fontsize=5.5, color=PUBLISHED.colour,
                bbox={"facecolor": "white", "pad": 0.2, "linewidth": 0}, zorder=0.8)  # fmt: skip
    ax.set_xscale("log")
    ax.set_yticks([])
    ax.set_ylim(-rows_high + 0.5, 0.8)
    ax.spines["left"].set_visible(False)
    return pd.DataFrame(rows, columns=["label", "least", "median", "largest", "limit", "n"])
