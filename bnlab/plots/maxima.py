"""The largest of m values against m: what is measured, and what extreme-value theory says exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bnlab.plots.style import Look
from bnlab.stats import mean_interval, standardised_max

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = ["kind", "batch_size", "mean", "low", "high", "n"]


def draw_prediction(ax: Axes, low: int, high: int, offset: float) -> pd.DataFrame:
    """E[max] of m normal values standardised by their own mean and deviation, plus `offset`, for m from low to high."""
    import pandas as pd

    sizes = np.unique(np.round(np.geomspace(low, high, 60)).astype(int))
    expected = [standardised_max(int(m)) + offset for m in sizes]
    ax.plot(sizes, expected, color="#7f7f7f", linewidth=1.6, zorder=1)
    rows = [("predicted", int(m), value, math.nan, math.nan, 0) for m, value in zip(sizes, expected)]
    return pd.DataFrame(rows, columns=COLUMNS)


def draw_maxima(
    ax: Axes, measured: Mapping[int, Mapping[int, float]], own: Look, kind: str, interval: bool = True
) -> pd.DataFrame:
    """Mean over seeds at every batch size, with its 95 % t interval; `measured` maps batch size -> {seed: value}."""
    import pandas as pd

    rows = []
    for m, by_seed in measured.items():
        found = mean_interval(by_seed)
        low, high = (math.nan if limit is None else limit for limit in (found.low, found.high))
        rows.append((kind, m, found.mean, low, high, found.n))
        if interval:
            ax.plot([m, m], [low, high], color=own.colour, linewidth=1.0)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    ax.plot(frame["batch_size"], frame["mean"], color=own.colour, marker=own.marker, markersize=3, linestyle="none")
    return frame
