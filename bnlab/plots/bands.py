"""Seven-band panels: where equal shares of a distribution lie, over training (Goerner's visualiser)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BOUNDARIES = 8  # quantiles 0, 1/7, ..., 1
OPACITY = 0.24  # of each of the four nested bands; they add up towards the median


def draw_bands(ax: Axes, steps: np.ndarray, boundaries: np.ndarray, colour: str) -> pd.DataFrame:
    """Fill between the boundaries of seven equal shares, darkest around the median.

    `steps` (T,), `boundaries` (T, 8) rising along the last axis. Returns step and b0 to b7.
    """
    import pandas as pd

    boundaries = np.asarray(boundaries, dtype=float)
    if boundaries.ndim != 2 or boundaries.shape[1] != BOUNDARIES:
        raise ValueError(f"boundaries of shape {boundaries.shape}: seven bands have {BOUNDARIES}")
    for inner in range(BOUNDARIES // 2):
        low, high = boundaries[:, inner], boundaries[:, BOUNDARIES - 1 - inner]
        ax.fill_between(steps, low, high, color=colour, alpha=OPACITY, linewidth=0)
    for column in boundaries.T:
        ax.plot(steps, column, color=colour, linewidth=0.35, alpha=0.6)
    frame = pd.DataFrame(boundaries, columns=[f"b{k}" for k in range(BOUNDARIES)])
    frame.insert(0, "step", np.asarray(steps))
    return frame


def boundaries_of(runs, prefix: str, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and the eight boundaries `<prefix>0/<layer>` to `<prefix>7/<layer>`, averaged over the seeds present.

    `prefix` is "activations/b" for outputs or "activations/m" for maxima over the batch.
    """
    columns = [runs.series(f"{prefix}{k}/{layer}").mean(axis=1) for k in range(BOUNDARIES)]
    steps = columns[0].dropna().index
    return steps.to_numpy(), np.stack([column.reindex(steps).to_numpy(dtype=float) for column in columns], axis=1)
