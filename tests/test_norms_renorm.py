"""Batch renormalisation against algorithm 1 of the paper written out, and against batch normalisation."""

from __future__ import annotations

import pytest
import torch
from norm_layers import DENSE, SHAPES, gradient, layer_for, units_last, values
from torch import Tensor, nn

from bnlab.config import RenormConfig
from bnlab.errors import BadInput

AT_ONCE = {"start": 0, "r_full": 0, "d_full": 0}
OPEN = RenormConfig(r_max=1e12, d_max=1e12, **AT_ONCE)


def renorm(shape: tuple[int, ...], config: RenormConfig, seed: int | None = 1, **settings: object) -> nn.Module:
    return layer_for(shape, seed, name="renorm", renorm=config, **settings)


class Algorithm1:
    """The lines of the paper, for the rows of a batch: (values of a unit, units)."""

    def __init__(self, layer: nn.Module, units: int, rate: float, eps: float) -> None:
        self.gamma, self.beta = layer.weight.detach().clone(), layer.bias.detach().clone()
        self.mu, self.sigma = torch.zeros(units).double(), torch.ones(units).double()
        self.rate, self.eps = rate, eps

    def __call__(self, rows: Tensor, r_max: float, d_max: float) -> Tensor:
        mu_b = rows.sum(0) / len(rows)
        sigma_b = (self.eps + ((rows - mu_b) ** 2).sum(0) / len(rows)) ** 0.5
        r = torch.clip(sigma_b / self.sigma, 1 / r_max, r_max).detach()
        d = torch.clip((mu_b - self.mu) / self.sigma, -d_max, d_max).detach()
        self.clipped = int((d.abs() == d_max).sum())
        xhat = (rows - mu_b) / sigma_b * r + d
        self.mu = self.mu + self.rate * (mu_b - self.mu).detach()
        self.sigma = self.sigma + self.rate * (sigma_b - self.sigma).detach()
        return self.gamma * xhat + self.beta


@SHAPES
def test_is_algorithm_1_under_its_schedule(shape: tuple[int, ...]) -> None:
    """Ten updates: batch normalisation, limits that grow, limits that hold; outputs, gradients, moving averages."""
    layer = renorm(shape, RenormConfig(r_max=1.5, d_max=0.6, start=2, r_full=6, d_full=4), eps=1e-3, momentum=0.1)
    twin = Algorithm1(layer, 5, rate=0.1, eps=1e-3)
    grown = [(0, 0), (0, 0), (0, 0), (1 / 4, 1 / 2), (2 / 4, 1), (3 / 4, 1), (1, 1), (1, 1), (1, 1), (1, 1)]
    clipped = []
    for step, (r_share, d_share) in enumerate(grown):
        x, upstream = values(shape, seed=step), values(shape, seed=50 + step)
        ours, theirs = x.clone().requires_grad_(), units_last(x).clone().requires_grad_()
        out, expected = layer(ours), twin(theirs, 1 + 0.5 * r_share, 0.6 * d_share)
        torch.testing.assert_close(units_last(out), expected)
        out.backward(upstream)
        expected.backward(units_last(upstream))
        torch.testing.assert_close(units_last(ours.grad), theirs.grad)
        torch.testing.assert_close(layer.running_mean, twin.mu)
        torch.testing.assert_close(layer.running_std, twin.sigma)
        clipped.append(twin.clipped)
    assert 0 < sum(clipped[5:]) < 5 * len(twin.mu)
    layer.eval()
    expected = layer.weight * (units_last(x) - twin.mu) / twin.sigma + layer.bias
    torch.testing.assert_close(units_last(layer(x)), expected)


@SHAPES
def test_with_r_1_and_d_0_it_is_batch_normalisation_to_the_bit(shape: tuple[int, ...]) -> None:
    closed = renorm(shape, RenormConfig(r_max=1.0, d_max=0.0, **AT_ONCE))
    waiting, batch = renorm(shape, RenormConfig(start=5)), layer_for(shape, name="batch")
    for step in range(3):
        x, upstream = values(shape, seed=step), values(shape, seed=9)
        for layer in (closed, waiting):
            assert torch.equal(layer(x), batch(x))
            assert torch.equal(gradient(layer, x, upstream), gradient(batch, x, upstream))


