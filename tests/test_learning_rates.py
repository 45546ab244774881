"""Learning rates: facts and growth against closed forms and slow twins, and verdicts that turn with their arms."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from bnlab import experiment, procedures
from bnlab.claims import SUPPORTED, UNDECIDED, Part
from bnlab.config import ModelConfig, NormConfig, RunConfig
from bnlab.exact import Counterexample, Exceeds, Identity
from bnlab.models import build
from bnlab.procedures.learning_rates import exact, growth, training
from bnlab.procedures.learning_rates.case import draw_case
from bnlab.store import Runs

CASES = 3
CONFIG = RunConfig(procedure="learning_rates", steps=CASES, batch_size=50, model=ModelConfig(widths=(10, 10)))
BN, PLAIN = NormConfig(name="batch"), NormConfig()
ARMS = ("plain", "bn", "plain_wide", "bn_wide")


@pytest.fixture
def case():
    return draw_case(torch.Generator().manual_seed(3))


def claims():
    return experiment.load("learning_rates").claims


def statements() -> dict[str, Identity | Counterexample | Exceeds]:
    return {s.metric: s for claim in claims() for s in claim.test.statements if not isinstance(s, Part)}


def parts() -> dict[str, Part]:
    return {part.label: part for claim in claims() for part in claim.parts}


def test_every_statement_finds_its_fact_in_every_case_and_keeps_its_limit(monkeypatch):
    monkeypatch.setattr(growth, "DEPTH", 12)
    monkeypatch.setattr(growth, "squared_norms", lambda norm, m, seed: np.ones(12))
    rows = dict(procedures.measure(CONFIG))
    assert repr(dict(procedures.measure(CONFIG))) == repr(rows)  # as text, because NaN is not equal to itself
    assert list(rows) == sorted(rows) and len(rows) == len(training.RATES)
    for metric, statement in statements().items():
        found = [rows[step][metric] for step in range(CASES)]
        right = max(found) <= statement.limit if isinstance(statement, Identity) else min(found) > statement.limit
        assert right, metric
    assert {f"rates/late_accuracy/{arm}" for arm in ARMS} <= rows[len(rows) - 1].keys()


def test_facts_see_the_net_that_they_are_not_true_of(case, monkeypatch):
    """Without normalisation the facts about it fail, and with it those about the plain net."""
    forward = exact.forward
    monkeypatch.setattr(exact, "forward", lambda x, weights, normalised=0: forward(x, weights, 0))
    for fact in (exact.bn_output_unmoved, exact.bn_gradient_unmoved, exact.extreme_weights_unnoticed):
        assert fact(case) > 0.1, fact.__name__
    assert exact.step_grows_norms(case) > 1e-6
    monkeypatch.setattr(exact, "forward", lambda x, weights, normalised=0: forward(x, weights, 3))
    assert exact.preactivations_scale(case) > 0.1 and exact.first_gradient_scales(case) > 0.1
    assert exact.squared_error_gradient(case) == pytest.approx(1)


def test_norms_after_descent_are_those_of_torchs_own_net(case):
    layers = []
    for weight in case.weights:
        layer = nn.Linear(*weight.shape[::-1], bias=False, dtype=torch.float64)
        layer.weight.data = weight.clone()
        layers += [layer, nn.BatchNorm1d(len(weight), eps=1e-300, affine=False, dtype=torch.float64), nn.ReLU()]
    net = nn.Sequential(*layers[:-2])
    hidden = [layer.weight for layer in net[:-1] if isinstance(layer, nn.Linear)]
    start = torch.cat([w.detach().flatten() for w in hidden]).norm()
    optimiser = torch.optim.SGD(net.parameters(), lr=case.rate)
    for _ in range(exact.DESCENT):
        optimiser.zero_grad()
        (nn.functional.mse_loss(net(case.x), case.g) / 2).backward()
        optimiser.step()
    end = torch.cat([w.detach().flatten() for w in hidden]).norm()
    assert exact.norms_after_descent(case) == pytest.approx(float(end / start) - 1, rel=1e-6)


def test_gradients_grow_by_the_factor_of_theory_and_without_bn_by_none():
    """Yang et al. 2019: pi/(pi - 1) for large batches and wide nets; small batches have more."""
    large, small = (growth.per_layer(growth.squared_norms(BN, m, seed=0, width=300)) for m in (512, 8))
    assert large == pytest.approx(math.pi / (math.pi - 1), rel=0.03)
    assert small > 1.65
    plain = [growth.per_layer(growth.squared_norms(PLAIN, 64, seed, width=300)) for seed in range(4)]
    assert np.mean(plain) == pytest.approx(1, abs=0.06)


def test_the_factor_is_the_slope_of_a_geometric_series():
    assert growth.per_layer(1.3 ** -np.arange(30.0)) == pytest.approx(1.3)


def made_batches(steps: int) -> list[training.Batch]:
    draw = torch.Generator().manual_seed(1)
    labels = [torch.randint(0, 3, (20,), generator=draw) for _ in range(steps)]
    return [(torch.eye(3)[y][:, None, None, :] + 0.1 * torch.randn(20, 1, 1, 3, generator=draw), y) for y in labels]


def made_net(norm: NormConfig = PLAIN):
    draw = torch.Generator().manual_seed(2)
    return build(ModelConfig(widths=(8, 8)), norm, (1, 1, 3), 3, draw, draw)


@pytest.mark.parametrize("norm", [PLAIN, BN])
def test_training_is_descent_step_by_step(norm):
    batches, net, twin = made_batches(40), made_net(norm), made_net(norm)
    found = training.train(net, batches, 0.1)
    start = torch.cat([b.linear.weight.detach().flatten() for b in twin.blocks]).norm()
    right = []
    for x, labels in batches:
        logits = twin(x)
        right.append((logits.argmax(1) == labels).double().mean().item())
        gradients = torch.autograd.grad(nn.functional.cross_entropy(logits, labels), list(twin.parameters()))
        for parameter, gradient in zip(twin.parameters(), gradients):
            parameter.data -= 0.1 * gradient
    end = torch.cat([b.linear.weight.detach().flatten() for b in twin.blocks]).norm()
    assert found.accuracy == pytest.approx(np.array(right))
    assert found.growth == pytest.approx(float(end / start), rel=1e-5) and found.spread >= 1
    assert found.late == pytest.approx(np.mean(right[-10:]))


def test_a_divergence_counts_as_chance_from_then_on():
    found = training.train(made_net(), made_batches(40), 1e30)
    assert math.isnan(found.growth) and found.late == pytest.approx(1 / 3) and found.steps == 41


def trained(accuracy: list[float]) -> training.Trained:
    return training.Trained(np.array(accuracy), 1.0, 1.0, 1.0)


def test_steps_are_counted_until_ten_batches_are_right_on_average():
    assert trained([0.0] * 20 + [1.0] * 20).steps == 29  # nine right out of ten
    assert trained([1.0] * 20).steps == 10
    assert trained([0.5] * 20).steps == 21


def test_the_largest_rate_is_the_last_that_works_and_below_the_grid_where_none_does():
    good, bad = trained([0.81] * 20), trained([0.8] * 20)
    some = training._came_to("x", [good, bad, good, *[bad] * (len(training.RATES) - 3)])
    assert some["largest_rate/x"] == training.RATES[2] and some["working_decades/x"] == pytest.approx(0.5)
    none = training._came_to("x", [bad] * len(training.RATES))
    assert none["largest_rate/x"] == pytest.approx(training.RATES[0] ** 2 / training.RATES[1])
    assert none["working_decades/x"] == 0


def made_runs(plain: float, bn: float, normal: float, wide: float, seeds: int = 10) -> Runs:
    """Seeds whose arms come to these numbers, multiplied, in every quantity, up to a little noise by seed."""
    values = {"plain": plain * normal, "bn": bn * normal, "plain_wide": plain * wide, "bn_wide": bn * wide}
    names = ("largest_rate", "working_decades", "fewest_steps", "first_gradient", "weight_growth")
    quantities = {f"{name}/{arm}": value for name in names for arm, value in values.items()}
    names = [f"{name}_at_plains_rate" for name in ("steps", "weight_growth", "weight_spread")]
    quantities |= {f"{name}/{arm}": values[arm] for name in names for arm in ("plain", "bn")}
    quantities |= {f"growth/{arm}/{m}": values[arm] for m in growth.BATCHES for arm in ("plain", "bn")}
    keys = [f"plain/{seed}" for seed in range(seeds)]
    table = pd.DataFrame({"seed": range(seeds), "steps": 100, "state": "done", "diverged_at": math.nan}, index=keys)
    rows = [
        (key, f"rates/{quantity}", 0, value * (1 + 0.001 * seed))
        for quantity, value in quantities.items()
        for seed, key in enumerate(keys)
    ]
    metrics = pd.DataFrame(rows, columns=["run", "metric", "step", "value"])
    return Runs("learning_rates", "mnist", "laptop", "runs", seeds, table, metrics, pd.DataFrame())


def test_verdicts_turn_round_with_their_arms_and_equal_arms_claim_nothing():
    found = {}
    for label, part in parts().items():
        one_way, other_way = made_runs(1.0, 20.0, 20.0, 1.0), made_runs(20.0, 1.0, 1.0, 20.0)
        found[label] = [part.judge(runs).verdict for runs in (one_way, other_way, made_runs(1.0, 1.0, 1.0, 1.0))]
        assert sorted(found[label][:2]) == ["refuted", SUPPORTED], label
        assert found[label][2] == "refuted", label
        assert part.judge(made_runs(1.0, 20.0, 20.0, 1.0, seeds=1)).verdict == UNDECIDED
    assert found["largest rate that works: BN over plain"][0] == SUPPORTED
    assert found["steps to a training accuracy of 0.9, each at its best rate: plain over BN"][0] == "refuted"


def test_a_seed_without_its_runs_is_counted():
    found = next(iter(parts().values())).judge(made_runs(1.0, 20.0, 1.0, 1.0, seeds=7))
    assert (found.n, found.planned) == (7, 10)


def test_a_sentence_of_exact_and_measured_statements_rests_on_both():
    claim = next(claim for claim in claims() if claim.id == "S2-06")
    runs = made_runs(1.0, 1.0, 20.0, 1.0)
    assert [type(s) for s in claim.test.statements] == [Identity, Part, Part, Part]
    verdict = claim.judge(runs)
    assert [v.verdict for v in verdict.parts] == [UNDECIDED, "refuted", SUPPORTED]
    assert len(verdict.beside) == 1


def test_another_seed_gives_other_nets():
    other = dataclasses.replace(CONFIG, seed=1)
    assert training._seed(CONFIG, 0) != training._seed(other, 0) != training._seed(other, 1)
