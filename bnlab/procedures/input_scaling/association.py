"""What scaling does to two signals that belong together: their correlation, their average and their difference."""

from __future__ import annotations

import math

import numpy as np

from bnlab.procedures.input_scaling.case import Array, Case, miss
from bnlab.procedures.input_scaling.scalings import SCALED, scale


def correlation(pair: Array) -> float:
    return float(np.corrcoef(pair, rowvar=False)[0, 1])


def _average_and_difference(pair: Array) -> Array:
    return np.stack([pair.mean(1), pair[:, 0] - pair[:, 1]], axis=1)


def correlation_moves(c: Case) -> float:
    """How far the correlation moves under the articles' scalings, at most."""
    return max(abs(correlation(scale(name, c.pair)) - correlation(c.pair)) for name in SCALED)


def correlation_under_affine(c: Case) -> float:
    """corr(a X + b, c Y + d) = sign(a c) corr(X, Y)."""
    factors, offsets = c.affine
    return abs(correlation(factors * c.pair + offsets) - math.copysign(1, factors.prod()) * correlation(c.pair))


def average_and_difference_correlate(c: Case) -> float:
    """|Correlation| of average and difference where both signals are centred and divided by their ranges."""
    return abs(correlation(_average_and_difference(scale("mean_centred", c.pair))))


def principal_axis_off(c: Case) -> float:
    """Angle, in degrees, between the average and the first principal axis, centred and divided by their ranges."""
    axis = np.linalg.eigh(np.cov(scale("mean_centred", c.pair), rowvar=False))[1][:, -1]
    return math.degrees(math.acos(min(1.0, abs(axis.sum()) / math.sqrt(2))))


def principal_axes(c: Case) -> float:
    """Of z-scored signals average and difference are the principal components, of variances 1 + rho and 1 - rho."""
    covariance = np.cov(scale("z_score", c.pair), rowvar=False, ddof=0)
    axes = np.array([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2)
    rho = correlation(c.pair)
    return miss(axes @ covariance @ axes.T, np.diag([1 + rho, 1 - rho]))


def not_white(c: Case) -> float:
    """How far the variances of those components lie apart: whitening would make them equal."""
    return float(np.ptp(scale("z_score", c.pair).dot([[1, 1], [1, -1]]).var(0) / 2))


def covariance_of_sum_and_difference(c: Case) -> float:
    """cov(X + Y, X - Y) = Var X - Var Y, in whatever units."""
    covariance = np.cov(c.pair @ [[1, 1], [1, -1]], rowvar=False)
    wanted = c.pair[:, 0].var(ddof=1) - c.pair[:, 1].var(ddof=1)
    return abs(covariance[0, 1] - wanted) / math.sqrt(covariance[0, 0] * covariance[1, 1])


def decorrelated(c: Case) -> float:
    """|Correlation| of the average and the difference of z-scored signals."""
    return abs(correlation(_average_and_difference(scale("z_score", c.pair))))


def dependent_on_a_circle(c: Case) -> float:
    """Points spread evenly over a circle: corr(X, Y) = 0, and still X^2 determines Y^2; how far from corr = -1."""
    angles = c.affine[1][0] + 2 * math.pi * np.arange(12) / 12
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return max(abs(correlation(circle)), abs(correlation(circle**2) + 1))


FACTS = (
    correlation_moves,
    correlation_under_affine,
    average_and_difference_correlate,
    principal_axis_off,
    principal_axes,
    not_white,
    covariance_of_sum_and_difference,
    decorrelated,
    dependent_on_a_circle,
)
