"""Batch normalisation against torch's own module, against closed forms, and against what is exactly true of it."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from norm_layers import CONV, DENSE, SHAPES, gradient, layer_for, units_last, values
from torch import nn

from bnlab import config
from bnlab.config import NormConfig
from bnlab.errors import BadInput
from bnlab.norms import NORMS, make_norm


def batch_norm(shape: tuple[int, ...], seed: int | None = 1, **settings: object) -> nn.Module:
    return layer_for(shape, seed, name="batch", **settings)


def test_there_is_a_layer_for_every_name_a_configuration_may_have() -> None:
    assert tuple(NORMS) == config.NORMS
    assert make_norm(NormConfig(name="none"), 3, False, None) is None


@pytest.mark.parametrize(("center", "scale"), list(itertools.product([True, False], repeat=2)))
@SHAPES
def test_agrees_with_torch(shape: tuple[int, ...], center: bool, scale: bool) -> None:
    layer = batch_norm(shape, center=center, scale=scale, eps=1e-3, momentum=0.07)
    peer = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(shape[1], eps=1e-3, momentum=0.07).double()
    assert (layer.weight is not None, layer.bias is not None) == (scale, center)
    with torch.no_grad():
        for ours, theirs in ((layer.weight, peer.weight), (layer.bias, peer.bias)):
            if ours is not None:
                theirs.copy_(ours)
    for step in range(3):
        x, upstream = values(shape, seed=step), values(shape, seed=10 + step)
        torch.testing.assert_close(gradient(layer, x, upstream), gradient(peer, x, upstream))
    if scale:
        torch.testing.assert_close(layer.weight.grad, peer.weight.grad)
    if center:
        torch.testing.assert_close(layer.bias.grad, peer.bias.grad)
    torch.testing.assert_close(layer.running_mean, peer.running_mean)
    torch.testing.assert_close(layer.running_var, peer.running_var)
    assert layer.running_mean.abs().min() > 0
    torch.testing.assert_close(layer.eval()(x), peer.eval()(x))


@pytest.mark.parametrize("settings", [{}, {"scale": False}, {"scale": False, "center": False}], ids=str)
def test_channels_last_stays_so_and_changes_no_number(settings: dict) -> None:
    shape = (8, 16, 7, 7)
    x = values(shape, dtype=torch.float32)
    outcomes = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        layer = make_norm(NormConfig(name="batch", offset_init=0.3, **settings), 16, True, None)
        given = x.clone(memory_format=memory_format).requires_grad_()
        out = layer(given)
        assert out.is_contiguous(memory_format=memory_format)
        out.backward(x)
        outcomes.append((out, given.grad, layer.running_var, layer.eval()(given)))
    for first, second in zip(*outcomes, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("eps", [0.0, 1e-5, 1e-1])
@SHAPES
def test_input_gradient_is_the_closed_form(shape: tuple[int, ...], eps: float) -> None:
    """dL/dx = gamma / (m s) (m g - sum g - xhat sum(g xhat)), s = sqrt(var + eps); it sums to 0 in each unit, and is
    orthogonal to xhat exactly when eps is 0."""
    layer, x, upstream = batch_norm(shape, eps=eps), values(shape), values(shape, seed=2)
    found = units_last(gradient(layer, x, upstream))
    rows, g = units_last(x), units_last(upstream)
    m, s = len(rows), (rows.var(0, unbiased=False) + eps).sqrt()
    xhat = (rows - rows.mean(0)) / s
    expected = layer.weight.detach() / (m * s) * (m * g - g.sum(0) - xhat * (g * xhat).sum(0))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    assert found.sum(0).abs().max() < 1e-12
    assert ((found * xhat).sum(0).abs().max() < 1e-12) == (eps == 0)


@SHAPES
def test_gradients_pass_gradcheck(shape: tuple[int, ...]) -> None:
    layer = batch_norm(shape, momentum=0.0)
    assert torch.autograd.gradcheck(layer, values(shape).requires_grad_(), eps=1e-6, atol=1e-6)


def test_gradient_norm_is_the_equality_of_santurkar_theorem_4_1() -> None:
    """|dL/dy|^2 = gamma^2 / sigma^2 (|g|^2 - <1, g>^2 / m - <g, yhat>^2 / m) for each unit."""
    layer, y, g = batch_norm(DENSE, eps=0.0), values(DENSE), values(DENSE, seed=3)
    sigma = y.std(0, unbiased=False)
    yhat = (y - y.mean(0)) / sigma
    inner = g.square().sum(0) - g.sum(0).square() / len(y) - (g * yhat).sum(0).square() / len(y)
    expected = (layer.weight / sigma).square() * inner
    torch.testing.assert_close(gradient(layer, y, g).square().sum(0), expected, rtol=1e-11, atol=0)


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.5])
@SHAPES
def test_output_has_mean_beta_and_deviation_gamma(shape: tuple[int, ...], eps: float) -> None:
    layer, x = batch_norm(shape, eps=eps), values(shape)
    out, s = units_last(layer(x)), units_last(x).std(0, unbiased=False)
    torch.testing.assert_close(out.mean(0), layer.bias)
    torch.testing.assert_close(out.std(0, unbiased=False), layer.weight.abs() * s / (s.square() + eps).sqrt())


@pytest.mark.parametrize("center", [True, False])
def test_a_bias_before_it_has_no_effect_and_no_gradient(center: bool) -> None:
    layer, u, g = batch_norm(DENSE, eps=0.0, center=center), values((16, 7)), values(DENSE, seed=2)
    w, b = values((5, 7), seed=4), values((1, 5), seed=5)[0].requires_grad_()
    with_bias, without = layer(u @ w.T + b), layer(u @ w.T)
    torch.testing.assert_close(with_bias, without, rtol=1e-11, atol=1e-11)
    with_bias.backward(g)
    assert b.grad.abs().max() < 1e-12


@pytest.mark.parametrize("factor", [3.0, 0.01, -2.0])
def test_weight_scale_changes_the_sign_only(factor: float) -> None:
    """BN(aWu) = sign(a) BN(Wu); for a > 0 the gradient for u is the same and that for aW is 1/a of that for W."""
    layer = batch_norm(DENSE, seed=None, eps=0.0)
    u, w, g = values((16, 7)).requires_grad_(), values((5, 7), seed=4), values(DENSE, seed=2)
    small, large = w.clone().requires_grad_(), (factor * w).requires_grad_()
    first, second = layer(u @ small.T), layer(u @ large.T)
    torch.testing.assert_close(second, math.copysign(1, factor) * first)
    (for_u, for_small) = torch.autograd.grad(first, (u, small), g)
    (for_scaled_u, for_large) = torch.autograd.grad(second, (u, large), math.copysign(1, factor) * g)
    torch.testing.assert_close(for_scaled_u, for_u)
    torch.testing.assert_close(for_large, for_small / factor)


def test_weights_are_orthogonal_to_their_gradient_when_eps_is_zero() -> None:
    u, g = values((16, 7)), values(DENSE, seed=2)
    inner = {}
    for eps in (0.0, 1e-3):
        w = values((5, 7), seed=4).requires_grad_()
        batch_norm(DENSE, eps=eps)(u @ w.T).backward(g)
        inner[eps] = (w * w.grad).sum(1).abs().max()
    assert inner[0.0] < 1e-12
    assert 1e-9 < inner[1e-3] < 1e-2


def test_no_standardised_value_exceeds_the_root_of_m_minus_one() -> None:
    layer = batch_norm(DENSE, seed=None, eps=0.0)
    assert layer(values(DENSE)).abs().max() < math.sqrt(15)
    outlier = torch.zeros(DENSE, dtype=torch.float64)
    outlier[3] = 1e-4
    torch.testing.assert_close(layer(outlier)[3], torch.full((5,), math.sqrt(15), dtype=torch.float64))


def test_two_values_become_plus_and_minus_one_whatever_their_size() -> None:
    pair = torch.tensor([[1e-9, 5.0, -3.0], [2e-9, -1e6, -2.9]], dtype=torch.float64)
    out = batch_norm((2, 3), seed=None, eps=0.0)(pair)
    expected = torch.tensor([[-1, 1, -1], [1, -1, 1]], dtype=torch.float64)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=0)


def test_convolutional_is_dense_over_images_rows_and_columns() -> None:
    x = values(CONV)
    conv, dense = batch_norm(CONV), batch_norm((CONV[0] * 12, 5))
    torch.testing.assert_close(units_last(conv(x)), dense(units_last(x)))
    torch.testing.assert_close(conv.running_var, dense.running_var)
    assert sum(p.numel() for p in conv.parameters()) == 2 * 5
    assert sum(b.numel() for b in conv.buffers()) == 2 * 5


@pytest.mark.parametrize("eps", [1e-5, 0.0])
def test_a_constant_unit_gives_beta(eps: float) -> None:
    """Also with eps = 0, where the formula alone is 0 / 0: torch's kernel takes the inverse deviation as 0 there."""
    constant, g, layer = torch.full(DENSE, 2.5, dtype=torch.float64), values(DENSE), batch_norm(DENSE, eps=eps)
    torch.testing.assert_close(layer(constant), layer.bias.expand(DENSE))
    found = gradient(layer, constant, g)
    expected = layer.weight * (g - g.mean(0)) / math.sqrt(eps) if eps else torch.zeros(DENSE, dtype=torch.float64)
    torch.testing.assert_close(found, expected)


