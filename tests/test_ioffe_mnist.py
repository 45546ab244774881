"""The claims on figure 1 of Ioffe and Szegedy 2015 say what their numbers say, in either direction."""

import dataclasses
import itertools
import sys

import numpy as np
import pandas as pd
import pytest
from made_runs import made_runs, planned, without
from smoke import smoke_runs

from bnlab.claims import MEASURED, REFUTED, SUPPORTED, UNDECIDED
from bnlab.compose import card
from bnlab.config import flatten
from bnlab.errors import Incomplete
from bnlab.experiment import MODULES, load

EXPERIMENT = load("ioffe_mnist")
module = sys.modules[f"{MODULES}.ioffe_mnist"]
CLAIMS = {claim.id: claim for claim in EXPERIMENT.claims}
MNIST = ("data=mnist", "scale=laptop")
TWINS = {"variant": {"plain": "bn", "bn": "plain"}, "data.pixels": {"unit": "standardized", "standardized": "unit"}}


def as_the_paper_says(row, steps, rng, quick=("bn", "standardized")):
    """A quick net has its accuracy after 2,000 steps, a slow one after 9,000 and a point less; a slow one's input moves
    by 2, and its width by 4; a quick one's by 0.2 and 1."""
    ahead = row["variant"] in quick or row["data.pixels"] in quick
    noise = rng.normal(0, 0.0002)
    reached = 2_000 if ahead else 9_000
    way = np.linspace(0, 1, len(steps)) * (1 + 10 * noise)
    median, half = ((0.2 * way), 1 + 0.5 * way) if ahead else (2 * way, 2 * way)
    return {
        "curves/test_accuracy": np.where(steps >= reached, (0.98 if ahead else 0.97) + noise, 0.5),
        "activations/unit_p15/03": median - half,
        "activations/unit_p50/03": median,
        "activations/unit_p85/03": median + half,
    }


def runs_of(keep=lambda row: True, **changes):
    return made_runs(lambda *given: as_the_paper_says(*given, **changes), MNIST, keep, "ioffe_mnist")


@pytest.fixture(scope="module")
def runs():
    return runs_of()


def swapped(runs):
    """Plain runs become those with batch normalisation and back, raw inputs normalised ones and back."""
    table = runs.table.copy()
    binary = table["data.pixels"] == "binary"
    table.loc[binary, "variant"] = table.loc[binary, "variant"].map(TWINS["variant"])
    table.loc[~binary, "data.pixels"] = table.loc[~binary, "data.pixels"].map(TWINS["data.pixels"])
    return dataclasses.replace(runs, table=table)


def one_as_both(runs):
    """Every plain run replaced by a copy of its twin with batch normalisation, raw inputs by normalised ones."""
    kept = runs.table[(runs.table["variant"] == "bn") | (runs.table["data.pixels"] == "standardized")]
    bn = kept["variant"] == "bn"
    copies = kept.assign(variant="plain").assign(**{"data.pixels": kept["data.pixels"].where(bn, "unit")})
    rename = {run: f"twin-{run}" for run in kept.index}
    metrics = runs.metrics[runs.metrics["run"].isin(kept.index)]
    twins = metrics.assign(run=metrics["run"].map(rename))
    return dataclasses.replace(
        runs, table=pd.concat([kept, copies.rename(index=rename)]), metrics=pd.concat([metrics, twins])
    )


def parts_of(claim, runs):
    """What was judged of a claim, without the times, which the plan does not make, and what decides nothing."""
    found = claim.judge(runs)
    every = found.parts or (found,)
    beside = [part for part in found.beside if part.unit not in ("milliseconds", "seconds")]
    return [*every, *(part for part in beside if part.verdict != MEASURED)]


