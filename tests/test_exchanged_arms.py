"""In a copy of every shipped pack, exchanging two arms turns every comparison round, and one arm as both shows nothing.

Left out, by what they are: statements without an interval (identities and other exact ones, which compare nothing but
a form with its value), and parts that hold one arm against a fixed threshold, which have no second arm to exchange.
Published distances are numbers beside a claim and decide nothing.
"""

import re
import shutil
from dataclasses import replace

import pytest
from exchanged_arms import Sides, seen_by
from shipped import PACKS

from bnlab.claims import REFUTED, SUPPORTED, UNDECIDED, Measured, Part, judge_part
from bnlab.experiment import load
from bnlab.store import load_runs
from bnlab.sweeping.plan import make_plan

TURNED = {SUPPORTED: REFUTED, UNDECIDED: UNDECIDED}
COMPARISON = re.compile(r"\b(over(?! the)|less|minus|than)\b|\w - \w*(plain|bn)")


@pytest.fixture(scope="module", params=PACKS, ids=lambda p: f"{p.parent.name}-{p.name}")
def shipped(request, tmp_path_factory):
    """The runs of a copied pack with the claims of its experiment."""
    setting = tmp_path_factory.mktemp("copy") / request.param.parent.name / request.param.name
    shutil.copytree(request.param / "pack", setting / "pack")
    data, _, scale = setting.name.rpartition("-")
    plan = make_plan(setting.parent.name, [f"data={data}", f"scale={scale}"])
    return load_runs(setting, plan.complete, "pack"), load(setting.parent.name).claims


@pytest.fixture(scope="module")
def seen(shipped):
    """Every part that could be measured."""
    runs, claims = shipped
    parts = {part.label: part for claim in claims for part in claim.parts}
    return [found for found in (seen_by(part, runs) for part in parts.values()) if found]


@pytest.mark.shipped
def test_every_interval_belongs_to_a_part_of_its_claim(shipped):
    runs, claims = shipped
    for claim in claims:
        verdict = claim.judge(runs)
        told = {v.label for v in (*(verdict.parts or (verdict,)), *verdict.beside) if v.interval is not None}
        missing = told - {part.label for part in claim.parts}
        assert not missing, f"{claim.id}: give the Claim the parts of {missing}, so that their arms can be exchanged"


@pytest.mark.shipped
def test_exchanging_two_arms_turns_every_comparison_round(seen):
    for part, there, runs, sides in ((s.part, s.verdict, s.runs, s.sides) for s in seen if s.sides):
        back = judge_part(part, sides.exchanged(runs))
        assert (back.n, back.effect is None) == (there.n, there.effect is None), part.label
        if there.effect is not None:
            assert back.effect == pytest.approx(2 * part.slack - there.effect, rel=1e-9, abs=1e-12), part.label
            if not part.slack:  # each of two may be no worse than the other
                assert back.verdict == _turned(there), f"{part.label}: {there.verdict} becomes {back.verdict}"


def _turned(verdict) -> str:
    """What is refuted for lying within the margin stays so: either way round the two do not differ."""
    if verdict.verdict != REFUTED:
        return TURNED[verdict.verdict]
    return SUPPORTED if verdict.interval[1] < -verdict.margin else REFUTED


@pytest.mark.shipped
def test_one_arm_as_both_shows_no_difference(seen):
    for part, runs, sides in ((s.part, s.runs, s.sides) for s in seen if s.sides):
        for one in (sides, sides.turned):
            found = judge_part(part, one.first_as_both(runs))
            assert found.effect in (None, pytest.approx(part.slack, abs=1e-12)), part.label
            assert found.verdict != SUPPORTED or part.slack, part.label
            if found.verdict == REFUTED:  # for lying within the margin: the two do not differ
                assert part.differs and found.interval == (0.0, 0.0) and part.margin > 0, part.label


@pytest.mark.shipped
def test_what_names_two_things_is_exchanged(seen):
    """What is taken for one arm would pass the tests above without a comparison."""
    overlooked = [s.part.label for s in seen if s.sides is None and COMPARISON.search(s.part.label)]
    assert not overlooked, f"{overlooked}: these name two arms, and were taken for one against a threshold"


def test_a_part_whose_arms_do_not_show_says_what_to_declare():
    from made_runs import made_runs

    runs = made_runs(
        lambda row, steps, rng: {f"a/{k}/x": 0.0 * steps for k in range(3)}, ("data=digits", "scale=smoke")
    )
    one = runs.select(seed=0, variant="bn", **{"model.name": "convnet"})

    def measure(runs):
        for k in range(3):
            runs.series(f"a/{k}/x")
        return Measured({0: 0.0}, 1)

    part = Part("three metrics", "a", "up", "units", 0.1, measure)
    with pytest.raises(LookupError, match="three metrics: reads 1 sets of runs and 3 metrics.*arms="):
        seen_by(part, one)
    assert seen_by(replace(part, arms=("a",)), one).sides is None
    assert seen_by(replace(part, arms=("0", "1")), one).sides == Sides("0", "1")
