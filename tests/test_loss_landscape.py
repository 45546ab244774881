"""The claims about the landscape say what their numbers say, in every direction; its figures survive missing runs."""

from __future__ import annotations

import dataclasses
import functools
import sys

import numpy as np
import pandas as pd
import pytest
from exchanged_arms import seen_by
from vgg_runs import relabelled, standing_for

from bnlab import published, smoothness
from bnlab.compose import card
from bnlab.config import flatten
from bnlab.errors import Incomplete
from bnlab.experiment import MODULES, load
from bnlab.store import Runs
from bnlab.sweeping.plan import make_plan

EXPERIMENT = load("loss_landscape")
module = sys.modules[f"{MODULES}.loss_landscape"]
CLAIMS = {claim.id: claim for claim in EXPERIMENT.claims}
SWAP = {"plain": "bn", "bn": "plain"}
COMPARING = ("P2-11", "P2-12", "P2-13", "P2-15", "P2-16")  # one arm with the other; and P2-14
GRID = module.GRID

# A net whose loss along a line is a parabola of curvature `curvature(row, share)`: everything follows from that.


def smooth(row: dict, share: np.ndarray) -> np.ndarray:
    """plain bends ten times as much at first and twice as much at the end, in units of 1 / lr."""
    extra = np.interp(share, [0, 1], [10.0, 2.0]) if row["variant"] == "plain" else np.ones_like(share)
    return 2 * extra / row["lr"]


def learnt(row: dict, share: np.ndarray) -> np.ndarray:
    return np.interp(share, [0, 1], [0.1, 1.0])


@functools.cache
def plan_of(data: str):
    return make_plan("loss_landscape", [f"data={data}", "scale=laptop"]).complete


def made(curvature=smooth, keep=lambda row: True, accuracy=learnt, data="digits", values=None) -> Runs:
    """Every planned run that `keep` admits; `values` may stand for the numbers of the parabola."""
    rows, metrics = [], []
    for number, run in enumerate(plan_of(data)):
        row = flatten(run.config) | {"run": f"{run.config.variant}/{run.id}", "state": "done", "diverged_at": np.nan}
        row |= {"steps_done": row["steps"], "seconds": 1.0}
        if keep(row):
            rows.append(row)
            metrics += records(row, curvature, accuracy, values or parabola, np.random.default_rng(number))
    table = pd.DataFrame(rows).set_index("run")
    distributions = pd.DataFrame(columns=["run", "metric", "step", "lo", "hi", "counts"])
    return Runs("loss_landscape", data, "laptop", "runs", len(plan_of(data)), table, pd.concat(metrics), distributions)


def records(row, curvature, accuracy, values, rng) -> list[pd.DataFrame]:
    steps = np.unique((np.linspace(0, 1, 41) * row["steps"]).astype(int))
    share = steps / row["steps"]
    found = {"curves/train_accuracy": accuracy(row, share)}
    bends = curvature(row, share) * np.exp(rng.normal(0, 0.02))
    lines = ("", "random_") if row["probe.landscape.random_direction"] else ("",)
    for factor in row["probe.landscape.factors"]:
        for line in lines:
            for name, series in values(bends, factor * row["lr"]).items():
                found[f"landscape/{line}{name}/{factor:g}"] = series
    data_loss = np.full(len(steps), 2.3)
    found |= {"curves/train_loss": data_loss, "landscape/gradient_norm": np.ones(len(steps))}
    found["landscape/loss"] = data_loss + 2000 * row["optim.weight_decay"]
    return [pd.DataFrame({"run": row["run"], "metric": m, "step": steps, "value": v}) for m, v in found.items()]


def parabola(bends: np.ndarray, length: float) -> dict[str, np.ndarray]:
    """Along a gradient of norm 1: the loss -a + h a² / 2, the gradient's change h a, beta h at every length."""
    change = bends * length
    return {"loss_change": -length + change * length / 2, "gradient_change": change, "beta_smoothness": bends}


def vanishing(bends: np.ndarray, length: float) -> dict[str, np.ndarray]:
    """A gradient that is gone behind every step: its change is its norm, and beta tells the step."""
    one = np.ones_like(bends)
    return {"loss_change": -length * one, "gradient_change": one, "beta_smoothness": one / length}


