"""The claims about l_p norms say what their numbers say, on linear nets and on VGGs; figures survive missing runs."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest
from exchanged_arms import seen_by
from made_runs import made_runs

from bnlab import paths, published, store
from bnlab.claims import SUPPORTED, UNDECIDED
from bnlab.commands.costs import planned_records
from bnlab.compose import card
from bnlab.errors import Incomplete
from bnlab.experiment import MODULES, load
from bnlab.running import run_one
from bnlab.sweeping.plan import make_plan

EXPERIMENT = load("lp_norms")
module = sys.modules[f"{MODULES}.lp_norms"]
CLAIMS = {claim.id: claim for claim in EXPERIMENT.claims}
DATA = ("digits", "gaussian_map", "cifar10")
NORMS = ("l1", "l2", "linf")
SHARES = {"plain": 0.4, "bn": 0.7, "l1": 0.8, "l2": 0.7, "linf": 0.695}
MOVES = {"plain": 0.01} | dict.fromkeys(("bn", *NORMS), 0.1)
TWO_SIDED = 60_000 * np.exp(-np.abs(np.linspace(-5, 5, 129)[1::2]) * 1.6)  # excess kurtosis about 3
BELL = 60_000 * np.exp(-(np.linspace(-5, 5, 129)[1::2] ** 2) / 2)


def runs_of(data="digits", shares=SHARES, moves=MOVES, shape=TWO_SIDED, keep=lambda row: True):
    def values(row, steps, rng):
        variant = row["variant"]
        share = shares[variant] + rng.normal(0, 0.002)
        found = {"curves/train_loss": np.full(len(steps), 5e4 * (1 - share))}
        if row["data.name"] == "gaussian_map":
            found["modes/learned"] = np.full(len(steps), 10 * share)
        else:
            found["curves/train_accuracy"] = np.full(len(steps), share)
        for layer in row["probe.moments.layers"]:
            for moment in ("mean", "var"):
                moved = moves[variant] * np.exp(rng.normal(0, 0.02))
                found[f"moments/{moment}_change/{layer:02d}"] = np.full(len(steps), moved)
            found[f"activations/hist_unit/{layer:02d}"] = np.tile(shape, (len(steps), 1))
        return found

    return made_runs(values, (f"data={data}", "scale=laptop"), keep, "lp_norms")


OF_THE_LINEAR_NET = {"P2-01": "P2-09", "P2-03": "P2-10", "P2-04": "P2-23"}


def judged(name, runs):
    """The verdict of a claim about a VGG, or of its twin where the runs are those of the linear net."""
    return CLAIMS[OF_THE_LINEAR_NET.get(name, name) if runs.data == "gaussian_map" else name].judge(runs)


@pytest.mark.parametrize("data", DATA)
def test_every_net_has_its_own_claims(data):
    about = {claim.id for claim in CLAIMS.values() if data in claim.only}
    assert about == ({"P2-02", *OF_THE_LINEAR_NET.values()} if data == "gaussian_map" else set(OF_THE_LINEAR_NET))


def relabelled(runs, names):
    table = runs.table.assign(variant=runs.table["variant"].map(lambda v: names.get(v, v)))
    return dataclasses.replace(runs, table=table)


def standing_for(runs, variant, others):
    """Every run of the others replaced by a copy of this variant's of the same seed."""
    one = runs.select(variant=variant)
    tables, metrics, shapes = [one.table], [one.metrics], [one.distributions]
    for other in others:
        names = {run: f"{other}-for-{run}" for run in one.table.index}
        tables.append(one.table.rename(index=names).assign(variant=other))
        metrics.append(one.metrics.assign(run=one.metrics["run"].map(names)))
        shapes.append(one.distributions.assign(run=one.distributions["run"].map(names)))
    return dataclasses.replace(
        runs, table=pd.concat(tables), metrics=pd.concat(metrics), distributions=pd.concat(shapes)
    )