@SHAPES
def test_evaluation_is_one_affine_map_per_unit(shape: tuple[int, ...]) -> None:
    layer = batch_norm(shape, momentum=0.5)
    layer(values(shape))
    layer.eval()
    slope = layer.weight / (layer.running_var + layer.eps).sqrt()
    x = values(shape, seed=7)
    expected = units_last(x) * slope + (layer.bias - layer.running_mean * slope)
    torch.testing.assert_close(units_last(layer(x)), expected)
    before = layer.running_mean.clone()
    layer(x)
    assert torch.equal(layer.running_mean, before)


@pytest.mark.parametrize("decay", [0.9, 0.998])
def test_warm_up_is_the_moving_average_of_tensorflow(decay: float) -> None:
    """Decay min(decay, (1 + n) / (10 + n)) at update n, from 0; with 0.9 the two meet at n = 80."""
    layer = batch_norm(DENSE, momentum=1 - decay, warm_up=True)
    mean, variance = [0.0] * 5, [1.0] * 5
    for n in range(120):
        x = values(DENSE, seed=n)
        if n == 50:  # a resumed run goes on where it was
            layer, saved = batch_norm(DENSE, momentum=1 - decay, warm_up=True), layer.state_dict()
            layer.load_state_dict(saved)
        layer(x)
        d = min(decay, (1 + n) / (10 + n))
        for unit, column in enumerate(x.T.tolist()):
            m = math.fsum(column) / 16
            v = math.fsum((value - m) ** 2 for value in column) / 15
            mean[unit], variance[unit] = d * mean[unit] + (1 - d) * m, d * variance[unit] + (1 - d) * v
    assert layer.running_mean.tolist() == pytest.approx(mean, rel=1e-10)
    assert layer.running_var.tolist() == pytest.approx(variance, rel=1e-10)


