"""How often intervals miss and equal arms are said to differ, in simulations whose answer is known."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from bnlab import stats
from bnlab.claims import REFUTED, SUPPORTED, Part
from bnlab.comparisons import Cell
from bnlab.measures import gap

DRAWS = 20_000  # of intervals: four standard errors of a share of 5 % are 0.6 %
FEWER = 1_500  # of whole comparisons
MOST = 0.064  # of equal arms may be said to differ


@pytest.mark.parametrize("n", [2, 3, 5, 8, 10, 20])
def test_intervals_cover_a_normal_mean_as_often_as_they_say(n):
    _, low, high = stats.band(np.random.default_rng(n).normal(3.0, 2.0, (DRAWS, n)))
    covered = ((low <= 3.0) & (high >= 3.0)).mean()
    assert covered == pytest.approx(0.95, abs=0.006)


@pytest.mark.parametrize("n", [5, 10])
def test_the_interval_of_a_claim_covers_too(n):
    samples = np.random.default_rng(n).normal(3.0, 2.0, (4_000, n))
    intervals = [stats.mean_interval(s) for s in samples]
    assert 0.93 <= np.mean([i.low <= 3.0 <= i.high for i in intervals]) <= 0.97


@dataclass
class TwoArms:
    """Stands for stored runs: one value per arm and seed. Both arms share what the seed brings, and nothing else."""

    values: dict[str, dict[int, float]]
    data: str = "made"
    scale: str = "laptop"
    table = pd.DataFrame({"state": ["done"]})

    def select(self, **_):
        return self


def compare(n: int, margin: float, shift: float, seed: int) -> list[str]:
    """The verdicts of a part `a - b` on pairs that differ by `shift` on average, with noise of sd 1 in either arm."""
    rng = np.random.default_rng(seed)
    a, b = (Cell(name, {}, {"made-laptop": n}) for name in "ab")
    part = Part("a - b", "m", "a more", "units", margin, gap(a, b, lambda runs, arm: runs.values[arm.name]))
    said = []
    for _ in range(FEWER):
        common, own = rng.normal(0, 5, n), rng.standard_normal((2, n)) + [[shift], [0.0]]
        said.append(part.judge(TwoArms({k: dict(enumerate(common + v)) for k, v in zip("ab", own)})).verdict)
    return said


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_equal_arms_are_seldom_said_to_differ(n):
    """With margin 0 no verdict can say that they do not differ: supported and refuted both claim a difference."""
    said = compare(n, margin=0.0, shift=0.0, seed=n)
    assert 0.036 <= np.mean([verdict in (SUPPORTED, REFUTED) for verdict in said]) <= MOST


@pytest.mark.parametrize("edge, verdict", [(0.5, SUPPORTED), (-0.5, REFUTED)])
def test_a_difference_of_just_the_margin_is_seldom_claimed(edge, verdict):
    """At the edge itself only one side can err: 2.5 %."""
    assert np.mean([said == verdict for said in compare(5, 0.5, edge, seed=7)]) <= MOST / 2


def test_a_large_difference_is_nearly_always_claimed():
    assert np.mean([verdict == SUPPORTED for verdict in compare(5, 0.0, 5.0, seed=1)]) >= 0.95


def test_of_a_family_of_equal_arms_hardly_one_is_claimed_after_holm():
    """Ten statements, all without a difference: the share of families in which any p-value stays below 5 %."""
    families = np.random.default_rng(3).standard_normal((600, 10, 5))
    claimed = [min(stats.holm([stats.t_p_value(part) for part in family])) < 0.05 for family in families]
    assert 0.02 <= np.mean(claimed) <= 0.075
