"""The claims about the landscape of the deep linear net say what their numbers say."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from made_runs import made_runs, planned, without
from vgg_runs import relabelled, standing_for

from bnlab.claims import REFUTED, SUPPORTED, UNDECIDED
from bnlab.cli import main
from bnlab.errors import Incomplete
from bnlab.experiment import MODULES, load

EXPERIMENT = load("linear_landscape")
module = sys.modules[f"{MODULES}.linear_landscape"]
SMOOTHER, SETTLES = EXPERIMENT.claims
WORDS = ("data=gaussian_map", "scale=laptop")
SWAP = {"plain": "bn", "bn": "plain"}


def parabola(row, steps, rng, bends=None) -> dict[str, np.ndarray]:
    """Along a gradient of norm 1, with a curvature of 2 / lr, ten times that without bn."""
    bends = bends or {"bn": 2e6, "plain": 2e7}
    bend = bends[row["variant"]] * np.exp(rng.normal(0, 0.02)) * np.ones(len(steps))
    found = {"curves/train_loss": 50 + 0 * bend, "landscape/loss": 50 + 0 * bend}
    for factor in row["probe.landscape.factors"]:
        length = factor * row["lr"]
        for line in ("", "random_"):
            name = f"landscape/{line}{{}}/{factor:g}".format
            found[name("loss_change")] = bend * length**2 / 2 - length
            found[name("gradient_change")] = bend * length
            found[name("beta_smoothness")] = bend
    return found


def runs_of(values=parabola, **chosen):
    return made_runs(values, WORDS, experiment="linear_landscape", **chosen)


@pytest.fixture(scope="module")
def runs():
    return runs_of()


def test_a_smoother_net_is_supported_and_the_other_order_refuted(runs):
    there, back = SMOOTHER.judge(runs), SMOOTHER.judge(relabelled(runs, SWAP))
    assert (there.verdict, there.n, there.planned, back.verdict) == (SUPPORTED, 10, 10, REFUTED)
    assert [part.effect for part in there.parts[1:]] == pytest.approx([1, 1], abs=0.03)
    for one, other in zip((*there.parts, *there.beside), (*back.parts, *back.beside), strict=True):
        assert (one.verdict, other.verdict) == (SUPPORTED, REFUTED), one.label
        assert other.effect == pytest.approx(-one.effect)


def test_one_arm_used_as_both_claims_nothing(runs):
    found = SMOOTHER.judge(standing_for(runs, "bn", ("plain",)))
    assert {part.verdict for part in (*found.parts, *found.beside)} == {REFUTED}


def test_beta_is_held_against_2_over_the_rate(runs):
    plain, bn = SETTLES.judge(runs).parts
    assert (plain.verdict, bn.verdict) == (REFUTED, SUPPORTED)
    assert (plain.effect, bn.effect) == (pytest.approx(-0.9, abs=0.03), pytest.approx(0.1, abs=0.03))


def test_notes_tell_the_means_that_the_effects_compare(runs):
    """The difference of the logarithms of the two noted means is the effect, however far the seeds lie apart."""

    def apart(row, steps, rng):
        bend = 10.0 ** (row["seed"] % 4) * 1e4
        return parabola(row, steps, rng, {"bn": bend, "plain": 2 * bend})

    for part in SMOOTHER.judge(runs_of(apart)).parts:
        kind, sides = part.note.split(": ")
        plain, bn = (float(side.split()[1]) for side in sides.split(", "))
        assert kind == "geometric means" and np.log10(plain / bn) == pytest.approx(part.effect, abs=1e-3)


def test_few_runs_decide_nothing():
    found = SMOOTHER.judge(runs_of(keep=lambda row: row["variant"] == "bn" or row["seed"] == 0))
    assert (found.verdict, found.n, found.planned) == (UNDECIDED, 1, 10)


def test_the_plan_has_the_seeds_and_step_lengths_on_record():
    for setting, seeds in module.SEEDS.items():
        data, scale = setting.split("-")
        plan = planned((f"data={data}", f"scale={scale}"), "linear_landscape").complete
        assert len(plan) == 2 * seeds
        assert {run.config.probe.landscape.factors for run in plan} == {module.GRID}
        assert {run.config.lr for run in plan} == {module.RATE}


def test_the_figure_shows_its_numbers_and_survives_a_missing_arm(runs):
    (draw,) = EXPERIMENT.figures.values()
    for shown in (runs, without(runs, "variant", "plain")):
        drawing = draw(shown)
        assert "gaussian_map-laptop" in drawing.caption and "95 % t" in drawing.caption
        drawing.figure.draw_without_rendering()
    below = draw(runs).numbers.query("variant == 'bn' and panel == 'beta_smoothness, gradient line'")
    assert below["mean"].to_numpy() == pytest.approx(2, abs=0.1)
    with pytest.raises(Incomplete, match="bnlab run linear_landscape data=gaussian_map scale=laptop"):
        draw(relabelled(runs, {"plain": "layer", "bn": "group"}))


def test_a_smoke_run_from_end_to_end(tmp_path, capfd):
    words = ["reproduce", "linear_landscape", "data=gaussian_map", "scale=smoke", "--results", str(tmp_path)]
    assert main(words) == 0
    assert "P2-21" in capfd.readouterr().out
    assert len([*tmp_path.rglob("figures/linear_landscape.*")]) == 4
