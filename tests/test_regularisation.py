"""The claims on regularisation say what their numbers say; the exact facts hold and a wrong layer is caught."""

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from made_runs import made_runs, planned, without

from bnlab import paths, procedures
from bnlab.claims import MIXED, REFUTED, SUPPORTED, UNDECIDED
from bnlab.config import NormConfig, RunConfig, flatten
from bnlab.errors import Incomplete
from bnlab.exact import ROUNDING, Identity
from bnlab.experiment import MODULES, load
from bnlab.norms import make_norm
from bnlab.procedures import batch_noise
from bnlab.running import run_one
from bnlab.store import load_runs

EXPERIMENT = load("regularisation")
module = sys.modules[f"{MODULES}.regularisation"]
CLAIMS = {claim.id: claim for claim in EXPERIMENT.claims}
MNIST = ("data=mnist", "scale=laptop")
cell = module.cell


def gap_of(row):
    """Smaller with BN, with small statistics and with dropout."""
    found = {"plain": 0.12, "bn": 0.10 + 0.00004 * row["batch_size"], "ghost": 0.10}[row["variant"]]
    return found - 0.02 * (row["model.dropout"] > 0) - 0.01 * (row["model.dropout"] > 0.3)


def as_the_articles_say(row, steps, rng, at=gap_of):
    """BN learns its images at a fifth of the steps, plain at half; test accuracies are 0.99 less the gap."""
    if row["procedure"] != "train":
        return {f"noise/{fact.__name__}": np.full(len(steps), 1e-15) for fact in batch_noise.FACTS}
    gap = at(row) + rng.normal(0, 0.0003)
    plain = row["variant"] == "plain"
    rise = np.where(steps == row["steps"], (0.1 if plain else 0.03) + rng.normal(0, 0.001), 0)
    full_loss = np.where(steps >= (0.5 if plain else 0.2) * row["steps"], 0.05, 1.0)
    return {
        "curves/full_accuracy": np.full(len(steps), 0.99),
        "curves/test_accuracy": np.full(len(steps), 0.99 - gap),
        "curves/full_loss": full_loss,
        "curves/test_loss": np.where(full_loss < 0.1, 3 * gap, 1.0) + rise,
    }


def runs_of(values=as_the_articles_say, **chosen):
    return made_runs(values, MNIST, experiment="regularisation", **chosen)


@pytest.fixture(scope="module")
def runs():
    return runs_of()


def relabelled(runs, change):
    """The runs under other names: `change` maps a row of the table to the keys to overwrite."""
    table = runs.table.copy()
    for run, row in runs.table[runs.table["procedure"] == "train"].iterrows():
        for key, value in change(row).items():
            table.loc[run, key] = value
    return dataclasses.replace(runs, table=table)


def plain_for_bn(row):
    return {"variant": {"plain": "bn", "bn": "plain"}.get(row["variant"], row["variant"])}


def whole_for_ghosts(row):
    if row["batch_size"] == 256 and row["variant"] == "bn":
        return {"variant": "ghost", "norm.ghost_size": 8}
    return {"variant": "bn", "norm.ghost_size": 0} if row["norm.ghost_size"] == 8 else {}


def none_for_half(row):
    if row["batch_size"] == 32 and row["model.dropout"] in (0.0, 0.5) and row["model.dropout_layers"] == "last":
        return {"model.dropout": 0.5 - row["model.dropout"]}
    return {}


def test_the_sentences_are_supported_where_they_hold(runs):
    verdicts = {id: claim.judge(runs) for id, claim in CLAIMS.items()}
    assert {id: v.verdict for id, v in verdicts.items()} == dict.fromkeys(CLAIMS, SUPPORTED)
    assert {p.n for p in verdicts["S0-01"].parts} == {p.planned for p in verdicts["S0-01"].parts} == {10}
    assert [p.effect for p in verdicts["S0-01"].parts] == pytest.approx([0.01968, 0.01872, 0.00976], abs=4e-4)
    speed, narrower, rise = verdicts["S2-01"].parts
    assert speed.effect == pytest.approx(np.log10(0.5 / 0.2)) and rise.effect == pytest.approx(0.07, abs=0.002)
    assert narrower.effect == verdicts["S0-01"].parts[1].effect
    scatter = next(p for p in verdicts["S2-23"].beside if p.label == module.MEAN_SCATTERS.label)
    assert scatter.n == 10 * 11 and verdicts["S2-23"].n == 10
    assert verdicts["S2-24"].parts[0].effect == pytest.approx(0.0113, abs=4e-4)


