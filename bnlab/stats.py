"""Statistics of repeated runs: pure functions on arrays and on {seed: value} mappings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and its two-sided Student-t interval; `low` and `high` are None for fewer than two values."""

    mean: float
    low: float | None
    high: float | None
    n: int


def finite(values: Mapping[int, float] | Sequence[float]) -> np.ndarray:
    """The finite values, in the order given, as float64."""
    numbers = np.asarray(list(values.values()) if isinstance(values, Mapping) else values, dtype=float)
    return numbers[np.isfinite(numbers)]


def mean_interval(values: Mapping[int, float] | Sequence[float], level: float = LEVEL) -> Interval:
    """Student-t interval of the mean of the finite values. One value has no interval, none has no mean."""
    numbers = finite(values)
    if len(numbers) < 2:
        return Interval(float(numbers[0]) if len(numbers) else math.nan, None, None, len(numbers))
    half = t_quantile(0.5 + level / 2, len(numbers) - 1) * numbers.std(ddof=1) / math.sqrt(len(numbers))
    mean = float(numbers.mean())
    return Interval(mean, mean - float(half), mean + float(half), len(numbers))


def band(values: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, lower and upper t limits along the last axis of (steps, seeds); limits are NaN below two values."""
    numbers = np.asarray(values, dtype=float)
    n = np.isfinite(numbers).sum(axis=-1)
    filled = np.where(np.isfinite(numbers), numbers, 0.0)
    mean = np.where(n > 0, filled.sum(axis=-1) / np.maximum(n, 1), np.nan)
    squares = np.where(np.isfinite(numbers), (numbers - mean[..., None]) ** 2, 0.0).sum(axis=-1)
    spread = np.sqrt(squares / np.maximum(n - 1, 1) / np.maximum(n, 1))
    quantiles = {int(k): t_quantile(0.5 + level / 2, int(k) - 1) if k > 1 else np.nan for k in np.unique(n)}
    half = spread * np.vectorize(quantiles.__getitem__, otypes=[float])(n)
    return mean, mean - half, mean + half


def t_quantile(probability: float, freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def t_p_value(values: Mapping[int, float] | Sequence[float], at: float = 0.0) -> float:
    """Two-sided p-value of the mean being `at`; below 0.05 exactly when the 95 % interval leaves `at` out."""
    from scipy.special import stdtr

    numbers = finite(values)
    if len(numbers) < 2:
        return 1.0
    distance = abs(numbers.mean() - at)
    error = numbers.std(ddof=1) / math.sqrt(len(numbers))
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(2 * stdtr(len(numbers) - 1, -distance / error))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment, in the order given: the family-wise error stays at the level compared with."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> dict[int, float]:
    """`first - second` per seed. A seed that only one side has is kept as NaN: counted as missing, not dropped."""
    seeds = sorted({*first.keys(), *second.keys()})
    return {s: float(first.get(s, math.nan)) - float(second.get(s, math.nan)) for s in seeds}


def window_mean(steps: np.ndarray, values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Mean over the records with low <= step <= high of `values` (steps, seeds); NaN for a seed without one there."""
    chosen = np.asarray(values, dtype=float)[(np.asarray(steps) >= low) & (np.asarray(steps) <= high)]
    n = np.isfinite(chosen).sum(axis=0)
    total = np.where(np.isfinite(chosen), chosen, 0.0).sum(axis=0)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def steps_to(steps: np.ndarray, values: np.ndarray, threshold: float) -> float:
    """First recorded step at which `values` reaches the threshold; infinite when it never does (written `> last`)."""
    reached = np.flatnonzero(np.asarray(values, dtype=float) >= threshold)
    return float(np.asarray(steps)[reached[0]]) if len(reached) else math.inf


def steps_text(first: float, last: int) -> str:
    return f"> {last}" if math.isinf(first) else f"{first:.0f}"


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares slope over the pairs with a finite y; NaN for fewer than two."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    kept = np.isfinite(y)
    return float(np.polyfit(x[kept], y[kept], 1)[0]) if kept.sum() > 1 else math.nan


def normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def sigmoid_quantiles(probabilities: Sequence[float], scale: float = 1.0, offset: float = 0.0) -> np.ndarray:
    """Quantiles of sigmoid(scale * z + offset) for standard normal z: the ideal bands behind batch normalisation."""
    from scipy.special import expit, ndtri

    return expit(scale * ndtri(np.asarray(probabilities, dtype=float)) + offset)


def max_moments(m: int) -> tuple[float, float]:
    """Mean and standard deviation of the largest of m independent N(0,1), by integrating m phi(x) Phi(x)^(m-1)."""
    from scipy.special import log_ndtr

    x = np.linspace(-12.0, 12.0, 24_001)
    density = m * np.exp(-x * x / 2 + (m - 1) * log_ndtr(x)) / math.sqrt(2 * math.pi)
    mean = float(np.trapezoid(x * density, x))
    return mean, math.sqrt(float(np.trapezoid((x - mean) ** 2 * density, x)))


def standardised_max(m: int) -> float:
    """E[max] of m normal values after subtracting their mean and dividing by their own (1/m) standard deviation.

    Exact: the standardised sample is independent of that standard deviation s (Basu's theorem), so the expectation is
    E[max of m N(0,1)] / E[s], with E[s] = sqrt(2/m) Gamma(m/2) / Gamma((m-1)/2).
    """
    expected_sd = math.sqrt(2 / m) * math.exp(math.lgamma(m / 2) - math.lgamma((m - 1) / 2))
    return max_moments(m)[0] / expected_sd


def excess_kurtosis(lo: float, hi: float, counts: np.ndarray) -> float:
    """Excess kurtosis of a binned distribution (equal bins in [lo, hi]); 0 for a Gaussian, NaN without spread."""
    weights = np.asarray(counts, dtype=float)
    if weights.sum() == 0 or not hi > lo:
        return math.nan
    edges = np.linspace(lo, hi, len(weights) + 1)
    centres, weights = (edges[:-1] + edges[1:]) / 2, weights / weights.sum()
    deviation = centres - (weights * centres).sum()
    variance = (weights * deviation**2).sum()
    return float((weights * deviation**4).sum() / variance**2 - 3) if variance > 0 else math.nan
