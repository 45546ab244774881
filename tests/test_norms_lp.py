"""Normalisation by l_p norms against their definition in plain Python, and against batch normalisation."""

from __future__ import annotations

import math

import pytest
import torch
from norm_layers import DENSE, SHAPES, gradient, layer_for, units_last, values

from bnlab.config import LpConfig, NormConfig
from bnlab.errors import BadInput

NAMES = ("l1", "l2", "linf")
NORMS = pytest.mark.parametrize("norm", NAMES)


def lp_norm(shape: tuple[int, ...], norm: str, centred: bool = False, seed: int | None = 1, **settings: object):
    return layer_for(shape, seed, name="lp", lp=LpConfig(norm, centred), **settings)


def average_norm(column: list[float], norm: str) -> float:
    """As Santurkar et al. word it, over the values of one unit."""
    if norm == "linf":
        return max(abs(value) for value in column)
    if norm == "l1":
        return math.fsum(abs(value) for value in column) / len(column)
    return math.sqrt(math.fsum(value**2 for value in column) / len(column))


@pytest.mark.parametrize("centred", [False, True])
@NORMS
@SHAPES
def test_is_the_definition(shape: tuple[int, ...], norm: str, centred: bool) -> None:
    layer, x = lp_norm(shape, norm, centred, eps=1e-3, momentum=0.2), values(shape)
    found = units_last(layer(x))
    for unit, column in enumerate(units_last(x).T.tolist()):
        mean = math.fsum(column) / len(column)
        size = average_norm([value - mean for value in column] if centred else column, norm)
        gamma, beta = layer.weight[unit].item(), layer.bias[unit].item()
        expected = [gamma * (value - mean) / (size + 1e-3) + beta for value in column]
        assert found[:, unit].tolist() == pytest.approx(expected, rel=1e-10, abs=1e-12)
        assert layer.running_mean[unit].item() == pytest.approx(0.2 * mean, rel=1e-10)
        assert layer.running_norm[unit].item() == pytest.approx(0.8 + 0.2 * size, rel=1e-10)


@NORMS
@SHAPES
def test_gradients_pass_gradcheck(shape: tuple[int, ...], norm: str) -> None:
    for centred in (False, True):
        layer = lp_norm(shape, norm, centred, momentum=0.0)
        assert torch.autograd.gradcheck(layer, values(shape).requires_grad_(), eps=1e-6, atol=1e-6)


@SHAPES
def test_l2_is_batch_normalisation_with_the_mean_in_the_deviation(shape: tuple[int, ...]) -> None:
    """l2 divides by sqrt(mean^2 + variance): batch normalisation times sigma / sqrt(mean^2 + sigma^2)."""
    x, upstream = values(shape), values(shape, seed=2)
    batch = layer_for(shape, None, name="batch", eps=0.0)
    rows, l2 = units_last(x), lp_norm(shape, "l2", seed=None, eps=0.0)
    mean, sigma = rows.mean(0), rows.std(0, unbiased=False)
    factor = sigma / (mean.square() + sigma.square()).sqrt()
    torch.testing.assert_close(units_last(l2(x)), units_last(batch(x)) * factor)
    assert factor.min() < 0.9
    centred = lp_norm(shape, "l2", centred=True, seed=None, eps=0.0)
    torch.testing.assert_close(centred(x), batch(x))
    torch.testing.assert_close(gradient(centred, x, upstream), gradient(batch, x, upstream))
    shifted = x - mean.view(1, -1, *[1] * (len(shape) - 2))
    torch.testing.assert_close(l2(shifted), batch(shifted))


def test_evaluation_is_one_affine_map_of_the_moving_averages() -> None:
    layer = lp_norm(DENSE, "l1", momentum=0.5)
    layer(values(DENSE))
    layer(values(DENSE, seed=1))
    layer.eval()
    kept, x = [b.clone() for b in layer.buffers()], values(DENSE, seed=7)
    slope = layer.weight / (layer.running_norm + layer.eps)
    torch.testing.assert_close(layer(x), x * slope + (layer.bias - layer.running_mean * slope))
    assert all(torch.equal(a, b) for a, b in zip(kept, layer.buffers(), strict=True))


@NORMS
@pytest.mark.parametrize("factor", [3.0, 0.01, -2.0])
def test_weight_scale_changes_the_sign_only(norm: str, factor: float) -> None:
    layer = lp_norm(DENSE, norm, seed=None, eps=0.0)
    x = values(DENSE)
    torch.testing.assert_close(layer(factor * x), math.copysign(1, factor) * layer(x))


@NORMS
def test_a_bias_before_it_counts_unless_the_norm_is_centred(norm: str) -> None:
    for centred in (False, True):
        layer, x = lp_norm(DENSE, norm, centred, eps=0.0), values(DENSE)
        bias = torch.arange(1.0, 6.0, dtype=torch.float64).requires_grad_()
        layer(x + bias).backward(values(DENSE, seed=2))
        assert (bias.grad.abs().max() < 1e-10) == centred
        assert NormConfig(name="lp", lp=LpConfig(norm, centred)).removes_bias == centred


def test_a_larger_order_divides_by_more() -> None:
    sizes = [lp_norm(DENSE, norm, seed=None)(values(DENSE)).abs() for norm in NAMES]
    assert (sizes[0] > sizes[1]).all() and (sizes[1] > sizes[2]).all()


def test_a_unit_that_is_zero_throughout_gives_beta() -> None:
    for norm in NAMES:
        layer, zeros = lp_norm(DENSE, norm), torch.zeros(DENSE, dtype=torch.float64)
        torch.testing.assert_close(layer(zeros), layer.bias.expand(DENSE))
        assert gradient(layer, zeros, values(DENSE)).isfinite().all()


def test_one_value_per_unit_and_unknown_norms_are_refused() -> None:
    with pytest.raises(BadInput, match="batch_size=1"):
        lp_norm((1, 5), "l1")(torch.ones(1, 5, dtype=torch.float64))
    with pytest.raises(BadInput, match=r"norm.lp.norm=l3"):
        LpConfig("l3")
