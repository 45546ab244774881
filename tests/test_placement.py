"""The claim on the place of batch normalisation says what its numbers say, in either direction."""

import dataclasses
import itertools
import sys

import numpy as np
import pandas as pd
import pytest
from made_runs import made_runs, planned, without

from bnlab.claims import MIXED, REFUTED, SUPPORTED, UNDECIDED
from bnlab.compose import card
from bnlab.config import flatten
from bnlab.errors import Incomplete
from bnlab.experiment import MODULES, load

EXPERIMENT = load("placement")
module = sys.modules[f"{MODULES}.placement"]
(CLAIM,) = EXPERIMENT.claims
MNIST = ("data=mnist", "scale=laptop")
SWAPPED = {"before": "after", "after": "before"}


def as_the_article_says(row, steps, rng, better=("relu", "sigmoid", "tanh")):
    """Before is better by one percentage point, and reaches 95 % at half the steps, where `better` says so."""
    ahead = (row["norm.position"] == "before") == (row["model.activation"] in better)
    reached = 0.5 if ahead else 1.0
    return {
        "curves/test_accuracy": np.full(len(steps), (0.98 if ahead else 0.97) + rng.normal(0, 0.0005)),
        "curves/train_accuracy": np.where(steps >= reached * row["steps"], 0.99, 0.5),
    }


def runs_of(values=as_the_article_says, **chosen):
    return made_runs(values, MNIST, experiment="placement", **chosen)


@pytest.fixture(scope="module")
def runs():
    return runs_of()


def swapped(runs):
    table = runs.table.assign(**{"norm.position": runs.table["norm.position"].map(SWAPPED)})
    return dataclasses.replace(runs, table=table)


def before_as_both(runs):
    """Every run behind the activation replaced by a copy of its twin before it."""
    before = runs.select(**{"norm.position": "before"})
    rename = {run: f"twin-{run}" for run in before.table.index}
    table = before.table.rename(index=rename).assign(**{"norm.position": "after"})
    metrics = before.metrics.assign(run=before.metrics["run"].map(rename))
    return dataclasses.replace(
        before, table=pd.concat([before.table, table]), metrics=pd.concat([before.metrics, metrics])
    )


def test_the_sentence_is_supported_where_it_holds(runs):
    found = CLAIM.judge(runs)
    assert (found.verdict, found.n, found.planned) == (SUPPORTED, 5, 5)
    assert [part.label for part in found.parts] == ["ReLU", "sigmoid", "tanh"]
    assert found.effect == pytest.approx(0.01, abs=0.001)
    assert len(found.beside) == 6 and {part.verdict for part in found.beside} == {SUPPORTED}
    assert found.beside[3].effect >= 200


def test_swapping_the_labels_turns_every_part_round(runs):
    there, back = CLAIM.judge(runs), CLAIM.judge(swapped(runs))
    assert back.verdict == REFUTED
    for part, turned in zip((*there.parts, *there.beside), (*back.parts, *back.beside), strict=True):
        assert (part.verdict, turned.verdict) == (SUPPORTED, REFUTED), part.label
        assert turned.effect == pytest.approx(-part.effect)


def test_one_arm_used_as_both_claims_nothing(runs):
    found = CLAIM.judge(before_as_both(runs))
    assert all(part.effect == 0 and part.verdict == REFUTED for part in (*found.parts, *found.beside))


def test_activations_that_disagree_make_it_mixed():
    found = CLAIM.judge(runs_of(lambda *given: as_the_article_says(*given, better=("sigmoid",))))
    assert found.verdict == MIXED
    assert [part.verdict for part in found.parts] == [REFUTED, SUPPORTED, REFUTED]


def test_the_fast_rate_does_not_decide():
    def slow_only(row, steps, rng):
        return as_the_article_says(row, steps, rng, ("relu", "sigmoid", "tanh") if row["lr"] < 0.01 else ())

    found = CLAIM.judge(runs_of(slow_only))
    assert found.verdict == SUPPORTED and {part.verdict for part in found.beside[:3]} == {REFUTED}


def test_one_seed_decides_nothing():
    found = CLAIM.judge(runs_of(keep=lambda row: row["seed"] == 0))
    assert (found.verdict, found.n, found.planned, found.interval) == (UNDECIDED, 1, 5, None)


def test_seeds_on_record_are_those_of_the_plan():
    for rate, setting in itertools.product((module.SLOW, module.FAST), card("placement").settings):
        data, scale = setting.split("-")
        plan = planned((f"data={data}", f"scale={scale}"), "placement").complete
        table = pd.DataFrame([flatten(run.config) for run in plan])
        cells = table[table["lr"] == rate].groupby(["norm.position", "model.activation"])["seed"]
        assert len(cells) == 6 and set(cells.nunique()) == set(cells.count()) == {module.SEEDS[rate][setting]}


def test_the_figure_shows_its_numbers_and_survives_a_missing_arm(runs):
    for shown in (runs, without(runs, "norm.position", "after"), without(runs, "model.activation", "tanh")):
        drawing = EXPERIMENT.figures["placement"](shown)
        assert "mnist-laptop" in drawing.caption and "95 % t" in drawing.caption
        drawing.figure.draw_without_rendering()
    whole = EXPERIMENT.figures["placement"](runs)
    assert "n = 5 of 5 seeds" in whole.caption
    relu = whole.numbers[whole.numbers["panel"] == "ReLU"]
    assert relu["mean"].dropna().iloc[-1] == pytest.approx(CLAIM.judge(runs).parts[0].effect * 100)
    with pytest.raises(Incomplete, match="bnlab run placement data=mnist scale=laptop"):
        EXPERIMENT.figures["placement"](without(without(runs, "lr", 0.003), "lr", 0.03))
