"""A random case: two signals that belong together, a skewed sample, and two regressions on features of unlike range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
# Largest values of the two features; the smallest is 0. Article S0: A and B. Article S2: age in years, kilometres.
RANGES = {"ab": (20.0, 2.0), "cars": (30.0, 300_000.0)}
NOISE = 0.1


@dataclass(frozen=True)
class Regression:
    """`x` (n, 2) uniform on its ranges, `y` (n,) what is to be predicted."""

    x: Array
    y: Array


@dataclass(frozen=True)
class Case:
    """`pair` (n, 2): a uniform signal and a skewed one that follows it, in units of their own.

    `skewed` (n,) is an exponential sample. `affine`: a factor (of either sign) and an offset for each signal.
    """

    pair: Array
    skewed: Array
    affine: tuple[Array, Array]
    ab: Regression
    cars: Regression
    draw: np.random.Generator


def draw_case(draw: np.random.Generator, points: int = 1000) -> Case:
    """Signals of any unit from 1e-2 to 1e2, with correlations from 0.3 to 0.9."""
    correlation = draw.uniform(0.3, 0.9)
    first, second = draw.uniform(size=points), draw.exponential(size=points)
    standard = np.stack([(first - 0.5) * 12**0.5, second - 1], axis=1)
    standard[:, 1] = correlation * standard[:, 0] + (1 - correlation**2) ** 0.5 * standard[:, 1]
    pair = 10 ** draw.uniform(-2, 2, size=2) * (standard + draw.uniform(-3, 3, size=2))
    factors = draw.choice([-1, 1], size=2) * 10 ** draw.uniform(-2, 2, size=2)
    regressions = [draw_regression(draw, RANGES[name], points) for name in ("ab", "cars")]
    return Case(pair, draw.exponential(size=points), (factors, draw.uniform(-3, 3, size=2)), *regressions, draw)


def draw_regression(draw: np.random.Generator, ranges: tuple[float, float], points: int) -> Regression:
    """A linear target in which either feature weighs 0.5 to 2 over its whole range, with some noise."""
    shares = draw.uniform(size=(points, 2))
    weights = draw.choice([-1, 1], size=2) * draw.uniform(0.5, 2, size=2)
    return Regression(shares * ranges, shares @ weights + NOISE * draw.standard_normal(points))


def miss(found: Array, wanted: Array) -> float:
    """The largest difference, relative to the largest number compared."""
    size = max(float(np.abs(found).max()), float(np.abs(wanted).max()), 1e-300)
    return float(np.abs(found - wanted).max()) / size
