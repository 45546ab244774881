"""Stored histograms as densities, and the axis that several share. Loads no drawing library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

TAIL = 0.002  # share of each histogram that a panel may leave out on either side


def densities(lo: float, hi: float, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges and density of a stored histogram; a distribution of one value becomes a narrow spike."""
    counts = np.asarray(counts, dtype=float)
    if not hi > lo:
        half = max(1e-3, 1e-3 * abs(lo))
        lo, hi = lo - half, lo + half
        counts = np.full(len(counts), counts.sum() / len(counts))
    edges = np.linspace(lo, hi, len(counts) + 1)
    return edges, counts / max(counts.sum() * (hi - lo) / len(counts), 1e-300)


def common_limits(rows: Mapping[str, Iterable], tail: float = TAIL) -> tuple[float, float]:
    """A range that holds all but `tail` of every histogram on either side; (-1, 1) where there is none.

    `rows` has the columns lo, hi and counts.
    """
    lows, highs = [], []
    for lo, hi, counts in zip(rows["lo"], rows["hi"], rows["counts"]):
        edges, density = densities(lo, hi, counts)
        share = np.concatenate([[0.0], np.cumsum(density)]) / max(density.sum(), 1e-300)
        lows.append(float(np.interp(tail, share, edges)))
        highs.append(float(np.interp(1 - tail, share, edges)))
    return with_margin(min(lows), max(highs)) if lows else (-1.0, 1.0)


def with_margin(low: float, high: float) -> tuple[float, float]:
    margin = 0.03 * (high - low) or 1.0
    return low - margin, high + margin