def test_the_sentences_are_supported_where_they_hold(runs):
    found = {id: claim.judge(runs) for id, claim in CLAIMS.items()}
    assert {verdict.verdict for verdict in found.values()} == {SUPPORTED}
    assert {id: (v.n, v.planned) for id, v in found.items()} == {
        id: (3, 3) if id == "S3-03" else (10, 10) for id in CLAIMS
    }
    assert found["P1-01"].effect == pytest.approx((0.98 * 2 - 0.5 - 0.97) / 3, abs=1e-3)
    assert found["P1-02"].effect == pytest.approx(0.01, abs=5e-4)
    assert [part.effect for part in found["P1-03"].parts] == pytest.approx([1.8, 3.0], rel=0.02)
    assert found["S2-17"].parts[0].effect == pytest.approx((0.98 * 9 + 0.5 * 2 - 0.97 * 2 - 0.5 * 9) / 11, abs=2e-3)
    assert found["S3-03"].parts[1].effect == pytest.approx(0.98 - (0.5 + 2 * 0.97) / 3, abs=1e-3)


def test_steps_and_cells_stand_beside(runs):
    beside = CLAIMS["P1-01"].judge(runs).beside
    assert beside[0].effect == 5_000 and beside[0].published.value == 10_600
    assert len(beside) == 1 + 8 + 2 and all(part.n == 3 for part in beside[1:9])
    assert [part.verdict for part in beside[9:]] == [MEASURED] * 2


def test_the_distance_from_the_published_curve_is_that_of_the_mean_over_seeds(runs):
    theirs = dict(zip(*module.curve("ioffe2015", "fig1a", "test_acc", "with_bn")))
    ours = module.BN.of(runs).series(module.ACCURACY).mean(axis=1)
    expected = np.mean([abs(np.interp(step, ours.index, ours) - value) for step, value in theirs.items()])
    (plain, bn) = module.accuracy_distances(runs)
    assert bn.effect == pytest.approx(expected) and (bn.n, bn.planned) == (10, 10)
    assert plain.effect > bn.effect
    assert len(list(module.percentile_distances(runs))) == 6


def test_the_published_percentiles_move_as_measured_by_hand():
    """Read off the curves: the median without from -0.4 to 0.9, the width from 0.07 to 3.5 of the axis."""
    moved = [module.published_movement(v, q) for v in ("plain", "bn") for q in (module.median_of, module.width_of)]
    assert moved == pytest.approx([1.26, 3.40, 0.19, 1.43], abs=0.01)


@pytest.mark.parametrize("id", CLAIMS)
def test_swapping_the_labels_turns_every_part_round(runs, id):
    there, back = parts_of(CLAIMS[id], runs), parts_of(CLAIMS[id], swapped(runs))
    assert CLAIMS[id].judge(swapped(runs)).verdict == REFUTED
    for part, turned in zip(there, back, strict=True):
        assert (part.verdict, turned.verdict) == (SUPPORTED, REFUTED), part.label
        assert turned.effect == pytest.approx(-part.effect)


@pytest.mark.parametrize("id", CLAIMS)
def test_one_arm_used_as_both_claims_nothing(runs, id):
    found = parts_of(CLAIMS[id], one_as_both(runs))
    assert all(part.effect == 0 and part.verdict == REFUTED for part in found)


def test_time_is_steps_times_what_each_took(runs):
    """Batch normalisation half as dear again per step: dearer, and still sooner where it saves half of the steps."""
    table = runs.table.assign(seconds=np.where(runs.table["variant"] == "bn", 0.0015, 0.001) * runs.table["steps"])
    step, whole = CLAIMS["S3-03"].judge(dataclasses.replace(runs, table=table)).beside[1:3]
    assert (step.verdict, step.effect) == (REFUTED, pytest.approx(-0.5))
    assert (whole.verdict, whole.effect) == (SUPPORTED, pytest.approx(10_000 * 0.001 - 5_000 * 0.0015))


def test_a_net_that_never_learns_needs_more_than_all_steps():
    found = CLAIMS["P1-01"].judge(runs_of(quick=())).beside[0]
    assert found.effect == 0
    never = made_runs(lambda row, steps, rng: {"curves/test_accuracy": 0.1 + 0 * steps}, MNIST, lambda row: True,
                      "ioffe_mnist")  # fmt: skip
    assert "plain > 50000" in CLAIMS["P1-01"].judge(never).beside[0].note


