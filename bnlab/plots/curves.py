"""Curves over training: the mean over seeds with its Student-t band."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import EngFormatter

from bnlab.plots.style import Look
from bnlab.stats import band

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BAND_OPACITY = 0.18


def draw_curve(
    ax: Axes, series: pd.DataFrame, look: Look, diverged: dict[int, float] | None = None, log: bool = False
) -> pd.DataFrame:
    """Mean and 95 % t band over the columns (seeds) of `series`, indexed by step; a cross where a run diverged.

    Returns step, mean, low, high, n; one seed has a mean and no band, and a step without any record is left out. With
    `log` mean and band are of log10: a geometric mean.
    """
    numbers = summary(series, log)
    if len(numbers):
        steps = numbers["step"].to_numpy()
        ax.plot(
            steps, numbers["mean"], color=look.colour, linestyle=look.dash, marker=look.marker, markevery=_few(steps)
        )
        ax.fill_between(steps, numbers["low"], numbers["high"], color=look.colour, alpha=BAND_OPACITY, linewidth=0)
    _mark_divergence(ax, numbers, look, diverged or {})
    return numbers


def draw_span(ax: Axes, lowest: pd.DataFrame, highest: pd.DataFrame, look: Look, log: bool = False) -> pd.DataFrame:
    """A band between the means over seeds of two series, indexed by step; no interval of either is drawn.

    Returns step, low, high, n; with `log` the means are geometric.
    """
    lower, upper = (summary(series, log) for series in (lowest, highest))
    steps = lower["step"].to_numpy()
    for edge in (lower["mean"], upper["mean"]):
        ax.plot(steps, edge, color=look.colour, linestyle=look.dash, linewidth=0.7)
    ax.fill_between(steps, lower["mean"], upper["mean"], color=look.colour, alpha=2 * BAND_OPACITY, linewidth=0)
    return lower[["step"]].assign(low=lower["mean"], high=upper["mean"], n=lower["n"])


def summary(series: pd.DataFrame, log: bool = False) -> pd.DataFrame:
    """step, mean, low, high, n over the columns of a frame indexed by step; with `log` of log10, and turned back."""
    import pandas as pd

    values = series.to_numpy(dtype=float)
    if log:
        values = np.log10(np.where(values > 0, values, np.nan))
    mean, low, high = band(values) if values.size else (np.array([]),) * 3
    if log:
        mean, low, high = (10**part for part in (mean, low, high))
    counted = np.isfinite(values).sum(axis=1) if values.size else np.array([], dtype=int)
    frame = pd.DataFrame({"step": series.index[: len(mean)], "mean": mean, "low": low, "high": high, "n": counted})
    return frame[frame["n"] > 0].reset_index(drop=True)


def _few(steps: np.ndarray, count: int = 8) -> list[int]:
    """Positions of about `count` markers: enough to tell curves apart in grey, few enough to see them."""
    return list(range(0, len(steps), max(1, len(steps) // count)))


def _mark_divergence(ax: Axes, numbers: pd.DataFrame, look: Look, diverged: dict[int, float]) -> None:
    for step in sorted(diverged.values()):
        before = numbers[numbers["step"] <= step]
        height = float(before["mean"].iloc[-1]) if len(before) else 0.0
        ax.plot([step], [height], linestyle="none", marker="x", markersize=5, color=look.colour, clip_on=False)


def fill_diverged(series: pd.DataFrame, diverged: dict[int, float], value: float) -> pd.DataFrame:
    """The series with every record from a seed's divergence on set to `value` (chance, for an accuracy)."""
    filled = series.copy()
    for seed, step in diverged.items():
        if seed in filled.columns:
            filled.loc[filled.index >= step, seed] = value
    return filled


def diverged_at(runs) -> dict[int, float]:
    """Step of divergence per seed, of the runs that diverged."""
    rows = runs.table.dropna(subset=["diverged_at"])
    return {int(seed): float(step) for seed, step in zip(rows["seed"], rows["diverged_at"])}


def averaged(series: pd.DataFrame, width: int) -> pd.DataFrame:
    """Mean of every column over consecutive stretches of `width` steps, indexed by the middle of each stretch.

    A single mini-batch is a noisy measure; averaging within a seed leaves the spread between seeds to be seen.
    """
    if not len(series):
        return series
    stretch = (series.index.to_numpy() // width).astype(int)
    means = series.groupby(stretch).mean()
    middles = series.index.to_series().groupby(stretch).mean()
    means.index = middles.to_numpy()
    means.index.name = "step"
    return means


def smoothed(series: pd.DataFrame, width: int) -> pd.DataFrame:
    """`averaged`, to be drawn: without a last stretch of one record, whose noise would look like a turn."""
    if width == 1:
        return series
    means = averaged(series, width)
    alone = len(series) > 1 and series.index[-1] // width != series.index[-2] // width
    return means.iloc[:-1] if alone and len(means) > 1 else means


def powers_axis(ax: Axes) -> None:
    """The y axis of log10 values, marked with whole powers of ten."""
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.yaxis.set_major_formatter(lambda y, _: f"$10^{{{y:.0f}}}$")


def step_axis(ax: Axes, last: float, log: bool = False) -> None:
    """x as training steps from 0 to `last`; `log` keeps step 0 by being linear up to step 1."""
    if log:
        ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    else:
        ax.xaxis.set_major_formatter(EngFormatter(sep="") if last >= 1000 else "{x:.0f}")
    ax.set_xlim(0, last)
    ax.set_xlabel("training step")
