"""The claim about gradients says what its numbers say, in every direction; its figures survive missing runs."""

from __future__ import annotations

import dataclasses
import sys
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
from vgg_runs import relabelled, standing_for

from bnlab import published
from bnlab.compose import card
from bnlab.config import flatten
from bnlab.errors import Incomplete
from bnlab.experiment import MODULES, load
from bnlab.store import Runs
from bnlab.sweeping.plan import make_plan

# What each arm shows while its training accuracy lies between 0.3 and 0.9, and what it shows at any other time.
Numbers = dict[str, dict[str, tuple[float, float]]]
ARTICLE: Numbers = {
    "plain": {"change": (0.05, 0.05), "cosine": (0.4, 0.4), "relative": (1.0, 1.0)},
    "bn": {"change": (0.002, 0.002), "cosine": (0.8, 0.8), "relative": (0.3, 0.3)},
}
PAPER: Numbers = ARTICLE | {"bn": {"change": (0.002, 0.002), "cosine": (0.2, 0.95), "relative": (1.0, 0.1)}}
SWAP = {"plain": "bn", "bn": "plain"}


def made(
    numbers: Numbers = ARTICLE,
    keep=lambda row: True,
    accuracy=None,
    data="digits",
    spread=MappingProxyType({}),
) -> Runs:
    """Every planned run that `keep` admits; `accuracy(row, share)` is the training accuracy along the run, `spread` the
    variance of an arm's inputs where it is not 1."""
    plan = make_plan("ics_gradient", [f"data={data}", "scale=laptop"])
    rows, metrics = [], []
    for number, run in enumerate(plan.complete):
        row = flatten(run.config) | {"run": f"{run.config.variant}/{run.id}", "state": "done", "diverged_at": np.nan}
        row |= {"steps_done": row["steps"], "seconds": 1.0}
        row["spread"] = spread.get(row["variant"], 1.0)
        if keep(row):
            rows.append(row)
            metrics += records(row, numbers[row["variant"]], np.random.default_rng(number), accuracy or rising)
    table = pd.DataFrame(rows).set_index("run")
    distributions = pd.DataFrame(columns=["run", "metric", "step", "lo", "hi", "counts"])
    return Runs("ics_gradient", data, "laptop", "runs", len(plan.complete), table, pd.concat(metrics), distributions)


def rising(row: dict, share: np.ndarray) -> np.ndarray:
    """bn learns within the first quarter, plain in the second half."""
    return np.interp(share, [0, 0.25], [0.1, 1.0]) if row["variant"] == "bn" else np.interp(share, [0.5, 1], [0.1, 1])


def records(row, numbers, rng, accuracy) -> list[pd.DataFrame]:
    share = np.linspace(0, 1, 101)
    right = accuracy(row, share)
    learning = (right > 0.27) & (right < 0.93)
    found = {"curves/train_accuracy": right}

    def series(name: str, factor: float) -> np.ndarray:
        return np.where(learning, *numbers[name]) * factor

    for layer in row["probe.moments.layers"]:
        for moment in ("mean", "var"):
            found[f"moments/{moment}_change/{layer:02d}"] = series("change", np.exp(rng.normal(0, 0.05)))
        found[f"moments/var/{layer:02d}"] = np.full(len(share), row["spread"])
    for layer in row["probe.ics.layers"]:
        found[f"ics/cosine/{layer:02d}"] = series("cosine", 1 + rng.normal(0, 0.01))
        found[f"ics/relative/{layer:02d}"] = series("relative", np.exp(rng.normal(0, 0.05)))
        found[f"ics/l2/{layer:02d}"] = series("relative", np.exp(rng.normal(0, 0.05)))
    steps = (share * row["steps"]).astype(int)
    return [pd.DataFrame({"run": row["run"], "metric": m, "step": steps, "value": v}) for m, v in found.items()]


@pytest.fixture(scope="module")
def experiment():
    return load("ics_gradient")


@pytest.fixture(scope="module")
def module(experiment):
    return sys.modules[MODULES + ".ics_gradient"]


def judged(experiment, runs, name="S2-22"):
    (claim,) = [claim for claim in experiment.claims if claim.id == name]
    return claim.judge(runs)


