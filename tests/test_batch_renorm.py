"""The claims on batch renormalisation say what their numbers say, in either direction."""

import dataclasses
import itertools
import sys

import numpy as np
import pandas as pd
import pytest
from made_runs import made_runs, planned, without

from bnlab.claims import MIXED, REFUTED, SUPPORTED, UNDECIDED
from bnlab.compose import card
from bnlab.config import RenormConfig, flatten
from bnlab.errors import Incomplete
from bnlab.experiment import MODULES, load

EXPERIMENT = load("batch_renorm")
module = sys.modules[f"{MODULES}.batch_renorm"]
CLAIMS = {claim.id: claim for claim in EXPERIMENT.claims}
MNIST = ("data=mnist", "scale=laptop")
LOSSES = {(0, 0): 0.0, (4, 0): 0.04, (2, 0): 0.2, (0, 4): 0.1, (0, 2): 0.3}  # of BN, by group size and classes


def as_the_paper_says(row, steps, rng, losses=LOSSES):
    """BN loses with small and few-class batches, with the latter at evaluation only; renorm loses nothing."""
    kind = row["norm.ghost_size"], row["data.batch_classes"]
    lost = losses[kind] if row["variant"] == "bn" else 0.0
    test = 0.98 - lost + rng.normal(0, 0.0005)
    by_batch = test + (0.9 * lost if kind[1] else -0.2 * lost)
    numbers = {"test_accuracy": test, "test_accuracy_by_batch": by_batch, "train_accuracy": by_batch + 0.01}
    return {f"curves/{name}": np.full(len(steps), value) for name, value in numbers.items()}


def runs_of(values=as_the_paper_says, **chosen):
    return made_runs(values, MNIST, experiment="batch_renorm", **chosen)


@pytest.fixture(scope="module")
def runs():
    return runs_of()


def relabelled(runs, column, names):
    """The runs with the values of a column exchanged."""
    return dataclasses.replace(runs, table=runs.table.assign(**{column: runs.table[column].replace(names)}))


def renamed_metrics(runs, names):
    return dataclasses.replace(runs, metrics=runs.metrics.assign(metric=runs.metrics["metric"].replace(names)))


def bn_as_both(runs):
    """Every run of renorm replaced by a copy of its twin of BN."""
    bn = runs.select(variant="bn")
    rename = {run: f"twin-{run}" for run in bn.table.index}
    table = pd.concat([bn.table, bn.table.rename(index=rename).assign(variant="renorm")])
    metrics = pd.concat([bn.metrics, bn.metrics.assign(run=bn.metrics["run"].map(rename))])
    return dataclasses.replace(bn, table=table, metrics=metrics)


def test_all_claims_are_supported_where_the_paper_holds(runs):
    for claim in CLAIMS.values():
        found = claim.judge(runs)
        assert (found.verdict, found.n, found.planned) == (SUPPORTED, 10, 10), claim.id
    effects = [part.effect for part in CLAIMS["P3-03"].judge(runs).parts]
    assert effects == pytest.approx([0.1, 0.3], abs=0.001)
    by_batch = CLAIMS["P3-05"].judge(runs)
    assert [part.effect for part in by_batch.parts] == pytest.approx([0.09, 0.27], abs=0.001)
    assert [part.effect for part in by_batch.beside] == pytest.approx([0.1, 0.28], abs=0.001)
    nearer = {part.label: part.effect for part in CLAIMS["P3-06"].judge(runs).parts}
    assert nearer["renorm nearer, groups of 2"] == pytest.approx(0.04) and len(nearer) == 4


SWAPS = {
    "P3-02": ("variant", {"bn": "renorm", "renorm": "bn"}),
    "P3-03": ("variant", {"bn": "renorm", "renorm": "bn"}),
    "P3-06": ("variant", {"bn": "renorm", "renorm": "bn"}),
}


@pytest.mark.parametrize("claim", SWAPS)
def test_swapping_the_arms_turns_the_verdict_round(claim, runs):
    there, back = CLAIMS[claim].judge(runs), CLAIMS[claim].judge(relabelled(runs, *SWAPS[claim]))
    for part, turned in zip(there.parts, back.parts, strict=True):
        assert (part.verdict, turned.verdict) == (SUPPORTED, REFUTED), part.label
        assert turned.effect == pytest.approx(-part.effect)


def test_swapping_ordinary_and_small_batches_turns_the_part_round(runs):
    back = CLAIMS["P3-04"].judge(relabelled(runs, "norm.ghost_size", {0: 4, 4: 0}))
    assert back.parts[0].verdict == REFUTED and back.parts[0].effect == pytest.approx(-0.04, abs=0.001)


def test_swapping_the_modes_turns_the_verdict_round(runs):
    modes = {module.BY_BATCH: module.EVALUATED, module.EVALUATED: module.BY_BATCH}
    found = CLAIMS["P3-05"].judge(renamed_metrics(runs, modes))
    assert found.verdict == REFUTED
    assert [part.effect for part in found.parts] == pytest.approx([-0.09, -0.27], abs=0.001)


@pytest.mark.parametrize(("lost", "verdict"), [(0.002, SUPPORTED), (0.02, REFUTED)])
def test_a_worse_renorm_does_not_retain_the_benefits(lost, verdict):
    better_bn = {**LOSSES, (0, 0): -lost}
    found = CLAIMS["P3-01"].judge(runs_of(lambda *given: as_the_paper_says(*given, losses=better_bn)))
    assert found.verdict == verdict and {part.verdict for part in found.parts} == {verdict}