def test_warm_up_counts_training_updates_only() -> None:
    layer = batch_norm(DENSE, warm_up=True).eval()
    layer(values(DENSE))
    assert int(layer.updates) == 0
    layer.train()(values(DENSE))
    assert int(layer.updates) == 1


def test_gamma_starts_at_one_and_beta_where_it_is_told() -> None:
    layer = make_norm(NormConfig(name="batch", offset_init=0.1), 4, False, None)
    assert layer.weight.tolist() == [1.0] * 4
    assert layer.bias.tolist() == pytest.approx([0.1] * 4)


@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 1, 1)])
def test_one_value_per_unit_is_refused_in_training(shape: tuple[int, ...]) -> None:
    layer = batch_norm(shape)
    with pytest.raises(BadInput, match="batch_size=1") as caught:
        layer(torch.ones(shape, dtype=torch.float64))
    assert len(str(caught.value)) <= 240
    assert layer.eval()(torch.ones(shape, dtype=torch.float64)).isfinite().all()


@pytest.mark.parametrize("name", config.NORMS)
def test_building_a_layer_draws_nothing(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    own, shared = generator.get_state(), torch.get_rng_state()
    make_norm(NormConfig(name=name), 8, True, generator)
    assert torch.equal(generator.get_state(), own)
    assert torch.equal(torch.get_rng_state(), shared)
