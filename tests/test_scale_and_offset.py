"""The claim on gamma and beta says what its numbers say, in either direction."""

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest
from made_runs import made_runs, planned
from smoke import smoke_runs

from bnlab.claims import MIXED, REFUTED, SUPPORTED, UNDECIDED
from bnlab.compose import card
from bnlab.config import flatten
from bnlab.errors import Incomplete
from bnlab.experiment import MODULES, load

EXPERIMENT = load("scale_and_offset")
module = sys.modules[f"{MODULES}.scale_and_offset"]
(CLAIM,) = EXPERIMENT.claims
MNIST = ("data=mnist", "scale=laptop")


def learnt_of(row):
    return next(name for name, keys in module.LEARNT.items() if keys == (row["norm.center"], row["norm.scale"]))


def as_facts_say(row, steps, rng, gamma=0.5, beta=0.8, accuracy=module.PRINTED):
    """Late, gamma is 0.5 from 1 in layer 1 and 0.3 in layer 2, beta 0.8 and 0.6 from 0; accuracies as printed."""
    learnt, noise = learnt_of(row), rng.normal(0, 0.0001)
    late = steps >= 0.5 * row["steps"]
    found = {"curves/test_accuracy": np.where(late, accuracy[row["model.activation"]][learnt] + noise, 0.1)}
    for layer, less in (("01", 0.0), ("02", 0.2)):
        if row["norm.scale"]:
            found[f"affine/gamma_change/{layer}"] = np.where(late, max(0.0, gamma - less) + abs(noise), 0.0)
        if row["norm.center"]:
            found[f"affine/beta/{layer}"] = np.where(late, max(0.0, beta - less) + abs(noise), 0.0)
    return found


def runs_of(keep=lambda row: True, **changes):
    return made_runs(lambda *given: as_facts_say(*given, **changes), MNIST, keep, "scale_and_offset")


@pytest.fixture(scope="module")
def runs():
    return runs_of()


def relabelled(runs, rename):
    """The runs of some cells under the keys of others."""
    rows = runs.table.to_dict("index")
    for row in rows.values():
        row["norm.center"], row["norm.scale"] = module.LEARNT[rename.get(learnt_of(row), learnt_of(row))]
    return dataclasses.replace(runs, table=pd.DataFrame.from_dict(rows, "index").rename_axis("run"))


def both_as_all(runs):
    """Every other cell replaced by a copy of that with scale and offset."""
    both = runs.select(**{"norm.center": True, "norm.scale": True})
    tables, metrics = [], []
    for learnt, (center, scale) in module.LEARNT.items():
        rename = {run: f"{learnt}:{run}" for run in both.table.index}
        tables.append(both.table.rename(index=rename).assign(**{"norm.center": center, "norm.scale": scale}))
        metrics.append(both.metrics.assign(run=both.metrics["run"].map(rename)))
    return dataclasses.replace(both, table=pd.concat(tables), metrics=pd.concat(metrics))


def test_the_sentence_is_refuted_where_gamma_and_beta_leave_1_and_0(runs):
    found = CLAIM.judge(runs)
    assert (found.verdict, found.n, found.planned) == (REFUTED, 10, 10)
    assert [part.label for part in found.parts] == [
        "sigmoid: |gamma - 1| stays near 0", "sigmoid: |beta| stays near 0", "ReLU: |gamma - 1| stays near 0"
    ]  # fmt: skip
    assert [part.effect for part in found.parts] == pytest.approx([0.1 - 0.4, 0.1 - 0.7, 0.1 - 0.4], abs=1e-3)


def test_what_the_net_gains_stands_beside(runs):
    beside = CLAIM.judge(runs).beside
    assert [part.effect for part in beside] == pytest.approx([0.007, -0.001, 0.02, 0, 0], abs=3e-4)
    assert [part.published.value for part in beside] == [0.007, -0.001, 0.02, 0, 0]
    assert [part.verdict for part in beside][::2] == [SUPPORTED, SUPPORTED, REFUTED]
    assert beside[3].verdict == REFUTED  # inside the margin: nothing is gained


