"""Covariate shift: fits and nets against closed forms and slow twins, and verdicts that turn with their arms."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import special, stats
from sklearn.linear_model import LinearRegression

from bnlab import experiment, procedures
from bnlab.claims import SUPPORTED, UNDECIDED, judge_part
from bnlab.config import RunConfig
from bnlab.procedures.covariate_shift import depth, dogs, vehicles
from bnlab.procedures.covariate_shift.streams import stream
from bnlab.store import Runs

CONFIG = RunConfig(procedure="covariate_shift", steps=200)


@pytest.fixture(scope="module")
def rows() -> dict[int, dict[str, float]]:
    return dict(procedures.measure(CONFIG))


def claims():
    return {claim.id: claim for claim in experiment.load("covariate_shift").claims}


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(rows):
    assert dict(procedures.measure(CONFIG)) == rows
    assert list(rows) == sorted(rows) and all(math.isfinite(v) for values in rows.values() for v in values.values())
    other = dict(vehicles.compare(1, 200))[0]
    assert other["error/linear/cars"] != rows[0]["shift/error/linear/cars"]


def population_error(intercept: float, slope: float, kind: str) -> float:
    """E (x^2 - intercept - slope x)^2 for x normal, plus the noise, by quadrature."""
    x = stats.norm(vehicles.KINDS[kind].mean, vehicles.KINDS[kind].spread)
    return x.expect(lambda v: (v**2 - intercept - slope * v) ** 2) + vehicles.NOISE**2


@pytest.mark.parametrize("kind", vehicles.KINDS)
def test_a_line_ends_at_the_closed_form_of_its_population(kind):
    """The best line for x^2 and x ~ N(m, s^2) is s^2 - m^2 + 2 m x; its error there is 2 s^4 and the noise."""
    m, s = vehicles.KINDS[kind].mean, vehicles.KINDS[kind].spread
    x, y = vehicles.draw_kind(np.random.default_rng(3), kind, 400_000)
    found = vehicles.fit(x, y, 1)
    assert found == pytest.approx([s**2 - m**2, 2 * m], abs=0.02)
    assert population_error(s**2 - m**2, 2 * m, kind) == pytest.approx(2 * s**4 + vehicles.NOISE**2)
    assert vehicles.error(found, x, y) == pytest.approx(2 * s**4 + vehicles.NOISE**2, rel=0.02)


def test_weighted_cars_give_the_line_of_motorbikes():
    m, s = vehicles.KINDS["motorbikes"].mean, vehicles.KINDS["motorbikes"].spread
    x, y = vehicles.draw_kind(np.random.default_rng(4), "cars", 400_000)
    assert vehicles.fit(x, y, 1, vehicles.density_ratio(x)) == pytest.approx([s**2 - m**2, 2 * m], abs=0.05)


def test_the_error_on_motorbikes_of_a_line_fitted_to_cars_is_the_closed_form():
    """0.9287: the mean square of x^2 + 2 - 3 x over motorbikes, and the noise."""
    exact = population_error(-2.0, 3.0, "motorbikes")
    x, y = vehicles.draw_kind(np.random.default_rng(5), "motorbikes", 400_000)
    assert vehicles.error(np.array([-2.0, 3.0]), x, y) == pytest.approx(exact, rel=0.01)
    assert exact == pytest.approx(0.9287, abs=1e-3)


def test_densities_and_weighted_fits_are_those_of_scipy_and_scikit_learn():
    x, y = vehicles.draw_kind(np.random.default_rng(6), "cars", 500)
    weights = stats.norm(0.5, 0.25).pdf(x) / stats.norm(1.5, 0.5).pdf(x)
    assert np.allclose(vehicles.density_ratio(x), weights, rtol=1e-12)
    model = LinearRegression().fit(x[:, None], y, sample_weight=weights)
    assert np.allclose(vehicles.fit(x, y, 1, weights), [model.intercept_, *model.coef_], rtol=1e-8)


def sigmoid_moments() -> tuple[float, float]:
    """Mean and spread of the sigmoid of a standard normal, by quadrature."""
    mean, square = (stats.norm().expect(lambda z, k=k: special.expit(z) ** k) for k in (1, 2))
    return mean, (square - mean**2) ** 0.5


def test_behind_batch_normalisation_outputs_have_the_moments_of_a_sigmoid_of_a_normal():
    mean, spread = sigmoid_moments()
    assert (mean, spread) == (pytest.approx(0.5), pytest.approx(0.2083, abs=1e-4))
    draw = stream(0, 1)
    x = torch.randn(20_000, 4, generator=draw, dtype=torch.float64)
    first = depth.layer_values(x, depth.draw_weights(draw)[:1], depth.standardised)[1]
    assert first.mean(0).numpy() == pytest.approx(mean, abs=2e-3)
    assert first.std(0).numpy() == pytest.approx(spread, abs=2e-3)


def test_the_deep_net_is_that_of_torch_layers():
    draw = stream(0, 1)
    x, weights = depth.standardised(torch.randn(50, 4, generator=draw, dtype=torch.float64)), depth.draw_weights(draw)
    for normalised in (False, True):
        layers = []
        for weight in weights:
            linear = torch.nn.Linear(*weight.shape, bias=False, dtype=torch.float64)
            linear.weight.data = weight.T
            norm = torch.nn.BatchNorm1d(weight.shape[1], affine=False, dtype=torch.float64)
            layers += [linear, *([norm] if normalised else []), torch.nn.Sigmoid()]
        found = depth.layer_values(x, weights, depth.standardised if normalised else torch.nn.Identity())
        assert torch.allclose(found[-1], torch.nn.Sequential(*layers)(x), atol=1e-12)
        assert len(found) == 11


def test_the_distance_between_distributions_is_that_of_their_sorted_values():
    a, b = torch.randn(2, 30, 5, generator=stream(0, 9), dtype=torch.float64)
    slow = (a.flatten().sort().values - b.flatten().sort().values).abs().mean()
    assert depth.mean_distance([a, a], [b, a]) == pytest.approx(slow.item() / 2)
    assert depth.mean_distance([a], [a + 0.25]) == pytest.approx(0.25)


def test_only_training_changes_distributions_over_time(rows):
    values = rows[0]
    assert values["shift/over_time/frozen"] == 0 == values["shift/mean_shift/neither"]
    assert values["shift/over_time/trained"] > 0 and values["shift/mean_shift/kept"] > 0
    assert values["shift/depth_not_time"] == values["shift/across_depth"] > 0


def test_a_known_shift_is_measured():
    a = torch.randn(500, 3, generator=stream(0, 9), dtype=torch.float64)
    deviation = a.std(0, correction=0)
    moved = (a - a.mean(0)) * torch.tensor([1.0, 2.0, 0.5]) + a.mean(0) + torch.tensor([0.3, -0.6, 0.0]) * deviation
    found = dogs.shift([a[:, :1], a[:, 1:]], [moved[:, :1], moved[:, 1:]])
    assert found == {"mean_shift": pytest.approx(0.3), "spread_shift": pytest.approx(2 * math.log(2) / 3)}


def test_the_two_coats_differ_in_the_dogs_alone():
    white, other = dogs.draw_coats(stream(0, 2), 200)
    changed = (white.x != other.x).sum(1)
    assert torch.equal(white.y, other.y) and white.y.sum() == 100
    assert (changed[white.y == 0] == 0).all() and (changed[white.y == 1] == 29).all()  # points within a radius of 3


def test_hidden_activations_are_those_of_a_hook():
    net, x = dogs.make_net(stream(0, 2)), torch.randn(7, dogs.SIDE**2, generator=stream(0, 3))
    seen: list[torch.Tensor] = []
    for layer in net:
        if isinstance(layer, torch.nn.Tanh):
            layer.register_forward_hook(lambda module, args, y: seen.append(y))
    net(x)
    found = dogs.activations(net, x)
    assert len(found) == 3 and all(torch.equal(a, b) for a, b in zip(found, seen))


def test_the_net_learns_white_dogs_and_frozen_scenarios_do_not_train_it(rows):
    assert rows[0]["shift/dog_accuracy/white"] > 0.9
    for name in ("mean_shift", "spread_shift"):
        for scenario in ("kept", "swapped", "article"):
            assert rows[0][f"shift/{name}/{scenario}"] == rows[dogs.SECOND][f"shift/{name}_after/{scenario}"]


def sides(part) -> tuple[str, str]:
    return part.measure.keywords["above"], part.measure.keywords["below"]


def made_runs(values: dict[str, float], seeds: int = 10) -> Runs:
    """Runs whose metrics all come to these values, up to a little noise by seed that is not the same in each."""
    keys = [f"plain/{seed}" for seed in range(seeds)]
    table = pd.DataFrame({"seed": range(seeds), "steps": 100, "state": "done", "diverged_at": math.nan}, index=keys)
    metrics = pd.DataFrame(
        [
            (key, f"shift/{name}", 0, value * (1 + 0.001 * (seed if place else -seed)))
            for place, (name, value) in enumerate(values.items())
            for seed, key in enumerate(keys)
        ],
        columns=["run", "metric", "step", "value"],
    )
    return Runs("covariate_shift", "synthetic", "laptop", "runs", seeds, table, metrics, pd.DataFrame())


RATIOS = [part for claim in claims().values() for part in claim.parts if part.unit.startswith("log10")]


@pytest.mark.parametrize("part", RATIOS, ids=lambda part: part.label)
def test_a_ratio_turns_round_with_its_arms_and_equal_arms_claim_nothing(part):
    above, below = sides(part)
    words = [
        judge_part(part, made_runs({above: high, below: low})).verdict
        for high, low in ((4.0, 1.0), (1.0, 4.0), (1.0, 1.0))
    ]
    assert words == [SUPPORTED, "refuted", "refuted"]
    assert judge_part(part, made_runs({above: 4.0, below: 1.0}, seeds=1)).verdict == UNDECIDED
    found = judge_part(part, made_runs({above: 4.0, below: 1.0}, seeds=7))
    assert (found.n, found.planned) == (7, 10)


def test_one_arm_used_as_both_claims_nothing():
    runs = made_runs({"error/linear/cars": 3.0})
    for part in RATIOS:
        same = partial(part.measure.func, above="error/linear/cars", below="error/linear/cars")
        found = judge_part(dataclasses.replace(part, measure=same), runs)
        assert (found.effect, found.verdict) == (0, "refuted")


@pytest.mark.parametrize("value", [0.5, -0.5])
def test_a_mean_is_off_zero_on_either_side(value):
    part = next(part for part in claims()["S3-06"].parts if part.label.startswith("the mean of the first"))
    assert judge_part(part, made_runs({"mean/plain/01": value})).verdict == SUPPORTED
    assert judge_part(part, made_runs({"mean/plain/01": 0.01})).verdict == "refuted"


@pytest.mark.parametrize(("depth_not_time", "word"), [(0.8, "refuted"), (-0.8, SUPPORTED), (0.0, SUPPORTED)])
def test_change_across_depth_is_refuted_as_change_over_time_only_where_they_differ(depth_not_time, word):
    assert claims()["S3-07"].judge(made_runs({"depth_not_time": depth_not_time})).verdict == word


@pytest.mark.parametrize(("frozen", "word"), [(1.0, "refuted"), (0.0, SUPPORTED)])
def test_the_dogs_are_judged_on_what_is_there_with_frozen_weights(frozen, word):
    found = claims()["S3-17"].judge(made_runs({"mean_shift/frozen": frozen, "mean_shift/kept": 0.1}))
    assert (found.verdict, found.n) == (word, 10)
    assert len(found.beside) == 7


def test_every_claim_finds_its_metrics(rows):
    runs = made_runs({name.removeprefix("shift/"): value for name, value in rows[0].items()})
    for claim in claims().values():
        verdict = claim.judge(runs)
        assert all(part.n == part.planned == 10 for part in (verdict, *verdict.parts, *verdict.beside)), claim.id
