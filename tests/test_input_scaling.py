"""Scaling of inputs: facts and steps against closed forms and slow twins, and verdicts that turn with their arms."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from bnlab import experiment, procedures
from bnlab.claims import SUPPORTED, UNDECIDED, judge_part
from bnlab.config import RunConfig
from bnlab.exact import Counterexample, Exceeds, Identity
from bnlab.procedures.input_scaling import association, descent, importance, nets, shape
from bnlab.procedures.input_scaling.case import RANGES, Regression, draw_case, draw_regression
from bnlab.procedures.input_scaling.scalings import SCALINGS, scale
from bnlab.store import Runs

CASES = 4
CONFIG = RunConfig(procedure="input_scaling", steps=CASES)


@pytest.fixture(scope="module")
def rows() -> dict[int, dict[str, float]]:
    return dict(procedures.measure(CONFIG))


@pytest.fixture
def case():
    return draw_case(np.random.default_rng(5), points=300)


def claims():
    return experiment.load("input_scaling").claims


def statements() -> dict[str, Identity | Counterexample | Exceeds]:
    return {s.metric: s for claim in claims() if not claim.parts for s in claim.test.statements}


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(rows):
    assert dict(procedures.measure(CONFIG)) == rows
    assert list(rows) == sorted(rows)
    other = next(procedures.measure(dataclasses.replace(CONFIG, seed=1)))
    assert other[1]["scaling/z_score_skewness"] != rows[0]["scaling/z_score_skewness"]


def test_every_statement_finds_its_fact_in_every_case_and_keeps_its_limit(rows):
    for metric, statement in statements().items():
        found = [rows[step][metric] for step in range(CASES)]
        if isinstance(statement, Identity):
            assert max(found) <= statement.tolerance, metric
        elif metric in ("scaling/correlation_moves", "scaling/least_squares_moves"):
            assert max(found) <= statement.margin, metric
        else:
            assert min(found) > statement.margin, metric


@pytest.mark.parametrize(("name", "scaler"), [("min_max", MinMaxScaler()), ("z_score", StandardScaler())])
def test_scalings_are_those_of_scikit_learn(case, name, scaler):
    fresh = case.cars.x[:10] * 1.5
    assert np.allclose(scale(name, fresh, like=case.cars.x), scaler.fit(case.cars.x).transform(fresh), atol=1e-12)


def test_shape_and_correlation_are_those_of_scipy(case):
    z = scale("z_score", case.skewed[:, None])[:, 0]
    assert shape.z_score_skewness(case) == pytest.approx(stats.skew(z), rel=1e-9)
    assert shape.z_score_kurtosis(case) == pytest.approx(stats.kurtosis(z), rel=1e-9)
    assert association.correlation(case.pair) == pytest.approx(stats.pearsonr(*case.pair.T).statistic, rel=1e-9)


def test_facts_see_a_map_that_is_not_affine(case, monkeypatch):
    """A scaling that bends a feature distorts its shape, its order or its correlation, and the predictions."""

    def bent(name, x, like=None):
        return np.log1p(x - x.min(0)) ** 2

    for module in (association, shape, importance):
        monkeypatch.setattr(module, "scale", bent)
    for fact in (association.correlation_moves, shape.skewness_kept, shape.kurtosis_kept, shape.distances_kept):
        assert fact(case) > 1e-3, fact.__name__
    assert importance.least_squares_moves(case) > 1e-3
    assert association.decorrelated(case) > 1e-3 and association.principal_axes(case) > 1e-3


def test_linear_fits_are_those_of_scikit_learn(case):
    x, y = scale("z_score", case.ab.x), case.ab.y
    for found, model in (
        (importance.least_squares(x, y), LinearRegression()),
        (importance.ridge(x, y, 7.0), Ridge(alpha=7.0)),
    ):
        model.fit(x, y)
        assert np.allclose(found, [*model.coef_, model.intercept_], rtol=1e-9)


def test_the_hessian_of_a_and_b_is_the_population_one():
    """A uniform on [0, 20], B on [0, 2] and a constant: [[400/3, 10, 10], [10, 4/3, 1], [10, 1, 1]]."""
    exact = np.array([[400 / 3, 10, 10], [10, 4 / 3, 1], [10, 1, 1]])
    found = descent.quadratic(draw_regression(np.random.default_rng(0), RANGES["ab"], 400_000), "raw")
    assert np.allclose(found.hessian, exact, rtol=0.02)
    assert found.condition == pytest.approx(np.linalg.cond(exact), rel=0.02)
    assert np.linalg.cond(exact) == pytest.approx(1161.5, abs=0.1)


def slow_steps(problem: Regression, scaling: str, size: float) -> int:
    """Gradient descent on the data, a step at a time, with autograd."""
    x = torch.from_numpy(np.column_stack([scale(scaling, problem.x), np.ones(len(problem.y))]))
    y = torch.from_numpy(problem.y)
    best = float(((x @ torch.linalg.lstsq(x, y[:, None]).solution)[:, 0] - y).square().mean() / 2)
    weights = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    start, step = None, 0
    while True:
        loss = (x @ weights - y).square().mean() / 2
        excess = loss.item() - best
        start = excess if start is None else start
        if excess <= descent.LEVEL * start:
            return step
        (gradient,) = torch.autograd.grad(loss, weights)
        weights = (weights - size * gradient).detach().requires_grad_()
        step += 1


@pytest.mark.parametrize("scaling", SCALINGS)
def test_steps_are_those_of_descent_step_by_step(case, scaling):
    problem = descent.quadratic(case.ab, scaling)
    assert descent.steps_needed(problem) == slow_steps(case.ab, scaling, problem.step)


def test_the_bound_is_attained_and_never_exceeded(case):
    """A target with equal parts of the excess along both extreme directions falls at the rate of theory."""
    values, vectors = np.linalg.eigh(descent.quadratic(case.ab, "raw").hessian)
    minimum = vectors[:, 0] / values[0] ** 0.5 + vectors[:, 2] / values[2] ** 0.5
    hessian = vectors @ np.diag(values) @ vectors.T
    worst = descent.Quadratic(hessian, minimum, values[0], values[2])
    assert descent.steps_needed(worst) == math.ceil(descent.steps_bound(worst.condition))
    assert descent.descents(case)["later_than_the_bound"] == 0


def test_descent_that_is_too_slow_counts_as_more_than_the_most(case):
    problem = descent.quadratic(case.cars, "raw")
    assert descent.steps_needed(problem) == descent.MOST + 1
    assert descent.excess_curve(problem, [0]) == {0: pytest.approx(1)}


def test_nets_side_by_side_train_like_one_net_alone():
    """The net at one rate of the batched computation ends where torch's own layers and optimiser bring it."""
    split = nets.draw_split(np.random.default_rng(3), RANGES["ab"])
    found = nets.train(split, "z_score", steps=20, seed=4)
    draw = torch.Generator().manual_seed(4)
    tensors = [tensor[0].detach() for tensor in nets._nets(draw)]
    net = torch.nn.Sequential(
        torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)
    ).double()
    with torch.no_grad():
        for parameter, tensor in zip(net.parameters(), tensors):
            parameter.copy_(tensor.T.reshape(parameter.shape))
    x, y = torch.from_numpy(scale("z_score", split.x["train"])), torch.from_numpy(split.y["train"])
    optimiser = torch.optim.SGD(net.parameters(), lr=found.rate)
    for _, batch in zip(range(20), nets._batches(draw)):
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(net(x[batch])[:, 0], y[batch]).backward()
        optimiser.step()
    assert found.train == pytest.approx((net(x)[:, 0] - y).square().mean().item(), rel=1e-9)