@functools.cache
def usual() -> Runs:
    return made()


def judged(name: str, runs: Runs):
    return CLAIMS[name].judge(runs)


@pytest.mark.parametrize("name", COMPARING)
def test_the_paper_is_supported_where_it_holds(name):
    found = judged(name, usual())
    assert found.verdict == "supported" and (found.n, found.planned) == (3, 3)
    assert {part.verdict for part in (found, *found.parts, *found.beside)} == {"supported"}


def test_effects_are_the_logarithms_of_what_was_put_in():
    """While both nets learn, the plain one bends between 8.2 and 2.9 times as much; the median is in the middle."""
    middle = np.log10(np.interp(5 / 9, [0, 1], [10, 2]))
    assert judged("P2-15", usual()).effect == pytest.approx(middle, abs=0.03)
    assert judged("P2-13", usual()).effect == pytest.approx(middle, abs=0.03)
    widths = [
        max(v) - min(v) for v in ([-a + h * a * a / 2 for a in (0.05, 0.1, 0.2, 0.4)] for h in (20, 20 * 10**middle))
    ]
    assert judged("P2-11", usual()).effect == pytest.approx(np.log10(widths[1] / widths[0]), abs=0.05)


@pytest.mark.parametrize("name", COMPARING)
def test_exchanging_the_arms_turns_every_part_round(name):
    before, after = judged(name, usual()), judged(name, relabelled(usual(), SWAP))
    assert after.verdict == "refuted"
    pairs = zip((before, *before.parts, *before.beside), (after, *after.parts, *after.beside))
    for one, other in pairs:
        assert (one.verdict, other.verdict) == ("supported", "refuted"), one.label
        if one.effect is not None:
            assert other.effect == pytest.approx(-one.effect)


@pytest.mark.parametrize("variant", ["plain", "bn"])
@pytest.mark.parametrize("name", [*COMPARING, "P2-14"])
def test_one_arm_in_both_places_claims_nothing(name, variant):
    found = judged(name, standing_for(usual(), variant, (SWAP[variant],)))
    assert {part.verdict for part in (found, *found.parts, *found.beside)} == {"refuted"}


def test_two_orders_of_magnitude_need_a_hundredfold():
    def hundredfold(row, share):
        return smooth(row, share) * (20 if row["variant"] == "plain" else 1)

    small, large = judged("P2-14", usual()), judged("P2-14", made(hundredfold))
    assert (small.verdict, large.verdict) == ("refuted", "supported")
    assert small.beside[-1].verdict == "supported", "that there is a difference stands beside it"
    assert judged("P2-14", relabelled(made(hundredfold), SWAP)).verdict == "refuted"


def test_a_range_that_stays_equally_wide_is_not_wide_especially_early():
    def steady(row, share):
        return np.full(len(share), 60.0 if row["variant"] == "plain" else 20.0)

    assert judged("P2-12", made(steady)).verdict == "refuted"
    assert judged("P2-11", made(steady)).verdict == "supported"


def test_the_initial_phases_begin_with_the_run():
    """A ratio that climbs steeply until a third of the run and falls then: its median there is that at a sixth."""

    def climbing(row, share):
        return (
            np.interp(share, [0, 1 / 3, 1], [2, 90, 2]) / row["lr"] if row["variant"] == "plain" else smooth(row, share)
        )

    def log_width(bend):
        losses = [-a + bend * a * a / 2 for a in (0.05, 0.1, 0.2, 0.4)]
        return np.log10(max(losses) - min(losses))

    found = judged("P2-12", made(climbing))
    initial, (middle, opening) = found, found.beside
    at = {share: log_width(np.interp(share, [0, 1 / 3, 1], [20, 900, 20])) for share in (1 / 6, 1 / 5, 1 / 2, 5 / 6)}
    assert initial.effect == pytest.approx(at[1 / 6] - at[5 / 6], abs=0.03)
    assert middle.effect == pytest.approx(at[1 / 6] - at[1 / 2], abs=0.03)
    assert opening.effect == pytest.approx(at[1 / 5] - at[5 / 6], abs=0.03)
    assert at[1 / 5] - at[1 / 6] > 0.06