def test_what_stands_beside_is_told_with_its_sign(runs):
    beside = {part.label: part for claim in CLAIMS.values() for part in claim.judge(runs).beside}
    assert beside[module.TREND.label].effect == pytest.approx(0.00992, abs=5e-4)
    assert beside[module.NO_RISE.label].verdict == REFUTED  # its test loss does rise, by 0.03
    assert beside[module.IN_LOSS[1].label].effect == pytest.approx(3 * 0.01872, abs=2e-3)
    assert beside[module.OF_THE_BATCH[1].label].verdict == REFUTED  # plain nets do not care for m here
    assert beside[module.ALONE[2].label].effect == pytest.approx(0.03, abs=5e-4)


@pytest.mark.parametrize(
    ("claim", "change"),
    [("S0-01", plain_for_bn), ("S2-01", plain_for_bn), ("S2-23", whole_for_ghosts), ("S2-24", none_for_half)],
)
def test_swapping_the_labels_turns_the_parts_round(runs, claim, change):
    there, back = CLAIMS[claim].judge(runs), CLAIMS[claim].judge(relabelled(runs, change))
    turned = [(p, q) for p, q in zip(there.parts, back.parts, strict=True) if p.interval]
    if claim == "S2-24":  # the other shares of dropout keep their names
        turned = [turned[0], turned[3]]
    for part, other in turned:
        assert (part.verdict, other.verdict) == (SUPPORTED, REFUTED), part.label
        if claim != "S2-24":
            assert other.effect == pytest.approx(-part.effect)


def copied(runs, kept, name, **keys):
    """A twin of every run that `kept` says, under other keys, in place of those that have them."""
    chosen = runs.table[kept(runs.table)]
    rename = {run: f"{name}-{run}" for run in chosen.index}
    metrics = runs.metrics[runs.metrics["run"].isin(chosen.index)]
    twins = metrics.assign(run=metrics["run"].map(rename))
    return chosen.rename(index=rename).assign(**keys), twins


def test_one_arm_used_as_both_claims_nothing(runs):
    bn = runs.select(variant="bn", procedure="train")
    table, metrics = copied(bn, lambda t: t["variant"] == "bn", "twin", variant="plain")
    both = dataclasses.replace(runs, table=pd.concat([bn.table, table]), metrics=pd.concat([bn.metrics, metrics]))
    for part in CLAIMS["S0-01"].judge(both).parts + CLAIMS["S2-01"].judge(both).parts:
        assert part.effect == 0 and part.verdict == REFUTED, part.label
    whole = runs.select(variant="bn", batch_size=256)
    table, metrics = copied(whole, lambda t: t["seed"] >= 0, "ghost", variant="ghost", **{"norm.ghost_size": 8})
    both = dataclasses.replace(
        whole, table=pd.concat([whole.table, table]), metrics=pd.concat([whole.metrics, metrics])
    )
    assert all(part.effect == 0 for part in CLAIMS["S2-23"].judge(both).parts[:2])
    alike = runs_of(lambda row, *rest: as_the_articles_say(row, *rest, at=lambda row: 0.1))
    assert CLAIMS["S2-24"].judge(alike).verdict == REFUTED


def test_sizes_of_the_batch_that_disagree_make_it_mixed():
    def only_small(row):
        return 0.12 if row["variant"] == "plain" or row["batch_size"] > 100 else 0.11

    found = CLAIMS["S0-01"].judge(runs_of(lambda *given: as_the_articles_say(*given, at=only_small)))
    assert found.verdict == MIXED and [p.verdict for p in found.parts] == [SUPPORTED, SUPPORTED, REFUTED]