@SHAPES
def test_without_limits_training_gives_what_the_moving_averages_give(shape: tuple[int, ...]) -> None:
    """gamma (x - mu) / sigma + beta, with averages from before the batch; the gradient is that of batch normalisation
    times r, not the slope gamma / sigma of that map."""
    layer, x, upstream = renorm(shape, OPEN), values(shape), values(shape, seed=3)
    layer(values(shape, seed=1))
    mu, sigma = layer.running_mean.clone(), layer.running_std.clone()
    torch.testing.assert_close(units_last(layer(x)), layer.weight * (units_last(x) - mu) / sigma + layer.bias)
    r = (units_last(x).var(0, unbiased=False) + layer.eps).sqrt() / layer.running_std
    batch = layer_for(shape, name="batch")
    expected = units_last(gradient(batch, x, upstream)) * r
    found = units_last(gradient(layer, x, upstream))
    torch.testing.assert_close(found, expected)
    assert (found - units_last(upstream) * layer.weight / sigma).abs().max() > 0.01


@pytest.mark.parametrize(("center", "scale"), [(True, False), (False, True), (False, False)])
def test_gamma_and_beta_can_be_left_out(center: bool, scale: bool) -> None:
    config = RenormConfig(r_max=1.3, d_max=0.4, **AT_ONCE)
    part, whole = renorm(DENSE, config, center=center, scale=scale), renorm(DENSE, config, seed=None)
    assert (part.weight is not None, part.bias is not None) == (scale, center)
    with torch.no_grad():
        for ours, theirs in ((part.weight, whole.weight), (part.bias, whole.bias)):
            if ours is not None:
                theirs.copy_(ours)
    torch.testing.assert_close(part(values(DENSE)), whole(values(DENSE)))
    torch.testing.assert_close(part.eval()(values(DENSE)), whole.eval()(values(DENSE)))


def test_a_bias_before_it_has_no_gradient() -> None:
    layer, bias = renorm(DENSE, OPEN), torch.ones(5, dtype=torch.float64).requires_grad_()
    layer(values(DENSE) + bias).backward(values(DENSE, seed=2))
    assert bias.grad.abs().max() < 1e-12


def test_the_paper_schedule() -> None:
    """r_max 1 and d_max 0 for 5,000 updates, then 3 at 40,000 and 5 at 25,000."""
    layer = renorm(DENSE, RenormConfig(start=5_000, r_full=40_000, d_full=25_000))
    for update, limits in ((0, (1, 0)), (5_000, (1, 0)), (15_000, (1 + 4 / 7, 2.5)), (25_000, (1 + 8 / 7, 5))):
        layer.updates.fill_(update)
        assert layer._limits() == pytest.approx(limits)
    layer.updates.fill_(40_000)
    assert layer._limits() == (3, 5)


@pytest.mark.parametrize("warm_up", [False, True])
def test_a_copy_of_its_state_goes_on_to_the_same_bits(warm_up: bool) -> None:
    config = RenormConfig(r_max=2.0, d_max=1.0, start=1, r_full=5, d_full=4)
    layer, copy = (renorm(DENSE, config, warm_up=warm_up) for _ in range(2))
    for step in range(3):
        layer(values(DENSE, seed=step))
    layer.eval()(values(DENSE))
    layer.train()
    copy.load_state_dict(layer.state_dict())
    assert int(copy.updates) == 3
    assert torch.equal(copy(values(DENSE, seed=8)), layer(values(DENSE, seed=8)))


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"r_max": 0.5}, "r_max"), ({"d_max": -1.0}, "d_max"), ({"start": -1}, "start"), ({"r_full": 99}, "r_full")],
)
def test_limits_out_of_range_are_refused(settings: dict, key: str) -> None:
    with pytest.raises(BadInput, match=f"^norm.renorm.{key}="):
        RenormConfig(**settings)


def test_one_value_per_unit_is_refused() -> None:
    with pytest.raises(BadInput, match="batch_size=1"):
        renorm((1, 5), OPEN)(torch.ones(1, 5, dtype=torch.float64))
