"""Exact facts: they hold on random cases, they catch a wrong layer, and their verdicts follow from their errors."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

from bnlab import experiment, procedures
from bnlab.config import RunConfig
from bnlab.exact import ROUNDING, AllOf, Counterexample, Documented, Identity
from bnlab.procedures.identities import FACTS, formula, gradients, weights
from bnlab.store import Runs, load_runs, read_status
from bnlab.sweeping.plan import make_plan

ROWS = 25


@pytest.fixture(scope="module")
def rows() -> list[tuple[int, dict[str, float]]]:
    return list(procedures.measure(RunConfig(procedure="identities", steps=ROWS)))


@pytest.fixture(scope="module")
def statements() -> dict[str, Identity | Counterexample]:
    claims = experiment.load("exact_identities").claims
    every = [s for claim in claims for s in claim.test.statements if not isinstance(s, Documented)]
    return {s.metric: s for s in every}


def test_a_row_per_case_and_an_error_per_fact(rows):
    assert [step for step, _ in rows] == list(range(ROWS))
    assert all({*values} == {f"identity/{name}" for name in FACTS} for _, values in rows)
    again = procedures.measure(RunConfig(procedure="identities", steps=3))
    assert list(again) == rows[:3]
    other = next(procedures.measure(RunConfig(procedure="identities", steps=3, seed=1)))
    assert other != rows[0]


def test_every_statement_has_its_fact_and_keeps_its_limit(rows, statements):
    for metric, statement in statements.items():
        errors = [values[metric] for _, values in rows]
        if isinstance(statement, Identity):
            assert max(errors) <= statement.tolerance, metric
        else:
            assert min(errors) > statement.margin, metric


def test_facts_of_no_claim_hold_as_well(rows, statements):
    for name in FACTS.keys() - {metric.removeprefix("identity/") for metric in statements}:
        assert max(values[f"identity/{name}"] for _, values in rows) <= ROUNDING, name


def worst(name: str, cases: int = 10) -> float:
    return max(
        values[f"identity/{name}"] for _, values in procedures.measure(RunConfig(procedure="identities", steps=cases))
    )


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (formula, ("formula", "output_std")),
        (gradients, ("gradient_norm",)),
        (weights, ("bias_cancels", "bias_gradient")),
    ],
)
def test_a_wrong_layer_is_found_out(monkeypatch, module, names):
    """A layer that divides by the unbiased variance, scales its gradient, or lets a bias through."""

    def wrong(x, gamma=None, beta=None, eps=0.0):
        y = (x - 0.99 * x.mean(0)) / torch.sqrt(x.var(0, correction=1) + eps)
        return (y if gamma is None else y * gamma) + (0 if beta is None else beta)

    monkeypatch.setattr(module, "bn", wrong)
    for name in names:
        assert worst(name) > 1e-4, name


def runs_with(values: list[float], planned: int = 1) -> Runs:
    table = pd.DataFrame({"seed": [0], "steps": [len(values)]}, index=["bn/0"])
    metrics = pd.DataFrame({"run": "bn/0", "metric": "identity/x", "step": range(len(values)), "value": values})
    return Runs("exact", "synthetic", "laptop", "runs", planned, table, metrics, pd.DataFrame())


@pytest.mark.parametrize(
    ("values", "word", "effect"),
    [([0.0, 1e-12], "supported", -1e-12), ([0.0, 1e-3], "refuted", -1e-3), ([0.0, math.nan], "refuted", None)],
)
def test_an_identity_is_as_good_as_its_worst_case(values, word, effect):
    found = Identity("x", "identity/x").judge(runs_with(values))
    assert (found.verdict, found.effect, found.n, found.interval) == (word, effect, 2, None)
    assert Identity("x", "identity/y").judge(runs_with(values)).verdict == "undecided"
    assert Identity("x", "identity/x").judge(runs_with(values, planned=3)).planned == 6


@pytest.mark.parametrize(
    ("values", "word"), [([0.3, 0.5], "refuted"), ([0.0, 0.01], "supported"), ([0.0, 0.5], "undecided")]
)
def test_a_counterexample_must_miss_in_every_case(values, word):
    found = Counterexample("x", "identity/x", 0.1, "").judge(runs_with(values))
    assert (found.verdict, found.effect) == (word, -min(values))
    assert Counterexample("x", "identity/x", 0.1, "").judge(runs_with([math.nan])).verdict == "undecided"


def test_a_claim_of_several_statements_says_all_of_them():
    runs = runs_with([0.0, 0.5])
    holds, fails = Identity("a", "identity/x", tolerance=1.0), Identity("b", "identity/x", tolerance=0.1)
    assert AllOf((holds, fails))(runs).verdict == "mixed"
    read = AllOf((Documented("c", "a book"), Identity("d", "identity/x", tolerance=0.1, beside=True)))(runs)
    assert (read.verdict, read.n, read.note, len(read.beside)) == ("supported", 1, "read in a book", 1)
    assert AllOf((Documented("c", "a book", holds=False),))(runs).verdict == "refuted"


def test_a_procedure_is_a_run_like_any_other(tmp_path, isolated):
    code = (
        "from pathlib import Path; from bnlab.running import run_one; from bnlab.sweeping.plan import make_plan\n"
        "(run,) = make_plan('exact_identities', ['scale=smoke']).runs\n"
        f"folder = Path({str(tmp_path)!r}) / 'exact_identities/synthetic-smoke/runs/bn' / run.id\n"
        "print(run_one(run.config, folder, {}), run_one(run.config, folder, {}))"
    )
    done = isolated(code)
    assert done.stdout.split() == ["done", "done"], done.stderr
    plan = make_plan("exact_identities", ["scale=smoke"])
    setting = tmp_path / "exact_identities/synthetic-smoke"
    status = read_status(setting / "runs/bn" / plan.runs[0].id)
    assert (status.step, status.attempts) == (20, 1) and status.environment["torch"]
    runs = load_runs(setting, plan.complete)
    assert len(runs.series("identity/formula")) == 20