def test_the_article_is_supported_where_it_holds(experiment):
    found = judged(experiment, made())
    assert found.verdict == "supported" and (found.n, found.planned) == (3, 3)
    assert [part.effect for part in found.parts[:6]] == pytest.approx([np.log10(0.05 / 0.002)] * 6, abs=0.15)
    assert [part.effect for part in found.parts[6:]] == pytest.approx([0.4] * 2, abs=0.05)
    assert {part.verdict for part in found.beside} == {"supported"}


def test_where_gradients_turn_further_while_learning_the_sentence_is_mixed(experiment):
    """Over the whole run bn looks firmer there, because it has stopped learning for most of it."""
    found = judged(experiment, made(PAPER))
    assert found.verdict == "mixed"
    assert [part.verdict for part in found.parts] == ["supported"] * 6 + ["refuted"] * 2
    assert [part.effect for part in found.parts[6:]] == pytest.approx([-0.2] * 2, abs=0.03)
    whole = [part for part in found.beside if "turns less" in part.label and "lr 0.1, whole run" in part.label]
    assert [part.verdict for part in whole] == ["supported"] * 2


def test_wide_inputs_are_told_from_moving_ones(experiment):
    """Plain inputs with 900 times the variance move more, and less for their spread."""
    found = judged(experiment, made(spread={"plain": 30.0**2}))
    assert found.verdict == "supported"
    (relative,) = [part for part in found.beside if "for their spread" in part.label]
    assert relative.verdict == "refuted"
    assert relative.effect == pytest.approx(np.log10(0.05 / 0.002) - 1.5 * np.log10(30), abs=0.1)


def test_exchanging_the_arms_turns_every_part_round(experiment):
    runs = made()
    before, after = judged(experiment, runs), judged(experiment, relabelled(runs, SWAP))
    assert after.verdict == "refuted"
    for one, other in zip((*before.parts, *before.beside), (*after.parts, *after.beside)):
        assert (one.verdict, other.verdict) == ("supported", "refuted")
        assert other.effect == pytest.approx(-one.effect)


@pytest.mark.parametrize("variant", ["plain", "bn"])
def test_one_arm_in_both_places_claims_nothing(experiment, variant):
    found = judged(experiment, standing_for(made(), variant, (SWAP[variant],)))
    assert found.verdict != "supported"
    assert all(part.effect == 0 for part in (*found.parts, *found.beside))


def test_a_net_that_never_learns_decides_nothing(experiment):
    def stuck(row, share):
        return np.full(len(share), 0.1) if (row["variant"], row["seed"]) == ("plain", 0) else rising(row, share)

    found = judged(experiment, made(accuracy=stuck))
    assert found.verdict == "undecided" and found.n == 2
    assert all("1 of 3 seeds finished without a value" in part.note for part in found.parts)
    assert [part.verdict for part in found.beside if "whole run" in part.label] == ["supported"] * 17


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_missing_runs_are_counted_not_hidden(experiment, kept):
    found = judged(experiment, made(keep=lambda row: row["variant"] != "plain" or row["seed"] < kept))
    assert (found.n, found.planned) == (kept, 3)
    assert found.verdict == ("supported" if kept == 2 else "undecided")


def test_the_other_rate_is_shown_and_does_not_decide(experiment):
    found = judged(experiment, made(keep=lambda row: row["lr"] == 0.1))
    assert found.verdict == "supported"
    assert [part.n for part in found.beside if "lr 0.01" in part.label] == [0] * 16


def test_published_numbers_are_medians_of_the_published_curves(module):
    for lr, layers in module.PUBLISHED_COSINES.items():
        for layer, numbers in zip(module.PUBLISHED_LAYERS, layers):
            for name, number in zip(("standard", "bn"), numbers):
                key = ("santurkar2018", "fig3_vgg", f"ics_cos_layer{layer}_lr{lr:g}", name)
                assert published.median_every(*key, 100) == pytest.approx(number, abs=6e-4)


