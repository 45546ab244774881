"""Curves measured from the figures of the papers, to draw and compare runs with (README.md: how they were taken)."""

from __future__ import annotations

import csv
import functools
from pathlib import Path

import numpy as np

from bnlab.errors import BadInput

FOLDER = Path(__file__).parent
CREDIT = {
    "santurkar2018": "Santurkar et al. 2018",
    "ioffe2015": "Ioffe and Szegedy 2015",
}

Key = tuple[str, str, str]  # figure, panel, series


def curve(source: str, figure: str, panel: str, series: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one published curve, by rising step.

    `source` is `santurkar2018` or `ioffe2015`; values are in the unit its panel names (`_pct` per cent, else the
    figure's own axis). Steps are as measured: the first may be -1, others a few off. Errors: BadInput.
    """
    curves = _read(source)
    if (figure, panel, series) not in curves:
        raise BadInput(
            f"{figure} {panel} {series}: no such published curve of {source}; published.keys({source!r}) has all"
        )
    return curves[figure, panel, series]


def smoothed(source: str, key: Key, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The curve as a running mean over `width` of its points, fewer at its ends."""
    import pandas as pd

    steps, values = curve(source, *key)
    return steps, pd.Series(values).rolling(width, center=True, min_periods=1).mean().to_numpy()


def keys(source: str) -> list[Key]:
    """Every (figure, panel, series) of a paper."""
    return list(_read(source))


@functools.cache
def _read(source: str) -> dict[Key, tuple[np.ndarray, np.ndarray]]:
    if source not in CREDIT:
        raise BadInput(f"{source}: no such published source; there are {', '.join(CREDIT)}")
    points: dict[Key, list[tuple[float, float]]] = {}
    with open(FOLDER / f"{source}.csv", encoding="ascii", newline="") as file:
        for row in csv.DictReader(file):
            key = (row["figure"], row["panel"], row["series"])
            points.setdefault(key, []).append((float(row["step"]), float(row["value"])))
    return {key: _columns(values) for key, values in points.items()}


def _columns(points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    steps, values = np.array(sorted(points, key=lambda point: point[0])).T
    for column in (steps, values):
        column.setflags(write=False)  # shared by all callers
    return steps, values


def window_mean(source: str, figure: str, panel: str, series: str, low: float, high: float) -> float:
    """Mean of the measured points with low <= step <= high."""
    steps, values = curve(source, figure, panel, series)
    return float(values[(steps >= low) & (steps <= high)].mean())


def median_every(source: str, figure: str, panel: str, series: str, every: float) -> float:
    """Median on a grid of `every` steps.

    The papers' figures leave out points on straight lines, so the median of the points alone would be biased; they are
    put back by linear interpolation.
    """
    steps, values = curve(source, figure, panel, series)
    grid = np.arange(steps[0], steps[-1] + every / 2, every)
    return float(np.median(np.interp(grid, steps, values)))