def test_every_part_tells_what_it_compares():
    """For the test of exchanged arms, to which the runs come when they are shipped."""
    alone = ("beta is 2 / lr", "sets beta", "loss before training", "plain / bn")
    for claim in CLAIMS.values():
        for part in claim.parts:
            assert (seen_by(part, usual()).sides is None) is any(words in part.label for words in alone), part.label


def test_a_parabola_of_curvature_2_over_lr_is_the_edge_of_stability_and_no_floor():
    runs = made(lambda row, share: np.full(len(share), 2 / row["lr"]))
    assert [judged(name, runs).verdict for name in ("P2-17", "P2-18", "P2-19")] == ["supported", "refuted", "supported"]
    floor, edge = (judged(name, runs).parts[0].effect for name in ("P2-18", "P2-19"))
    assert (floor, edge) == (pytest.approx(-1, abs=1e-6), pytest.approx(0.5, abs=0.1))


def test_a_gradient_that_vanishes_gives_the_same_value_and_is_a_floor():
    runs = made(values=vanishing)
    assert [judged(name, runs).verdict for name in ("P2-17", "P2-18", "P2-19")] == ["supported", "supported", "refuted"]
    floor, edge = (judged(name, runs).parts[0].effect for name in ("P2-18", "P2-19"))
    assert (floor, edge) == (pytest.approx(1), pytest.approx(-0.5))


def test_a_curvature_that_does_not_move_with_the_rate_is_neither():
    runs = made(lambda row, share: np.full(len(share), 70.0))
    assert [judged(name, runs).verdict for name in ("P2-17", "P2-18", "P2-19")] == ["refuted"] * 3


def test_the_loss_before_training_tells_the_penalty():
    """2.3 without; 1 more with a penalty of half the sum of squares, 2 more with one of the sum."""
    found = judged("P2-20", made(lambda row, share: np.full(len(share), 40.0)))
    assert found.verdict == "refuted"
    assert [part.verdict for part in found.beside] == ["refuted"] * 3 + ["supported"] * 2
    assert module.published_start("plain") == pytest.approx(4.267, abs=0.001)
    for times in module.PENALTIES:
        losses = module.start_loss(usual(), "bn", times)
        assert list(losses.values()) == pytest.approx([2.3 + times - 0.05] * 3, abs=0.05)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_missing_runs_are_counted_not_hidden(kept):
    runs = made(keep=lambda row: row["variant"] != "plain" or row["seed"] < kept)
    for claim in EXPERIMENT.claims:
        found = claim.judge(runs)
        assert (found.n, found.planned) == (kept, 3), claim.id
        assert kept == 2 or found.verdict in ("undecided", "refuted"), claim.id


def test_a_net_that_never_learns_decides_nothing_at_equal_progress():
    def stuck(row, share):
        return np.full(len(share), 0.1) if (row["variant"], row["seed"]) == ("plain", 0) else learnt(row, share)

    runs = made(accuracy=stuck)
    found = judged("P2-11", runs)
    assert found.verdict == "undecided" and "1 of 3 seeds finished without a value" in found.note
    assert judged("P2-12", runs).verdict == "supported", "shares of the run need no progress"


def test_only_the_primary_cell_decides():
    runs = made(keep=lambda row: row["lr"] == 0.1 and row["optim.weight_decay"] == 0)
    found = judged("P2-11", runs)
    assert found.verdict == "supported"
    assert [part.n for part in found.beside if "lr 0.025" in part.label or "decay" in part.label] == [0, 0]


def test_width_and_change_against_a_slow_twin():
    arm = module.cell("plain", module.LOWER).of(usual())
    for line, prefix in smoothness.LINES.items():
        wide, far = smoothness.width(arm, GRID, line), smoothness.change(arm, GRID, line)
        for run, seed in arm.table["seed"].items():
            mine = arm.metrics[arm.metrics["run"] == run].set_index(["metric", "step"])["value"]
            for step in (0, wide.index[7], wide.index[-1]):
                losses = [mine[f"landscape/{prefix}loss_change/{f:g}", step] for f in GRID]
                changes = [mine[f"landscape/{prefix}gradient_change/{f:g}", step] for f in GRID]
                assert wide.loc[step, seed] == pytest.approx(max(losses) - min(losses))
                assert far.loc[step, seed] == max(changes)


