"""Statistics against oracles: closed forms, published tables and simulation."""

import math

import numpy as np
import pytest

from bnlab import stats

# m, E[max] and sd of the max of m N(0,1), E[max] of m batch-standardised normals (the last simulated, +-0.004).
MAXIMA = [
    (10, 1.539, 0.587, 1.662),
    (32, 2.070, 0.492, 2.125),
    (33, 2.082, 0.490, 2.132),
    (60, 2.319, 0.455, 2.350),
    (100, 2.508, 0.429, 2.530),
    (128, 2.595, 0.419, 2.614),
    (256, 2.827, 0.392, 2.833),
    (1000, 3.241, 0.351, 3.245),
]


@pytest.mark.parametrize("m, mean, sd, standardised", MAXIMA)
def test_expected_maximum_of_a_batch(m, mean, sd, standardised):
    assert stats.max_moments(m) == (pytest.approx(mean, abs=6e-4), pytest.approx(sd, abs=6e-4))
    assert stats.standardised_max(m) == pytest.approx(standardised, abs=0.008)


def test_standardised_maximum_of_two_is_exactly_one():
    assert stats.standardised_max(2) == pytest.approx(1.0, abs=1e-7)


def test_standardised_maximum_agrees_with_simulation():
    x = np.random.default_rng(0).standard_normal((40_000, 10))
    largest = ((x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)).max(1)
    assert stats.standardised_max(10) == pytest.approx(largest.mean(), abs=4 * largest.std() / 200)


def test_septiles_behind_batch_normalisation():
    ideal = [0.2559, 0.3622, 0.4551, 0.5449, 0.6378, 0.7441]
    assert stats.sigmoid_quantiles([k / 7 for k in range(1, 7)]) == pytest.approx(ideal, abs=5e-5)


def test_normal_cdf():
    assert stats.normal_cdf(0) == 0.5
    assert stats.normal_cdf(-0.1) == pytest.approx(0.460172, abs=1e-6)


def test_interval_equals_scipy():
    from scipy.stats import ttest_1samp

    values = [0.3, 1.2, 0.9, 0.4, -0.2]
    test = ttest_1samp(values, 0.1)
    expected = test.confidence_interval(0.95)
    found = stats.mean_interval(values)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert stats.t_p_value(values, 0.1) == pytest.approx(test.pvalue)


def test_interval_of_few():
    assert stats.mean_interval([2.0]) == stats.Interval(2.0, None, None, 1)
    assert math.isnan(stats.mean_interval([]).mean)
    assert stats.mean_interval({0: 1.0, 1: math.nan, 2: 3.0}).n == 2


def test_band_agrees_with_interval_column_by_column():
    values = np.array([[1.0, 2.0, 4.0], [1.0, np.nan, 3.0], [5.0, np.nan, np.nan]])
    mean, low, high = stats.band(values)
    for row, m, lo, hi in zip(values[:2], mean, low, high):
        one = stats.mean_interval(row)
        assert (m, lo, hi) == (pytest.approx(one.mean), pytest.approx(one.low), pytest.approx(one.high))
    assert mean[2] == 5 and np.isnan(low[2])


def test_holm_against_a_worked_example():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([]) == []
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]


def test_pairs_are_matched_by_seed_and_none_is_dropped():
    found = stats.paired_difference({2: 5.0, 0: 1.0, 1: 2.0}, {1: 1.0, 2: 1.0, 7: 0.0})
    assert list(found) == [0, 1, 2, 7]
    assert (found[1], found[2]) == (1.0, 4.0)
    assert math.isnan(found[0]) and math.isnan(found[7])


def test_window_mean_takes_its_ends_and_skips_gaps():
    steps = np.array([0, 10, 20, 30])
    values = np.array([[9.0, 9.0], [1.0, np.nan], [3.0, np.nan], [9.0, 9.0]])
    found = stats.window_mean(steps, values, 10, 20)
    assert found[0] == 2 and np.isnan(found[1])


def test_steps_to_a_threshold_or_never():
    steps = np.array([0, 20, 40])
    assert stats.steps_to(steps, np.array([0.1, np.nan, 0.9]), 0.8) == 40
    never = stats.steps_to(steps, np.array([0.1, 0.2, 0.3]), 0.8)
    assert stats.steps_text(never, 40) == "> 40" and stats.steps_text(20.0, 40) == "20"


def test_slope():
    assert stats.slope([1, 2, 3], [2, math.nan, 6]) == pytest.approx(2)
    assert math.isnan(stats.slope([1, 2], [math.nan, 1]))


def test_kurtosis_of_known_shapes():
    flat = np.ones(64)
    assert stats.excess_kurtosis(0, 1, flat) == pytest.approx(-1.2, abs=1e-3)
    edges = np.linspace(-5, 5, 65)
    bell = np.diff([stats.normal_cdf(e) for e in edges])
    assert stats.excess_kurtosis(-5, 5, bell) == pytest.approx(0, abs=0.02)
    ends = np.zeros(64)
    ends[[0, -1]] = 1
    assert stats.excess_kurtosis(0, 1, ends) == pytest.approx(-2)
    assert math.isnan(stats.excess_kurtosis(0, 0, flat))