def test_seeds_and_records_are_those_of_the_plan(module):
    for name, setting in card("ics_gradient").settings.items():
        runs = make_plan("ics_gradient", [f"data={setting.data}", f"scale={setting.scale}"]).complete
        cells = {(run.config.variant, run.config.lr): 0 for run in runs}
        for run in runs:
            cells[run.config.variant, run.config.lr] += 1
            linear = setting.data == module.LINEAR
            assert len(run.config.probe.moments.layers) == (0 if linear else len(module.INPUT_PLACES))
            assert len(run.config.probe.ics.layers) == len(module.GRADIENT_PLACES)
            assert {"curves", "ics"} | (set() if linear else {"moments"}) <= set(run.config.probe.names)
        rates = module.LINEAR_RATES if linear else module.RATES
        assert cells == {(v, lr): module.SEEDS[name] for v in module.VARIANTS for lr in rates}


@pytest.mark.parametrize(
    "name, data",
    [("P2-05", "digits"), ("P2-06", "digits"), ("P2-07", "gaussian_map"), ("P2-08", "gaussian_map")],
)
def test_the_paper_is_supported_where_gradients_shift_more_with_bn(experiment, name, data):
    """And refuted with the arms exchanged, which is what the article says."""
    runs = made(relabelled_numbers(), data=data)
    before, after = judged(experiment, runs, name), judged(experiment, relabelled(runs, SWAP), name)
    assert (before.verdict, after.verdict) == ("supported", "refuted")
    assert before.n == before.planned == (3 if data == "digits" else 10)
    assert [part.effect for part in before.parts] == pytest.approx(
        [0.4, 0.4, np.log10(1 / 0.3), np.log10(1 / 0.3)], abs=0.08
    )
    for one, other in zip(before.parts, after.parts):
        assert other.effect == pytest.approx(-one.effect)


def relabelled_numbers() -> Numbers:
    return {"plain": ARTICLE["bn"], "bn": ARTICLE["plain"]}


@pytest.mark.parametrize("name", ["P2-07", "P2-08"])
def test_one_arm_as_both_leaves_the_paper_undecided(experiment, name):
    found = judged(experiment, standing_for(made(data="gaussian_map"), "bn", ("plain",)), name)
    assert found.verdict == "undecided" and all(part.effect == 0 for part in found.parts)


def test_distances_are_from_the_curves_of_the_same_net_and_rate(experiment):
    vgg, linear = ("P2-05", "P2-06"), ("P2-07", "P2-08")
    for data, names, number in (("digits", vgg, 0), ("cifar10", vgg, 4), ("gaussian_map", linear, 4)):
        for name in names:
            measured = [part for part in judged(experiment, made(data=data), name).beside if part.verdict == "measured"]
            assert len(measured) == number and all(0 < part.effect < 2 for part in measured)


@pytest.mark.parametrize("name", ["gradient_cosines", "medians"])
@pytest.mark.parametrize("left", ["everything", "one run", "only bn"])
def test_figures_survive_what_is_missing(experiment, name, left):
    keep = {
        "everything": lambda row: True,
        "one run": lambda row: (row["variant"], row["lr"], row["seed"]) == ("bn", 0.1, 1),
        "only bn": lambda row: row["variant"] == "bn",
    }[left]
    drawing = experiment.figures[name](made(keep=keep))
    assert "digits-laptop" in drawing.caption and "95 % t interval" in drawing.caption
    assert {"bn", "plain"} >= set(drawing.numbers["variant"]) >= {"bn"}


def test_figures_without_an_arm_say_so(experiment):
    runs = made()
    elsewhere = dataclasses.replace(runs, table=runs.table.assign(lr=0.7))
    for draw in experiment.figures.values():
        with pytest.raises(Incomplete, match="bnlab run ics_gradient data=digits scale=laptop"):
            draw(elsewhere)


def test_published_curves_are_drawn_on_the_data_of_the_paper_only(experiment):
    for data in ("cifar10", "gaussian_map"):
        there = experiment.figures["gradient_cosines"](made(data=data))
        assert there.numbers["metric"].str.contains("published").any()
    here = experiment.figures["gradient_cosines"](made())
    assert not here.numbers["metric"].str.contains("published").any()