def test_gamma_and_beta_that_stay_would_support_it():
    assert CLAIM.judge(runs_of(gamma=0.05, beta=0.05)).verdict == SUPPORTED
    found = CLAIM.judge(runs_of(gamma=0.05))
    assert found.verdict == MIXED and [part.verdict for part in found.parts] == [SUPPORTED, REFUTED, SUPPORTED]


def test_swapping_the_labels_turns_what_is_gained_round(runs):
    gained = {"sigmoid": {"both": 0.98, "no_offset": 0.97, "no_scale": 0.97, "neither": 0.97},
              "relu": {"both": 0.98, "no_scale": 0.97, "neither": 0.97}}  # fmt: skip
    clear = runs_of(accuracy=gained)
    there, back = CLAIM.judge(clear), CLAIM.judge(relabelled(clear, {"both": "neither", "neither": "both"}))
    for place in (2, 4):
        assert (there.beside[place].verdict, back.beside[place].verdict) == (SUPPORTED, REFUTED)
        assert back.beside[place].effect == pytest.approx(-there.beside[place].effect)


def test_one_arm_used_as_all_gains_nothing(runs):
    assert all((part.effect, part.verdict) == (0, REFUTED) for part in CLAIM.judge(both_as_all(runs)).beside)


def test_missing_lost_and_single_runs_decide_nothing(runs):
    assert CLAIM.judge(runs_of(lambda row: row["seed"] == 0)).verdict == UNDECIDED
    none = CLAIM.judge(runs_of(lambda row: learnt_of(row) != "both"))
    assert (none.verdict, none.n, none.planned) == (UNDECIDED, 0, 10)
    broken = (runs.table["model.activation"] == "sigmoid") & (runs.table["seed"] == 3)
    table = runs.table.assign(state=np.where(broken, "diverged", "done"), diverged_at=np.where(broken, 5.0, np.nan))
    found = CLAIM.judge(dataclasses.replace(runs, table=table))
    assert (found.beside[0].n, found.beside[0].effect) == (10, pytest.approx(0.9 * 0.007, abs=3e-4))  # chance both


def test_seeds_on_record_are_those_of_the_plan():
    assert set(module.SEEDS) == set(card("scale_and_offset").settings)
    for setting, seeds in module.SEEDS.items():
        data, scale = setting.split("-")
        plan = planned((f"data={data}", f"scale={scale}"), "scale_and_offset").complete
        table = pd.DataFrame([flatten(run.config) for run in plan])
        every = [one for cells in module.CELLS.values() for one in cells.values()]
        for one in every:
            chosen = table[np.logical_and.reduce([table[key] == value for key, value in one.keys.items()])]
            assert len(chosen) == chosen["seed"].nunique() == seeds
        assert len(table) == seeds * len(every) == seeds * 7


def test_the_figure_shows_its_numbers_and_survives_a_missing_arm(runs):
    for keep in (lambda row: True, lambda row: learnt_of(row) != "both", lambda row: row["model.activation"] == "relu"):
        drawing = EXPERIMENT.figures["scale_and_offset"](runs_of(keep))
        assert "mnist-laptop" in drawing.caption and "95 % t band" in drawing.caption
        drawing.figure.draw_without_rendering()
    numbers = EXPERIMENT.figures["scale_and_offset"](runs).numbers
    shown = numbers[(numbers["activation"] == "sigmoid") & (numbers["variant"] == "both")]
    assert shown.loc[shown["metric"] == "affine/gamma_change", "mean"].iloc[-1] == pytest.approx(0.4, abs=1e-3)
    assert shown.loc[shown["metric"] == "published", "mean"].tolist() == [98.0]
    with pytest.raises(Incomplete, match="bnlab run scale_and_offset data=mnist scale=laptop"):
        EXPERIMENT.figures["scale_and_offset"](dataclasses.replace(runs, table=runs.table.iloc[:0]))


def test_a_smoke_plan_runs_to_its_claim_and_figure(tmp_path):
    found = smoke_runs("scale_and_offset", tmp_path)
    assert found.n == 14
    verdict = CLAIM.judge(found)
    assert verdict.n == 2 and all(part.effect is not None for part in (*verdict.parts, *verdict.beside))
    numbers = EXPERIMENT.figures["scale_and_offset"](found).numbers
    assert numbers["mean"].notna().any() and "published" not in set(numbers["metric"])