def test_diverged_runs_count_as_chance_and_have_no_movement(runs):
    broken = (runs.table["variant"] == "plain") & (runs.table["steps"] == 50_000) & (runs.table["seed"] < 2)
    table = runs.table.assign(state=np.where(broken, "diverged", "done"), diverged_at=np.where(broken, 400.0, np.nan))
    ill = dataclasses.replace(runs, table=table)
    assert module.early(ill, module.PLAIN)[0] == 0.1 != module.early(ill, module.PLAIN)[2]
    found = CLAIMS["P1-03"].judge(ill)
    assert found.verdict == UNDECIDED and "2 of 10 seeds finished without a value" in found.parts[0].note


def test_missing_cells_and_single_seeds_decide_nothing(runs):
    for keep in (lambda row: row["seed"] == 0, lambda row: row["variant"] != "bn"):
        few = runs_of(keep)
        assert {claim.judge(few).verdict for claim in CLAIMS.values()} == {UNDECIDED}
    no_cell = without(runs, "model.init_std", 0.01)
    assert CLAIMS["S3-03"].judge(no_cell).verdict == UNDECIDED
    assert CLAIMS["P1-01"].judge(no_cell).verdict == SUPPORTED


def test_seeds_and_steps_on_record_are_those_of_the_plan():
    assert set(module.SEEDS) == set(module.GRID_SEEDS) == set(module.EARLY_STEPS) == set(card("ioffe_mnist").settings)
    for setting, early in module.EARLY_STEPS.items():
        data, scale = setting.split("-")
        plan = planned((f"data={data}", f"scale={scale}"), "ioffe_mnist").complete
        table = pd.DataFrame([flatten(run.config) for run in plan])
        places = tuple(itertools.product(module.DEVIATIONS, module.RATES))
        every = [*(module.cell(v, place) for v in module.ARMS for place in places), module.RAW, module.NORMALISED]
        for one in every:
            chosen = table[np.logical_and.reduce([table[key] == value for key, value in one.keys.items()])]
            assert len(chosen) == chosen["seed"].nunique() == one.seeds[setting]
            longest = one in (module.BN, module.PLAIN)
            assert (chosen["steps"] > early).all() if longest else (chosen["steps"] == early).all()
        assert sum(one.seeds[setting] for one in every) == len(table)


@pytest.mark.parametrize("name", EXPERIMENT.figures)
def test_figures_show_their_numbers_and_survive_a_missing_arm(runs, name):
    for shown in (runs, without(runs, "variant", "bn"), without(runs, "model.init_std", 0.05)):
        drawing = EXPERIMENT.figures[name](shown)
        assert "mnist-laptop" in drawing.caption and "95 % t band" in drawing.caption
        drawing.figure.draw_without_rendering()
        assert len(drawing.numbers)
    with pytest.raises(Incomplete, match="bnlab run ioffe_mnist data=mnist scale=laptop"):
        EXPERIMENT.figures[name](dataclasses.replace(runs, table=runs.table.iloc[:0]))


def test_a_panel_of_the_grid_tells_steps_and_distance(runs):
    drawing = EXPERIMENT.figures["unstated_settings"](runs)
    words = [text.get_text() for ax in drawing.figure.axes for text in ax.texts]
    assert len(words) == 18 and words[0].startswith("plain: 95 % at 9000, ") and words[1].startswith("BN: 95 % at 2000")
    assert drawing.numbers["step"].max() == 10_000


def test_a_smoke_plan_runs_to_its_claims_and_figures(tmp_path):
    found = smoke_runs("ioffe_mnist", tmp_path, lambda config: config.seed == 0)
    assert found.n == 20 and set(found.table["state"]) == {"done"}
    for claim in EXPERIMENT.claims:
        verdict = claim.judge(found)
        assert verdict.verdict == UNDECIDED and verdict.n == 1
    for draw in EXPERIMENT.figures.values():
        drawing = draw(found)
        assert drawing.numbers["mean"].notna().any()
        assert not any("published" in str(name) for name in drawing.numbers.get("metric", ()))
    assert not list(module.accuracy_distances(found)) and not list(module.percentile_distances(found))
