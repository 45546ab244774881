"""Ridge plots: one distribution per recorded step, the earliest at the top, on an x axis that panels share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

from bnlab.plots.binned import densities

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

OVERLAP = 2.2  # height of a ridge in units of the distance between two
COARSE = 0.04  # of the axis: a bin that takes more of it is drawn flat, for nothing is known of its inside


def draw_ridges(
    ax: Axes, rows: pd.DataFrame, colour: str, limits: tuple[float, float], wide: bool = False
) -> pd.DataFrame:
    """Draw the histograms of `rows` (step, lo, hi, counts), each scaled to its own highest point.

    `limits` is the x range. `wide`: an axis linear within +-1 and logarithmic outside (asinh), for distributions whose
    widths differ by orders of magnitude; densities are then per unit of that axis. The y axis names the steps, the
    first at the top. Returns step, x, density of every bin within the limits.
    """
    rows = rows.sort_values("step")
    numbers = []
    for position, (step, lo, hi, counts) in enumerate(zip(rows["step"], rows["lo"], rows["hi"], rows["counts"])):
        edges, density = densities(lo, hi, counts)
        if wide:
            density = density * np.diff(edges) / np.diff(np.arcsinh(edges))
        outline = _outline(edges, density, _seen(edges, limits, wide))
        _ridge(ax, *outline, -float(position), colour, zorder=2 + position)
        numbers.append(_numbers(int(step), edges, density, limits))
    _step_labels(ax, rows["step"].tolist())
    value_axis(ax, limits, wide)
    return _joined(numbers)


def value_axis(ax: Axes, limits: tuple[float, float], wide: bool) -> None:
    """The x axis of a ridge panel, drawn or empty."""
    if wide:
        ax.set_xscale("asinh", linear_width=1.0)
        powers = [10.0**k for k in range(7)]
        ticks = [t for t in (*(-p for p in reversed(powers)), 0.0, *powers) if limits[0] <= t <= limits[1]]
        thinned = [t for t in ticks if abs(t) != 10 or len(ticks) < 7]
        ax.set_xticks(thinned, [f"{t:,.0f}".replace("-", "\u2212") for t in thinned])
        ax.minorticks_off()
    ax.set_xlim(*limits)


def _seen(edges: np.ndarray, limits: tuple[float, float], wide: bool) -> np.ndarray:
    """Widths of the bins as shares of the axis."""
    places, ends = (np.arcsinh(values) if wide else np.asarray(values) for values in (edges, limits))
    return np.diff(places) / (ends[1] - ends[0])


def _outline(edges: np.ndarray, density: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From middle to middle of fine bins, along the top of coarse ones."""
    x, y = [edges[0]], [0.0]
    for low, high, height, share in zip(edges[:-1], edges[1:], density, seen):
        corners = [low, high] if share > COARSE else [(low + high) / 2]
        x += corners
        y += [height] * len(corners)
    return np.array([*x, edges[-1]]), np.array([*y, 0.0])


def _ridge(ax: Axes, x: np.ndarray, heights: np.ndarray, base: float, colour: str, zorder: int) -> None:
    y = base + OVERLAP * heights / (heights.max() if heights.max() > 0 else 1.0)
    # Opaque: a later ridge covers the feet of the earlier one instead of mixing with it.
    ax.fill_between(x, base, y, facecolor=_paler(colour), edgecolor="none", zorder=zorder)
    ax.plot(x, y, color="white", linewidth=1.0, zorder=zorder)
    ax.plot(x, y, color=colour, linewidth=0.5, zorder=zorder)


def _paler(colour: str) -> tuple[float, float, float]:
    return tuple(0.45 * part + 0.55 for part in to_rgb(colour))


def _step_labels(ax: Axes, steps: list[int]) -> None:
    ax.spines["left"].set_visible(False)
    if not steps:
        ax.set_yticks([])
        return
    shown = range(0, len(steps), max(1, -(-len(steps) // 7)))
    ax.set_yticks([-k for k in shown], [f"{steps[k]:,}" for k in shown])
    ax.set_ylim(-(len(steps) - 1) - 0.4, OVERLAP + 0.2)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def _numbers(step: int, edges: np.ndarray, density: np.ndarray, limits: tuple[float, float]) -> pd.DataFrame:
    import pandas as pd

    x = (edges[:-1] + edges[1:]) / 2
    inside = (x >= limits[0]) & (x <= limits[1])
    return pd.DataFrame({"step": step, "x": x[inside], "density": density[inside]})


def _joined(numbers: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame({"step": [], "x": [], "density": []})


def spread_steps(steps: list[int], count: int) -> list[int]:
    """At most `count` of the recorded steps, evenly spaced in their order, with the first and the last."""
    ordered = sorted(set(steps))
    if len(ordered) <= count:
        return ordered
    chosen = np.unique(np.round(np.linspace(0, len(ordered) - 1, count)).astype(int))
    return [ordered[k] for k in chosen]


def coarser(rows: pd.DataFrame, by: int = 2) -> pd.DataFrame:
    """The histograms with neighbouring bins joined, `by` at a time: less jagged where a bin holds few values."""
    return rows.assign(counts=[np.reshape(counts, (-1, by)).sum(axis=1) for counts in rows["counts"]])


def no_narrower(rows: pd.DataFrame, narrowest: float) -> pd.DataFrame:
    """The histograms with neighbouring bins joined two by two until they are at least so wide, or eight are left."""
    joined = []
    for lo, hi, counts in zip(rows["lo"], rows["hi"], rows["counts"]):
        counts = np.asarray(counts)
        while len(counts) > 8 and (hi - lo) / len(counts) < narrowest:
            counts = counts.reshape(-1, 2).sum(axis=1)
        joined.append(counts)
    return rows.assign(counts=joined)