def test_slower_training_with_an_equal_end_is_seen():
    def late_riser(row, steps, rng):
        values = as_the_paper_says(row, steps, rng)
        if row["variant"] == "renorm":
            values[module.EVALUATED] = values[module.EVALUATED] - np.where(steps < row["steps"] / 2, 0.5, 0)
        return values

    found = CLAIMS["P3-01"].judge(runs_of(late_riser))
    assert found.verdict == MIXED and [part.verdict for part in found.parts] == [SUPPORTED, REFUTED]


def test_one_arm_used_as_both_claims_nothing(runs):
    twice = bn_as_both(runs)
    for claim in ("P3-02", "P3-03", "P3-06"):
        found = CLAIMS[claim].judge(twice)
        assert all(part.effect == 0 and part.verdict == REFUTED for part in found.parts), claim
    assert CLAIMS["P3-01"].judge(twice).verdict == SUPPORTED  # it is as good as itself


def test_kinds_of_batches_that_disagree_make_it_mixed():
    reversed_for_two = {**LOSSES, (0, 2): -0.01}
    found = CLAIMS["P3-03"].judge(runs_of(lambda *given: as_the_paper_says(*given, losses=reversed_for_two)))
    assert found.verdict == MIXED and [part.verdict for part in found.parts] == [SUPPORTED, REFUTED]


def test_one_seed_decides_nothing():
    few = runs_of(keep=lambda row: row["seed"] == 0)
    for claim in CLAIMS.values():
        found = claim.judge(few)
        assert (found.verdict, found.n, found.planned, found.interval) == (UNDECIDED, 1, 10, None), claim.id


def test_nothing_is_decided_without_an_arm(runs):
    for claim in ("P3-01", "P3-02", "P3-03", "P3-06"):
        assert CLAIMS[claim].judge(without(runs, "variant", "renorm")).verdict == UNDECIDED


def broken(runs, which):
    """The chosen runs diverged at their first step."""
    table = runs.table.copy()
    table.loc[which(table), ["state", "diverged_at"]] = ["diverged", 1.0]
    return dataclasses.replace(runs, table=table)


def test_divergence_counts_at_chance_and_where_all_diverged_nothing_is_compared(runs):
    some = broken(runs, lambda t: (t["variant"] == "bn") & (t["seed"] == 3))
    assert CLAIMS["P3-02"].judge(some).parts[0].n == 10
    assert CLAIMS["P3-02"].judge(some).effect == pytest.approx(0.04 + (0.94 - 0.1) / 10, abs=0.001)
    every = broken(runs, lambda t: t["seed"] >= 0)
    for claim in CLAIMS.values():
        assert claim.judge(every).verdict == UNDECIDED, claim.id
        assert "nothing is compared" in claim.judge(every).parts[0].note


def test_seeds_and_kinds_on_record_are_those_of_the_plan():
    for setting in card("batch_renorm").settings:
        data, scale = setting.split("-")
        plan = planned((f"data={data}", f"scale={scale}"), "batch_renorm").complete
        table = pd.DataFrame([flatten(run.config) for run in plan])
        cells = table.groupby(["variant", "norm.ghost_size", "data.batch_classes"])["seed"].nunique()
        assert set(cells) == {module.SEEDS[setting]}
        assert set(cells.index) == {(v, *kind) for v, kind in itertools.product(module.VARIANTS, LOSSES)}
        assert len(plan) == cells.sum()


def test_the_setting_on_mnist_has_the_schedule_it_tells_of():
    config = planned(MNIST, "batch_renorm").complete[0].config
    assert config.norm.renorm == RenormConfig(3.0, 5.0, 5_000 // 50, 40_000 // 50, 25_000 // 50)
    assert config.steps > config.norm.renorm.r_full and config.norm.momentum == 0.01


@pytest.fixture(scope="module")
def drawn(runs):
    return {name: draw(runs) for name, draw in EXPERIMENT.figures.items()}


@pytest.mark.parametrize("name", EXPERIMENT.figures)
def test_figures_survive_missing_arms(name, runs, drawn):
    assert "n = 10 of 10 seeds" in drawn[name].caption
    for drawing in (drawn[name], EXPERIMENT.figures[name](without(runs, "variant", "bn"))):
        assert "mnist-laptop" in drawing.caption and "95 % t" in drawing.caption
    drawing.figure.draw_without_rendering()
    with pytest.raises(Incomplete, match="bnlab run batch_renorm data=mnist scale=laptop"):
        EXPERIMENT.figures[name](without(without(runs, "variant", "bn"), "variant", "renorm"))


def test_the_numbers_of_the_figures_are_those_of_the_claims(runs, drawn):
    curves, ends = drawn["accuracy"].numbers, drawn["ends"].numbers
    last = curves[(curves["panel"] == "2 classes") & (curves["variant"] == "bn")]["mean"].iloc[-1]
    assert last == pytest.approx(68, abs=0.1)
    effect = ends[(ends["panel"] == "renorm - BN") & (ends["label"] == "groups of 4")].iloc[0]
    assert effect["mean"] == pytest.approx(100 * CLAIMS["P3-02"].judge(runs).parts[0].effect)
    assert effect["published"] == pytest.approx(2.3)