def one_run(loss, gaps, state="done", test_loss=None):
    """Runs of plain at 32 with these records, 11 of each."""

    def values(row, steps, rng):
        return {
            "curves/full_loss": np.array(loss),
            "curves/full_accuracy": np.full(11, 0.9),
            "curves/test_accuracy": 0.9 - np.array(gaps),
            "curves/test_loss": np.array(test_loss if test_loss is not None else loss),
        }

    keys = {"variant": "plain", "batch_size": 32, "model.dropout": 0.0, "procedure": "train", "seed": 0}
    runs = runs_of(values, keep=lambda row: all(row[key] == value for key, value in keys.items()))
    if state == "diverged":
        runs = dataclasses.replace(runs, table=runs.table.assign(state=state, diverged_at=1400.0))
    return runs


def test_the_gap_is_read_at_the_first_record_that_is_low_enough():
    loss, gaps = [2, 1, 0.5, 0.2, 0.11, 0.1, 0.3, 0.05, 0.02, 0.01, 0.01], np.arange(11) / 100
    runs = one_run(loss, gaps)
    assert module.reached(cell("plain").of(runs)) == {0: 750.0}
    assert module.gap_at_equal_loss(runs, cell("plain"))[0] == pytest.approx(0.05)
    assert module.final_gap(runs, cell("plain"))[0] == pytest.approx(0.09)  # mean of 0.08, 0.09, 0.10
    assert module.gap_at_equal_loss(runs, cell("bn")) == {}


def test_the_rise_is_from_the_lowest_record_to_the_last():
    runs = one_run([1] * 11, [0] * 11, test_loss=[2, 1, 0.4, 0.3, 0.35, 0.3, 0.32, 0.4, 0.5, 0.6, 0.55])
    assert module.rise(runs, cell("plain"))[0] == pytest.approx(0.25)


@pytest.mark.parametrize("state", ["done", "diverged"])
def test_a_net_that_never_learns_its_images_decides_nothing(state):
    loss = [1.0] * 11 if state == "done" else [0.01] * 11
    alone = one_run(loss, [0.1] * 11, state)
    assert np.isnan(module.gap_at_equal_loss(alone, cell("plain"))[0])
    assert np.isnan(module.final_gap(alone, cell("plain"))[0]) == (state == "diverged")

    def one_fails(row, steps, rng):
        found = as_the_articles_say(row, steps, rng)
        failing = row["variant"] == "plain" and row["seed"] == 3 and row["procedure"] == "train"
        return found | {"curves/full_loss": np.full(len(steps), 1.0)} if failing else found

    found = CLAIMS["S0-01"].judge(runs_of(one_fails))
    assert found.verdict == UNDECIDED and "1 of 10 seeds finished without a value" in found.parts[0].note


def test_missing_and_single_runs_decide_nothing(runs):
    assert CLAIMS["S2-23"].judge(without(runs, "variant", "ghost")).verdict == UNDECIDED
    single = runs_of(keep=lambda row: row["seed"] == 0)
    for claim in CLAIMS.values():
        found = claim.judge(single)
        told = [part for part in found.parts if part.unit != "largest error"]
        assert found.verdict == UNDECIDED and {(p.n, p.planned, p.interval) for p in told} == {(1, 10, None)}


def test_every_cell_is_planned_with_its_seeds():
    cells = [arm for _, arms in module.SWEPT.values() for arm in arms.values()]
    cells += [cell(v, drop=p, place=w) for v in ("plain", "bn") for p in module.DROPS for w in module.PLACES]
    distinct = {arm.name: arm for arm in cells}.values()
    for setting, seeds in module.SEEDS.items():
        data, scale = setting.split("-")
        plan = planned((f"data={data}", f"scale={scale}"), "regularisation").complete
        table = pd.DataFrame([flatten(run.config) for run in plan])
        found = [int(np.logical_and.reduce([table[k] == v for k, v in arm.keys.items()]).sum()) for arm in distinct]
        assert set(found) == ({0, seeds} if scale == "smoke" else {seeds})
        assert sum(found) == (table["procedure"] == "train").sum()


