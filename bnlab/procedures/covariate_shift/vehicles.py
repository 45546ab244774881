"""Cars and motorbikes: one law of prices, two distributions of what it is applied to.

Size x is normal, with one mean and spread for cars and another for motorbikes; the price is x^2 with noise for both,
so that only p(x) changes. The ratio of the two densities is known, and weighting by it makes a fit to cars one for
motorbikes (Shimodaira 2000, Journal of Statistical Planning and Inference 90).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
NOISE = 0.1
TEST = 10_000  # vehicles of each kind in the test data
SHOWN = 100  # of each kind, recorded for figures


@dataclass(frozen=True)
class Kind:
    mean: float
    spread: float

    def density(self, x: Array) -> Array:
        return np.exp(-(((x - self.mean) / self.spread) ** 2) / 2) / (self.spread * (2 * np.pi) ** 0.5)


KINDS = {"cars": Kind(1.5, 0.5), "motorbikes": Kind(0.5, 0.25)}


def compare(seed: int, count: int) -> dict[int, dict[str, float]]:
    """Test errors and coefficients of three fits to `count` cars, and some points of each kind by their number."""
    draw = np.random.default_rng([seed, 0])
    x, y = draw_kind(draw, "cars", count)
    weights = density_ratio(x)
    fits = {"linear": fit(x, y, 1), "quadratic": fit(x, y, 2), "weighted": fit(x, y, 1, weights)}
    rows = {0: {"effective_points": float(weights.sum() ** 2 / (weights**2).sum())}}
    for kind in KINDS:
        test = draw_kind(draw, kind, TEST)
        for model, coefficients in fits.items():
            rows[0][f"error/{model}/{kind}"] = error(coefficients, *test)
        for number, (size, price) in enumerate(zip(*(values[:SHOWN].tolist() for values in test))):
            rows.setdefault(number, {}).update({f"point_x/{kind}": size, f"point_y/{kind}": price})
    for model in ("linear", "weighted"):
        rows[0] |= {f"intercept/{model}": float(fits[model][0]), f"slope/{model}": float(fits[model][1])}
    return rows


def draw_kind(draw: np.random.Generator, kind: str, count: int) -> tuple[Array, Array]:
    """Sizes and prices, each (count,)."""
    x = draw.normal(KINDS[kind].mean, KINDS[kind].spread, count)
    return x, x**2 + NOISE * draw.standard_normal(count)


def density_ratio(x: Array) -> Array:
    """p(x | motorbike) / p(x | car)"""
    return KINDS["motorbikes"].density(x) / KINDS["cars"].density(x)


def fit(x: Array, y: Array, degree: int, weights: Array | None = None) -> Array:
    """Coefficients of the polynomial, constant first, with the least weighted sum of squared errors."""
    return np.polynomial.polynomial.polyfit(x, y, degree, w=None if weights is None else np.sqrt(weights))


def error(coefficients: Array, x: Array, y: Array) -> float:
    """Mean squared error."""
    return float(((np.polynomial.polynomial.polyval(x, coefficients) - y) ** 2).mean())
