"""What scaling does to each feature by itself: its range, its mean and spread, and the shape of its distribution."""

from __future__ import annotations

import numpy as np

from bnlab.procedures.input_scaling.case import Array, Case, miss
from bnlab.procedures.input_scaling.scalings import SCALED, scale


def _standardised_moment(x: Array, power: int) -> Array:
    """Skewness (power 3) or kurtosis (power 4) of each feature."""
    deviation = x - x.mean(0)
    return (deviation**power).mean(0) / x.std(0) ** power


def _features(c: Case) -> Array:
    """Six features of unlike units (n, 6)."""
    return np.concatenate([c.pair, c.ab.x, c.cars.x], axis=1)


def min_max_range(c: Case) -> float:
    """(x - min)/(max - min) ends at 0 and at 1."""
    x = scale("min_max", _features(c))
    return max(float(np.abs(x.min(0)).max()), float(np.abs(x.max(0) - 1).max()))


def fresh_data_leaves_the_range(c: Case) -> float:
    """How far values that were not there when min and max were taken (of 5) lie outside [0, 1], at most."""
    x = c.skewed[:, None]
    rest = scale("min_max", x[5:], like=x[:5])
    return max(float(rest.max()) - 1, -float(rest.min()), 0.0)


def outlier_squeezes_the_rest(c: Case) -> float:
    """One value 100 ranges above the others leaves them 1/101 of [0, 1]."""
    x = c.pair[:, :1]
    with_outlier = np.concatenate([x, x.max(0, keepdims=True) + 100 * np.ptp(x)])
    return abs(float(np.ptp(scale("min_max", with_outlier)[:-1])) * 101 - 1)


def described_low(c: Case) -> float:
    """How far below 0 the lowest value of (x - mean)/(max - min) lies, over the features."""
    return float((-scale("mean_centred", _features(c)).min(0)).min())


def described_high(c: Case) -> float:
    """How far short of 1 its highest value falls."""
    return float((1 - scale("mean_centred", _features(c)).max(0)).min())


def described_width_and_mean(c: Case) -> float:
    """(x - mean)/(max - min) has width 1 and mean 0."""
    x = scale("mean_centred", _features(c))
    return max(float(np.abs(np.ptp(x, axis=0) - 1).max()), float(np.abs(x.mean(0)).max()))


def z_score_moments(c: Case) -> float:
    """Mean 0 and standard deviation 1."""
    x = scale("z_score", _features(c))
    return max(float(np.abs(x.mean(0)).max()), float(np.abs(x.std(0) - 1).max()))


def z_score_skewness(c: Case) -> float:
    """Skewness of a z-scored exponential sample; that of a normal distribution is 0."""
    return float(_standardised_moment(scale("z_score", c.skewed[:, None]), 3)[0])


def z_score_kurtosis(c: Case) -> float:
    """Its excess kurtosis; that of a normal distribution is 0."""
    return float(_standardised_moment(scale("z_score", c.skewed[:, None]), 4)[0] - 3)


def skewness_kept(c: Case) -> float:
    x = np.concatenate([_features(c), c.skewed[:, None]], axis=1)
    return max(miss(_standardised_moment(scale(name, x), 3), _standardised_moment(x, 3)) for name in SCALED)


def kurtosis_kept(c: Case) -> float:
    x = np.concatenate([_features(c), c.skewed[:, None]], axis=1)
    return max(miss(_standardised_moment(scale(name, x), 4), _standardised_moment(x, 4)) for name in SCALED)


def order_kept(c: Case) -> float:
    """1 where the values of a feature come in another order after scaling."""
    x = _features(c)
    return float(any((scale(name, x).argsort(0) != x.argsort(0)).any() for name in SCALED))


def distances_kept(c: Case) -> float:
    """Distances between quantiles, as shares of the range."""
    x = _features(c)
    before = np.diff(np.quantile(x, np.linspace(0, 1, 8), axis=0), axis=0) / np.ptp(x, axis=0)
    after = [scale(name, x) for name in SCALED]
    return max(
        miss(np.diff(np.quantile(y, np.linspace(0, 1, 8), axis=0), axis=0) / np.ptp(y, axis=0), before) for y in after
    )


def ranges_apart(c: Case) -> float:
    """Range of the kilometres over that of the ages."""
    low, high = sorted(np.ptp(c.cars.x, axis=0))
    return float(high / low)


def common_scale(c: Case) -> float:
    """Ages and kilometres have equal ranges after min-max scaling, equal means and spreads after z-scoring."""
    z = scale("z_score", c.cars.x)
    apart = [np.ptp(scale("min_max", c.cars.x), axis=0), z.mean(0), z.std(0)]
    return max(float(np.ptp(numbers)) for numbers in apart)


FACTS = (
    min_max_range,
    fresh_data_leaves_the_range,
    outlier_squeezes_the_rest,
    described_low,
    described_high,
    described_width_and_mean,
    z_score_moments,
    z_score_skewness,
    z_score_kurtosis,
    skewness_kept,
    kurtosis_kept,
    order_kept,
    distances_kept,
    ranges_apart,
    common_scale,
)