def test_figures_show_their_numbers_and_survive_missing_arms(runs):
    for shown in (runs, without(without(runs, "variant", "ghost"), "model.dropout", 0.2)):
        for draw in EXPERIMENT.figures.values():
            drawing = draw(shown)
            assert "mnist-laptop" in drawing.caption and "95 % t" in drawing.caption and "n = " in drawing.caption
            assert "1,024 training images" in drawing.caption
            drawing.figure.draw_without_rendering()
    numbers = EXPERIMENT.figures["gap"](runs).numbers
    means = numbers[numbers["panel"] == "gap at equal training loss"].set_index(["variant", "m"])["mean"]
    assert means["plain", 32] - means["bn", 32] == pytest.approx(100 * CLAIMS["S0-01"].judge(runs).parts[1].effect)
    with pytest.raises(Incomplete, match="bnlab run regularisation data=mnist scale=laptop"):
        EXPERIMENT.figures["gap"](runs.select(procedure="batch_noise"))


def test_the_smoke_plan_runs_through_the_store(results):
    plan = planned(("scale=smoke",), "regularisation")
    setting = paths.setting_dir(results, "regularisation", "digits", "smoke")
    for run in plan.complete:
        directory = paths.run_dir(setting, run.config.variant, run.id)
        assert run_one(run.config, directory, run.overrides) == "done"
    read = load_runs(setting, plan.complete)
    for claim in CLAIMS.values():
        assert claim.judge(read).verdict in (SUPPORTED, REFUTED, MIXED, UNDECIDED)
    scatters = next(p for p in CLAIMS["S2-23"].judge(read).beside if p.label == module.MEAN_SCATTERS.label)
    assert (scatters.verdict, scatters.n) == (SUPPORTED, 20)
    for draw in EXPERIMENT.figures.values():
        assert "2 seeds" in draw(read).caption


ROWS = list(procedures.measure(RunConfig(procedure="batch_noise", steps=12)))


def test_the_exact_facts_hold_in_every_case():
    claimed = {s.metric for c in CLAIMS.values() for s in c.test.statements if isinstance(s, Identity)}
    assert claimed == set(ROWS[0][1]) and [step for step, _ in ROWS] == list(range(12))
    assert max(error for _, values in ROWS for error in values.values()) < ROUNDING
    assert list(procedures.measure(RunConfig(procedure="batch_noise", steps=3))) == ROWS[:3]
    assert next(procedures.measure(RunConfig(procedure="batch_noise", seed=1))) != ROWS[0]


def test_a_layer_that_takes_the_biased_variance_is_caught(monkeypatch):
    class Biased(torch.nn.Module):
        def forward(self, x):
            self.running_mean, self.running_var = x.mean(0), x.var(0, correction=0)

    monkeypatch.setattr(batch_noise, "make_norm", lambda *given: Biased())
    _, values = next(procedures.measure(RunConfig(procedure="batch_noise")))
    assert values["noise/mean_scatter"] < ROUNDING
    assert values["noise/variance_scatter"] > 0.01 and values["noise/variance_scatter_any"] > 0.01


def test_what_holds_of_the_nodes_holds_of_normal_values():
    """The same facts on 200,000 drawn batches, by numpy."""
    m, sd = 5, 2.0
    x = np.random.default_rng(0).normal(1.0, sd, (m, 200_000))
    assert x.mean(0).var() == pytest.approx(sd**2 / m, rel=0.02)
    assert x.var(0, ddof=1).var() == pytest.approx(2 * sd**4 / (m - 1), rel=0.03)


def test_batch_normalisation_behind_dropout_remembers_another_variance_than_it_meets():
    torch.manual_seed(0)
    x, keep = torch.randn(200_000, 1), 0.5
    layer = make_norm(NormConfig(name="batch", momentum=1.0), 1, False, None)
    layer(torch.nn.functional.dropout(x, 1 - keep))
    assert float(layer.running_var) == pytest.approx(1 / keep, rel=0.02)
    assert float(layer.eval()(x).var()) == pytest.approx(keep, rel=0.02)