@pytest.mark.parametrize("data", DATA)
def test_the_paper_is_supported_where_it_holds(data):
    runs = runs_of(data)
    verdicts = {name: judged(name, runs) for name in ("P2-01", "P2-02", "P2-03", "P2-04")}
    assert {verdict.verdict for verdict in verdicts.values()} == {SUPPORTED}
    planned = {"digits": 3, "gaussian_map": 20, "cifar10": 5}[data]
    assert {(verdict.n, verdict.planned) for verdict in verdicts.values()} == {(planned, planned)}
    above = [SHARES[norm] - SHARES["bn"] + module.MARGIN for norm in NORMS]
    assert [part.effect for part in verdicts["P2-01"].parts] == pytest.approx(above, abs=0.005)
    half_way = [SHARES[norm] - (SHARES["plain"] + SHARES["bn"]) / 2 for norm in NORMS]
    beside = [part.effect for part in verdicts["P2-01"].beside if "half-way" in part.label]
    assert beside == pytest.approx(half_way, abs=0.005)
    assert verdicts["P2-02"].effect == pytest.approx(0.1, abs=0.005)
    assert [part.effect for part in verdicts["P2-03"].parts] == pytest.approx([1.0] * 6, abs=0.05)
    assert [part.effect for part in verdicts["P2-04"].parts] == pytest.approx([2.5] * 3, abs=1.0)


def test_a_norm_that_falls_behind_leaves_the_sentence_mixed():
    found = judged("P2-01", runs_of("gaussian_map", SHARES | {"linf": 0.5}))
    assert found.verdict == "mixed"
    assert [part.verdict for part in found.parts] == ["supported", "supported", "refuted"]
    beside = [part for part in found.beside if part.verdict != "measured"]
    assert [part.effect for part in beside] == pytest.approx([0.1, 0.0, -0.2, 0.25, 0.15, -0.05], abs=0.005)


@pytest.mark.parametrize("plain, bn, norm, verdict", [(0.993, 0.988, 0.988, "supported"), (0.1, 0.99, 0.57, "refuted")])
def test_comparable_is_held_against_bn_wherever_plain_is(plain, bn, norm, verdict):
    shares = {"plain": plain, "bn": bn} | dict.fromkeys(NORMS, norm)
    found = judged("P2-01", runs_of("cifar10", shares))
    assert {part.verdict for part in (found, *found.parts)} == {verdict}


def test_gaussian_inputs_refute_that_they_are_none():
    assert judged("P2-04", runs_of(shape=BELL)).verdict == "refuted"


NEAR = [(0.3, "refuted"), (0.45, "undecided"), (0.58, "undecided"), (0.7, "supported")]


@pytest.mark.parametrize("kurtosis, verdict", NEAR)
def test_a_kurtosis_near_the_threshold_decides_nothing(kurtosis, verdict):
    """What is 0 but for a share q at two values ±a has an excess kurtosis of 1 / q - 3."""
    shape = np.zeros(64)
    shape[[0, -1]] = 1 / (3 + kurtosis)
    shape[31:33] = 1 - shape[0]
    found = judged("P2-04", runs_of(shape=60_000 * shape))
    assert {part.verdict for part in (found, *found.parts)} == {verdict}


@pytest.mark.parametrize("norm", NORMS)
def test_exchanging_a_norm_and_plain_turns_its_parts_round(norm):
    runs = runs_of()
    swapped = relabelled(runs, {norm: "plain", "plain": norm})
    for name in ("P2-01", "P2-03"):
        before, after = (
            [part for part in judged(name, r).parts if module.NORMS[norm] in part.label] for r in (runs, swapped)
        )
        assert {part.verdict for part in before} == {"supported"} and {part.verdict for part in after} == {"refuted"}
    assert judged("P2-02", relabelled(runs, {"l1": "bn", "bn": "l1"})).verdict == "refuted"


@pytest.mark.parametrize("variant", ["plain", "bn", "l1"])
def test_one_arm_in_all_places_claims_nothing(variant):
    runs = standing_for(runs_of(), variant, [v for v in SHARES if v != variant])
    for name in ("P2-02", "P2-03"):
        found = judged(name, runs)
        assert found.verdict != SUPPORTED
        assert all(part.effect == pytest.approx(0) for part in (found.parts or [found]))
    found = judged("P2-01", runs)
    assert found.verdict == SUPPORTED, "it is as good as itself"
    assert [part.effect for part in found.parts] == pytest.approx([module.MARGIN] * 3)
    assert all(part.effect == pytest.approx(0) for part in found.beside)