def test_the_grids_of_the_two_rates_share_their_lengths():
    lengths = [[lr * factor for factor in factors] for lr, factors in module.SHARED.items()]
    assert lengths[0] == pytest.approx(lengths[1])


def test_published_numbers_are_those_of_the_fact_sheet():
    """Medians of figure 4 over the four windows, as measured elsewhere from the same figure."""
    told = {
        smoothness.width: ((1.40, 2.25, 0.82, 0.12), (0.72, 0.30, 0.13, 0.12)),
        smoothness.change: ((52, 74, 46, 22), (29, 25, 17, 18)),
        smoothness.beta: ((21.0, 20.3, 20.0, 20.0), (16.9, 19.9, 20.0, 20.0)),
    }
    for quantity, arms in told.items():
        for variant, numbers in zip(module.VARIANTS, arms):
            found = [module.published_median(quantity, variant, window) for window in module.SHARES.values()]
            assert found == pytest.approx(numbers, rel=0.1, abs=0.02)


def test_distances_are_those_of_published_curves_and_stand_on_cifar10_only():
    assert not [part for part in judged("P2-15", usual()).beside if part.verdict == "measured"]
    there = judged("P2-15", made(lambda row, share: np.full(len(share), 50.0), data="cifar10"))
    plain, bn = (part for part in there.beside if part.verdict == "measured")
    for part, series in ((plain, "standard"), (bn, "bn")):
        steps, values = published.curve("santurkar2018", "fig4", "beta_eff", series)
        assert part.effect == pytest.approx(np.abs(50 - values).mean(), abs=1.0)


def test_seeds_and_records_are_those_of_the_plan():
    for name, setting in card("loss_landscape").settings.items():
        runs = make_plan("loss_landscape", [f"data={setting.data}", f"scale={setting.scale}"]).complete
        counted = {}
        for run in runs:
            config = run.config
            assert set(config.probe.names) == {"curves", "landscape"} and config.probe.landscape.factors == GRID
            key = (config.variant, config.lr, config.optim.weight_decay, config.probe.landscape.random_direction)
            counted[key] = counted.get(key, 0) + 1
            assert (config.steps == 1) is (not config.probe.landscape.random_direction)
        others = module.OTHER_SEEDS[name]
        for variant in module.VARIANTS:
            assert counted.pop((variant, 0.1, 0.0, True)) == module.SEEDS[name]
            assert counted.pop((variant, 0.025, 0.0, True)) == others
            assert counted.pop((variant, 0.1, 5e-4, True)) == counted.pop((variant, 0.1, 5e-4, False)) == others
        assert not counted


@pytest.mark.parametrize("name", [*EXPERIMENT.figures])
@pytest.mark.parametrize("left", ["everything", "one seed", "only bn", "cifar10"])
def test_figures_survive_what_is_missing(name, left):
    keep = {"one seed": lambda row: row["seed"] == 1, "only bn": lambda row: row["variant"] == "bn"}
    drawing = EXPERIMENT.figures[name](
        made(keep=keep.get(left, lambda row: True), data="cifar10" if left == "cifar10" else "digits")
    )
    assert (
        "-laptop" in drawing.caption
        and "95 % t" in drawing.caption
        and "of 3 seeds" in drawing.caption.replace("5", "3")
    )
    assert {"bn", "plain"} >= set(drawing.numbers["variant"].dropna()) >= {"bn"}
    drawing.figure.draw_without_rendering()


def test_figures_without_an_arm_say_so():
    elsewhere = dataclasses.replace(usual(), table=usual().table.assign(variant="layer"))
    for draw in EXPERIMENT.figures.values():
        with pytest.raises(Incomplete, match="bnlab run loss_landscape data=digits scale=laptop"):
            draw(elsewhere)