def test_a_net_that_diverges_is_never_the_best():
    split = nets.draw_split(np.random.default_rng(3), RANGES["cars"])
    found = nets.train(split, "raw", steps=20, seed=0)
    assert found.rate < 1e-3 and math.isfinite(found.test)


def made_runs(raw: float, scaled: float, seeds: int = 10) -> Runs:
    """Runs whose models all come to `raw` on raw and to `scaled` on z-scored inputs, up to a little noise by seed."""
    quantities = [f"net_steps/{p}" for p in RANGES]
    quantities += [f"{part}_error/{p}/net" for p in RANGES for part in ("train", "test")]
    quantities += [f"test_error/{p}/{model}" for p in RANGES for model in ("least_squares", "ridge")]
    keys = [f"plain/{seed}" for seed in range(seeds)]
    table = pd.DataFrame({"seed": range(seeds), "steps": 100, "state": "done", "diverged_at": math.nan}, index=keys)
    metrics = pd.DataFrame(
        [
            (key, f"scaling/{quantity}/{scaling}", 0, value * (1 + 0.001 * seed))
            for quantity in quantities
            for scaling, value in (("raw", raw), ("z_score", scaled))
            for seed, key in enumerate(keys)
        ],
        columns=["run", "metric", "step", "value"],
    )
    return Runs("input_scaling", "synthetic", "laptop", "runs", seeds, table, metrics, pd.DataFrame())


def test_verdicts_turn_round_with_their_arms_and_equal_arms_claim_nothing():
    for part in (part for claim in claims() for part in claim.parts):
        gap = "over training error" in part.label  # a ratio of two errors, both of which are made alike here
        words = [judge_part(part, made_runs(*sides)).verdict for sides in ((4.0, 1.0), (1.0, 4.0), (1.0, 1.0))]
        assert words == (["refuted"] * 3 if gap else [SUPPORTED, "refuted", "refuted"]), part.label
        assert judge_part(part, made_runs(4.0, 1.0, seeds=1)).verdict == UNDECIDED


def test_a_seed_without_its_runs_is_counted():
    part = next(part for claim in claims() for part in claim.parts)
    found = judge_part(part, made_runs(4.0, 1.0, seeds=7))
    assert (found.n, found.planned) == (7, 10)


def runs_with(values: list[float]) -> Runs:
    table = pd.DataFrame({"seed": [0], "steps": [len(values)]}, index=["plain/0"])
    metrics = pd.DataFrame({"run": "plain/0", "metric": "x", "step": range(len(values)), "value": values})
    return Runs("input_scaling", "synthetic", "laptop", "runs", 1, table, metrics, pd.DataFrame())


@pytest.mark.parametrize(
    ("values", "word", "effect"),
    [([3.0, 5.0], SUPPORTED, 1.0), ([0.5, 1.0], "refuted", -1.0), ([1.0, 5.0], UNDECIDED, None)],
)
def test_something_large_is_large_in_every_case(values, word, effect):
    found = Exceeds("x", "x", 2.0, "times").judge(runs_with(values))
    assert (found.verdict, found.effect, found.n, found.margin) == (word, effect, 2, 2.0)
    assert Exceeds("x", "x", 2.0, "times").judge(runs_with([3.0, math.nan])).verdict == UNDECIDED
    assert Exceeds("x", "y", 2.0, "times").judge(runs_with(values)).verdict == UNDECIDED
