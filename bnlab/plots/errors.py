"""Errors of statements that are exactly true or false, one line each, on a logarithmic axis."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bnlab.plots.rows import label_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SMALLEST = 1e-17  # smaller errors, and exact zeros, are drawn here
COLOUR = "#10457e"


def draw_errors(
    ax: Axes, errors: Mapping[str, Sequence[float]], limits: Mapping[str, float], ids: Mapping[str, str]
) -> pd.DataFrame:
    """Least to largest error of every statement beside its label, its median as a dot, its limit as a grey bar.

    `ids` are the claims of a label. A statement without any case has an empty row. Returns label, least, median,
    largest, limit, n, in the order drawn from the top.
    """
    import pandas as pd

    rows = []
    for place, (label, values) in enumerate(errors.items()):
        ax.plot(limits[label], -place, color="#8a8a8a", marker="|", markersize=8, markeredgewidth=1.4)
        if not values:
            continue
        least, median, largest = min(values), statistics.median(values), max(values)
        rows.append((label, least, median, largest, limits[label], len(values)))
        drawn = [max(value, SMALLEST) for value in (least, median, largest)]
        ax.plot(drawn[::2], [-place, -place], color=COLOUR, linewidth=1.2)
        ax.plot(drawn[1], -place, color=COLOUR, marker="o", markersize=3)
    ax.set_xscale("log")
    label_rows(ax, list(errors), ids)
    return pd.DataFrame(rows, columns=["label", "least", "median", "largest", "limit", "n"])
