"""Loss and gradient along a line: closed forms, a slow twin, the training step itself."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from probed_runs import NETS, VARIANTS, configuration, measured, moment_of, same, started, trained, twin_gradients
from torch import Tensor

from bnlab.config import LandscapeConfig, OptimConfig, ProbeConfig, RunConfig
from bnlab.errors import BadInput
from bnlab.probes.landscape import LANDSCAPE, line_numbers, random_direction, start_at, walk
from bnlab.probes.objective import norm

FACTORS = (0.125, 0.5, 1.0, 2.0, 4.0)
EVERY_NET = pytest.mark.parametrize("net", NETS)
EVERY_VARIANT = pytest.mark.parametrize("norm_name", [*VARIANTS, "renorm"])


def configured(net: str, norm_name: str, decay: float = 0.0, random: bool = False) -> RunConfig:
    config = configuration(net, norm_name, ("landscape",))
    probe = dataclasses.replace(config.probe, landscape=LandscapeConfig("2it", FACTORS, random))
    optim = OptimConfig(name="sgd", weight_decay=decay)
    return dataclasses.replace(config, probe=probe, optim=optim, lr=0.1)


class Quadratic:
    """L(w) = w H w / 2 - b w in float64, over two tensors of 3 and 2 x 2 parameters; H has the given eigenvalues."""

    eigenvalues = np.array([0.01, 0.3, 1.0, 2.5, 4.0, 11.0, 40.0])

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.axes = np.linalg.qr(draw.normal(size=(7, 7)))[0]
        self.hessian = self.axes @ np.diag(self.eigenvalues) @ self.axes.T
        self.b, self.w = draw.normal(size=(2, 7))

    def parameters(self, w: np.ndarray) -> dict[str, Tensor]:
        return {"first": torch.tensor(w[:3]), "second": torch.tensor(w[3:].reshape(2, 2))}

    def loss(self, parameters: dict[str, Tensor]) -> Tensor:
        w = torch.cat([p.reshape(-1) for p in parameters.values()])
        return w @ torch.tensor(self.hessian) @ w / 2 - torch.tensor(self.b) @ w

    def value(self, w: np.ndarray) -> float:
        return w @ self.hessian @ w / 2 - self.b @ w


def exactly(value: float | np.ndarray, scale: float = 1.0) -> object:
    return pytest.approx(value, rel=1e-11, abs=1e-11 * scale)


@pytest.mark.parametrize("seed", range(5))
def test_on_a_quadratic_everything_follows_from_the_hessian(seed: int) -> None:
    """L - a g g + a^2 g H g / 2 along the gradient; the gradient moves by a ||H g||; beta is ||H g|| / ||g||."""
    problem, lengths = Quadratic(seed), np.array([0.01, 0.05, 0.3, 2.0])
    start = start_at(problem.loss, problem.parameters(problem.w))
    line = walk(problem.loss, start, start.gradient, lengths.tolist())
    g = problem.hessian @ problem.w - problem.b
    along, bent = np.linalg.norm(g), problem.hessian @ g
    losses = problem.value(problem.w) - lengths * (g @ g) + lengths**2 * (g @ bent) / 2
    assert start.loss.item() == exactly(problem.value(problem.w))
    assert norm(start.gradient.values()).item() == exactly(along)
    assert line.losses.numpy() == exactly(losses, np.abs(losses).max())
    assert line.rises.numpy() == exactly(losses - problem.value(problem.w), np.abs(losses).max())
    assert line.changes.numpy() == exactly(lengths * np.linalg.norm(bent))
    assert line.smoothness.numpy() == exactly(np.full(4, np.linalg.norm(bent) / along))


@pytest.mark.parametrize("which", range(7))
def test_along_an_eigenvector_beta_is_its_eigenvalue(which: int) -> None:
    problem = Quadratic(9)
    start = start_at(problem.loss, problem.parameters(problem.w))
    line = walk(problem.loss, start, problem.parameters(3 * problem.axes[:, which]), [0.2, 1.0])
    assert line.smoothness.numpy() == pytest.approx(problem.eigenvalues[which], rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_in_a_random_direction_beta_is_that_directions_stretch(seed: int) -> None:
    problem = Quadratic(seed)
    start = start_at(problem.loss, problem.parameters(problem.w))
    direction = random_direction(start.gradient, (seed,))
    line = walk(problem.loss, start, direction, [0.1])
    d = np.concatenate([p.numpy().ravel() for p in direction.values()])
    assert line.smoothness.item() == exactly(np.linalg.norm(problem.hessian @ d) / np.linalg.norm(d))
    assert line.losses.item() == exactly(problem.value(problem.w - 0.1 * d))
    assert problem.eigenvalues[0] < line.smoothness.item() < problem.eigenvalues[-1]


def quartic(sign: int) -> dict[str, float]:
    """From w = 1 on the loss sign w^4 / 4, whose gradient there is sign: the step of length a leads to 1 - sign a."""

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return sign * parameters["w"].pow(4).sum() / 4

    start = start_at(loss, {"w": torch.tensor([1.0], dtype=torch.float64)})
    line = walk(loss, start, start.gradient, [0.25, 0.5, 1.0])
    return {name: value.item() for name, value in line_numbers(line, (0.5, 1.0, 2.0)).items()}


def test_extremes_and_their_place_where_the_curvature_falls_and_where_it_rises() -> None:
    """||dg|| / (a ||g||) is (1 - (1 - a)^3) / a downhill in the bowl and ((1 + a)^3 - 1) / a uphill beside it."""
    downhill, uphill = quartic(1), quartic(-1)
    assert downhill["beta_smoothness"] == exactly(3 - 3 / 4 + 1 / 16) == downhill["beta_smoothness/0.5"]
    assert downhill["beta_factor"] == 0.5
    assert uphill["beta_smoothness"] == exactly(3 + 3 + 1) == uphill["beta_smoothness/2"]
    assert uphill["beta_factor"] == 2.0
    assert (downhill["gradient_change_min"], downhill["gradient_change_max"]) == (exactly(37 / 64), exactly(1))
    assert (downhill["loss_max"], downhill["loss_min"]) == (exactly(0.75**4 / 4), exactly(0))
    assert (uphill["loss_max"], uphill["loss_min"]) == (exactly(-(1.25**4) / 4), exactly(-4))


def test_beyond_the_end_of_the_loss_nothing_is_made_up() -> None:
    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return parameters["w"].log().sum()

    start = start_at(loss, {"w": torch.tensor([1.0])})
    found = line_numbers(walk(loss, start, start.gradient, [0.5, 2.0]), (0.5, 2.0))
    numbers = {name: value.item() for name, value in found.items()}
    assert numbers["loss_change/0.5"] == pytest.approx(math.log(0.5)) and math.isnan(numbers["loss_change/2"])
    assert math.isnan(numbers["loss_min"]) and math.isnan(numbers["loss_max"])


def test_where_the_gradient_vanishes_there_is_no_beta() -> None:
    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return parameters["w"].square().sum()

    start = start_at(loss, {"w": torch.zeros(2)})
    found = line_numbers(walk(loss, start, start.gradient, [1.0]), (1.0,))
    assert math.isnan(found["beta_smoothness"]) and math.isnan(found["beta_factor"])
    assert found["gradient_change_max"] == 0


# In nets


@EVERY_VARIANT
@EVERY_NET
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_against_a_slow_twin(net: str, norm_name: str, decay: float) -> None:
    run = started(configured(net, norm_name, decay))
    moment = moment_of(run)
    loss, gradient = twin_gradients(run.net, moment)
    points = [twin_gradients(moved(run.net, gradient, factor * 0.1), moment) for factor in FACTORS]
    values = next_values(moment)
    length = math.sqrt(sum(float((g * g).sum()) for g in gradient.values()))
    changes = [math.sqrt(sum(float(((h[n] - gradient[n]) ** 2).sum()) for n in gradient)) for _, h in points]
    ratios = [change / (factor * 0.1 * length) for change, factor in zip(changes, FACTORS)]
    close = {"rel": 2e-3, "abs": 1e-5}
    assert values.pop("landscape/loss") == pytest.approx(loss, **close)
    assert values.pop("landscape/gradient_norm") == pytest.approx(length, **close)
    for factor, (there, _), change, ratio in zip(FACTORS, points, changes, ratios):
        assert values.pop(f"landscape/loss_change/{factor:g}") == pytest.approx(there - loss, **close)
        assert values.pop(f"landscape/gradient_change/{factor:g}") == pytest.approx(change, **close)
        assert values.pop(f"landscape/beta_smoothness/{factor:g}") == pytest.approx(ratio, **close)
    assert values.pop("landscape/loss_min") == pytest.approx(min(there for there, _ in points), **close)
    assert values.pop("landscape/loss_max") == pytest.approx(max(there for there, _ in points), **close)
    assert values.pop("landscape/gradient_change_min") == pytest.approx(min(changes), **close)
    assert values.pop("landscape/gradient_change_max") == pytest.approx(max(changes), **close)
    assert values.pop("landscape/beta_smoothness") == pytest.approx(max(ratios), **close)
    assert values.pop("landscape/beta_factor") == FACTORS[int(np.argmax(ratios))]
    assert not values


def next_values(moment) -> dict[str, float]:
    measurement = LANDSCAPE.measure(moment)
    next(measurement)
    return next(measurement)


def moved(net, direction: dict[str, Tensor], length: float):
    """A copy of the net with every parameter set by hand to where `length` times the direction leads."""
    twin = copy.deepcopy(net)
    for name, parameter in twin.named_parameters():
        parameter.data = (parameter.data.double() - length * direction[name]).float()
    return twin


@pytest.mark.parametrize("norm_name", ["none", "batch"])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_factor_1_is_where_plain_gradient_descent_arrives(norm_name: str, decay: float) -> None:
    run = started(configured("vgg_a", norm_name, decay))
    moment = moment_of(run)
    measurement = LANDSCAPE.measure(moment)
    next(measurement)
    run.optimizer.step()
    values = next(measurement)
    arrived = torch.nn.functional.cross_entropy(run.net(moment.x), moment.y).item()
    arrived += decay / 2 * sum(float(p.detach().square().sum()) for p in run.net.parameters())
    assert values["landscape/loss"] + values["landscape/loss_change/1"] == pytest.approx(arrived, rel=1e-5)
    assert abs(values["landscape/loss_change/1"]) > 1e-3 * values["landscape/loss"]


def test_the_random_direction_is_a_switch_and_changes_no_bit() -> None:
    without, rows = trained(started(configured("mlp", "noisy_batch")))
    left, more = trained(started(configured("mlp", "noisy_batch", random=True)))
    assert same(left, without)
    for step, values in rows.items():
        added = {name.replace("random_", "") for name in more[step].keys() - values.keys()}
        assert added == values.keys() - {"landscape/loss", "landscape/gradient_norm"}
        assert repr({name: more[step][name] for name in values}) == repr(values)


def test_random_lines_differ_from_step_to_step_and_from_seed_to_seed() -> None:
    like = {"a": torch.ones(400, 3), "b": torch.full((500,), 2.0)}
    drawn = [random_direction(like, seed) for seed in ((0, 0), (0, 1), (1, 0), (0, 0))]
    vectors = [torch.cat([p.reshape(-1) for p in d.values()]).double() for d in drawn]
    assert torch.equal(vectors[0], vectors[3])
    for vector in vectors:
        assert vector.norm().item() == pytest.approx(math.sqrt(1200 + 2000), rel=1e-6)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert abs(torch.cosine_similarity(vectors[first], vectors[second], dim=0)) < 5 / math.sqrt(1700)


def test_a_random_line_is_not_the_gradient_line() -> None:
    values = measured(LANDSCAPE, started(configured("vgg_a", "batch", random=True)))
    assert values["landscape/random_loss_change/1"] != pytest.approx(values["landscape/loss_change/1"], rel=1e-4)
    assert 0 < abs(values["landscape/random_loss_change/0.125"]) < abs(values["landscape/loss_change/0.125"])


@pytest.mark.parametrize("factors", [(), (0.0,), (-1.0, 1.0), (1.0, 1.0), (1.0, 1.00000001), (math.inf,)])
def test_factors_have_to_be_positive_and_different(factors: tuple[float, ...]) -> None:
    with pytest.raises(BadInput, match=r"^probe\.landscape\.factors="):
        RunConfig(probe=ProbeConfig(landscape=LandscapeConfig(factors=factors)))
