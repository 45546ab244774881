"""The distance between our curve and a published one: closed forms, and a number beside the claim."""

import math

import numpy as np
import pandas as pd
import pytest
from made_runs import made_runs

from bnlab.claim_report import claim_rows, claims_markdown
from bnlab.claims import MEASURED, UNDECIDED, Claim, Verdict
from bnlab.comparisons import Distance, distance, distance_beside

STEPS = np.array([0.0, 100.0, 200.0, 300.0])


def ours(*seeds, every=50, last=400):
    steps = np.arange(0, last + 1, every)
    return pd.DataFrame({k: [value(s) for s in steps] for k, value in enumerate(seeds)}, index=steps)


def test_a_constant_offset_is_both_distances():
    found = distance(ours(lambda s: s + 3.0, lambda s: s + 5.0), STEPS, STEPS)
    assert found == Distance(4.0, 4.0, 4, 0.0, 300.0)


def test_differences_of_either_sign_cancel_in_the_signed_one_alone():
    found = distance(ours(lambda s: 7.0), STEPS, 7.0 + np.array([1.0, -1.0, 2.0, -2.0]))
    assert (found.absolute, found.signed) == (1.5, 0.0)


def test_seeds_are_averaged_before_the_difference_is_taken():
    """+-1 around the published curve: the mean lies on it, though no seed does."""
    assert distance(ours(lambda s: 1.0, lambda s: -1.0), STEPS, 0 * STEPS).absolute == 0.0


def test_between_two_records_ours_is_linear():
    """Of s^2 recorded every 100 steps the chord lies (50)^2 above the curve half-way between."""
    middles = STEPS + 50
    found = distance(ours(lambda s: float(s) ** 2, every=100), middles, middles**2)
    assert found.absolute == pytest.approx(2_500) and found.points == 4


def test_only_steps_that_both_have_count():
    found = distance(ours(lambda s: 0.0, last=200), np.array([-1.0, *STEPS]), np.array([99.0, 1.0, 1.0, 1.0, 99.0]))
    assert found == Distance(1.0, -1.0, 3, 0.0, 200.0)


def test_records_that_a_seed_lacks_are_left_out():
    series = ours(lambda s: 1.0, lambda s: 3.0)
    series.loc[series.index > 200, 1] = math.nan
    assert distance(series, STEPS, 0 * STEPS) == Distance(2.0, 2.0, 3, 0.0, 200.0)


@pytest.mark.parametrize("series", [ours(lambda s: 1.0) + math.nan, pd.DataFrame(), ours(lambda s: 1.0, last=0)])
def test_without_a_common_step_there_is_no_distance(series):
    found = distance(series, np.array([500.0]), np.array([1.0]))
    assert math.isnan(found.absolute) and math.isnan(found.signed) and found.points == 0
    assert distance_beside("far", "accuracy", series, (np.array([500.0]), np.array([1.0])), 3).effect is None


def test_it_stands_beside_the_claim_and_leaves_its_verdict_alone():
    told = (STEPS, 0 * STEPS)
    beside = distance_beside("published curve", "points", ours(lambda s: 2.5), told, 4)
    claim = Claim("S0-01", "s", "S", "t", test=lambda _: Verdict(UNDECIDED, 0.5), distances=lambda _: [beside])
    runs = made_runs(lambda *_: {}, ("data=digits", "scale=smoke"))
    (row,) = claim_rows([claim], runs)
    assert (row["verdict"], row["effect"]) == (UNDECIDED, 0.5)
    (shown,) = row["beside"]
    assert (shown["verdict"], shown["effect"], shown["n"], shown["planned"]) == (MEASURED, 2.5, 1, 4)
    assert shown["note"] == "ours - published +2.5 on average, 4 published points, steps 0 to 300"
    page = claims_markdown([row])
    assert "| beside it: published curve | **measured** | +2.5 points |" in page
    assert "decides nothing" in page