def test_every_part_tells_what_it_compares():
    """For the test of exchanged arms, to which the runs come when they are shipped."""
    for claim in CLAIMS.values():
        sides = {part.label: seen_by(part, runs_of()).sides for part in claim.parts}
        alone = {label for label, compared in sides.items() if compared is None}
        assert alone == {label for label in sides if "half-way" in label or "kurtosis" in label}


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_missing_runs_are_counted_not_hidden(kept):
    clear = SHARES | dict.fromkeys(NORMS, 0.9)  # so that two seeds are enough

    def few(variant):
        return runs_of(shares=clear, keep=lambda row: row["variant"] != variant or row["seed"] < kept)

    for variant, name in (("bn", "P2-01"), ("bn", "P2-02"), ("plain", "P2-03")):
        found = judged(name, few(variant))
        assert (found.n, found.planned) == (kept, 3)
        assert (found.verdict == UNDECIDED) == (kept < 2)
    found = judged("P2-01", few("plain"))
    assert found.n == 3 and [part.n for part in found.beside] == [3] * 3 + [kept] * 3


def test_a_run_that_diverged_counts_at_chance_and_is_not_left_out():
    runs = runs_of()
    table = runs.table.copy()
    broken = (table["variant"] == "l1") & (table["seed"] == 0)
    table.loc[broken, ["state", "diverged_at"]] = ["diverged", 60.0]
    found = judged("P2-02", dataclasses.replace(runs, table=table))
    assert found.n == 3 and found.effect == pytest.approx((2 * 0.1 - 0.6) / 3, abs=0.01)


def test_distances_are_those_from_the_published_curves():
    for data, number in (("digits", 0), ("cifar10", 5), ("gaussian_map", 5)):
        beside = [part for part in judged("P2-01", runs_of(data)).beside if part.verdict == "measured"]
        assert len(beside) == number
        assert all(part.effect > 0 and "published points" in part.note for part in beside)


def test_what_is_quoted_stands_in_the_published_curves():
    losses = {"plain": 1661, "bn": 479, "l1": 97, "l2": 481, "linf": 986}
    for variant, number in losses.items():
        key = ("fig5", "dln_train_loss", module.SERIES.get(variant, variant))
        assert published.curve("santurkar2018", *key)[1][-1] == pytest.approx(number, abs=1)
        assert f" {number}" in module.LAST_LOSSES


def test_seeds_layers_and_probes_are_those_of_the_plan():
    for name, setting in card("lp_norms").settings.items():
        runs = make_plan("lp_norms", [f"data={setting.data}", f"scale={setting.scale}"]).complete
        for variant in module.VARIANTS:
            chosen = [run.config for run in runs if run.config.variant == variant]
            assert len(chosen) == module.SEEDS[name]
            for config in chosen:
                assert config.probe.activations.unit
                assert config.probe.activations.layers == config.probe.moments.layers
                assert {"curves", "moments", "activations"} <= set(config.probe.names)
                assert ("modes" in config.probe.names) == (setting.data == module.LINEAR)


@pytest.mark.parametrize("data", ["gaussian_map", "digits"])
def test_a_smoke_run_records_what_is_read_and_what_its_cost_expects(data, tmp_path):
    plan = make_plan("lp_norms", [f"data={data}", "scale=smoke", "variant=l1", "seed=0"])
    run = plan.runs[0]
    directory = tmp_path / run.id
    assert run_one(run.config, directory, {}) == "done"
    rows = store.read_lines(paths.metrics_jsonl(directory))
    assert planned_records(run.config) == tuple(
        sum(len(row.get(k, {})) for row in rows) for k in ("values", "histograms")
    )
    last = {**rows[-1]["values"], **rows[-1]["histograms"]}
    wanted = {module.LOSS, module.LEARNED if data == "gaussian_map" else module.ACCURACY}
    wanted |= {f"{module.HISTOGRAM}/{layer:02d}" for layer in run.config.probe.moments.layers}
    assert wanted <= last.keys()
    changes = {f"{m}/{layer:02d}" for m in module.CHANGES.values() for layer in run.config.probe.moments.layers}
    assert changes <= {name for row in rows for name in row["values"]}


@pytest.mark.parametrize("name", EXPERIMENT.figures)
@pytest.mark.parametrize("data", DATA)
def test_figures_survive_what_is_missing(name, data):
    for keep in (lambda row: True, lambda row: row["variant"] == "l1", lambda row: row["seed"] == 0):
        drawing = EXPERIMENT.figures[name](runs_of(data, keep=keep))
        assert "95 % t interval" in drawing.caption and "l1" in set(drawing.numbers["variant"])


def test_figures_without_an_arm_say_so():
    elsewhere = relabelled(runs_of(), dict.fromkeys(SHARES, "ghost"))
    for draw in EXPERIMENT.figures.values():
        with pytest.raises(Incomplete, match="bnlab run lp_norms data=digits scale=laptop"):
            draw(elsewhere)
