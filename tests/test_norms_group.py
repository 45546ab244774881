"""Layer, group and instance normalisation against torch's own modules and what is exactly true of them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from norm_layers import CONV, DENSE, SHAPES, gradient, layer_for, units_last, values
from torch import nn

from bnlab.config import GroupConfig, NormConfig
from bnlab.errors import BadInput
from bnlab.norms import make_norm

SIX_UNITS = {"dense": (8, 6), "conv": (3, 6, 4, 3)}


def peer_of(name: str, units: int, groups: int, eps: float) -> nn.Module:
    made = {"group": nn.GroupNorm(groups, units, eps), "instance": nn.InstanceNorm2d(units, eps, affine=True)}
    made["layer"] = nn.GroupNorm(1, units, eps)
    return made[name].double()


CASES = [("layer", "dense"), ("layer", "conv"), ("group", "dense"), ("group", "conv"), ("instance", "conv")]


@pytest.mark.parametrize(("center", "scale"), list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_agrees_with_torch(name: str, kind: str, center: bool, scale: bool) -> None:
    shape = SIX_UNITS[kind]
    layer = layer_for(shape, name=name, center=center, scale=scale, eps=1e-3, group=GroupConfig(groups=3))
    peer = peer_of(name, 6, 3, 1e-3)
    with torch.no_grad():
        for ours, theirs in ((layer.weight, peer.weight), (layer.bias, peer.bias)):
            if ours is not None:
                theirs.copy_(ours)
    x, upstream = values(shape), values(shape, seed=5)
    torch.testing.assert_close(layer(x), peer(x))
    torch.testing.assert_close(gradient(layer, x, upstream), gradient(peer, x, upstream))
    for ours, theirs in ((layer.weight, peer.weight), (layer.bias, peer.bias)):
        if ours is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_layer_normalisation_is_torchs_layer_norm() -> None:
    """On dense units wholly; on maps up to gamma and beta, which torch's module has for each value, not each unit."""
    dense = layer_for(DENSE, name="layer")
    peer = nn.LayerNorm(5).double()
    peer.load_state_dict(dense.state_dict())
    torch.testing.assert_close(dense(values(DENSE)), peer(values(DENSE)))
    conv, bare = layer_for(CONV, name="layer"), nn.LayerNorm(CONV[1:], elementwise_affine=False).double()
    expected = bare(values(CONV)) * conv.weight.view(1, 5, 1, 1) + conv.bias.view(1, 5, 1, 1)
    torch.testing.assert_close(conv(values(CONV)), expected)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_sample_does_not_see_the_others(name: str, kind: str) -> None:
    """Batch normalisation on the same input does; nothing is remembered, and evaluation is as training."""
    shape = SIX_UNITS[kind]
    layer, x = layer_for(shape, name=name, group=GroupConfig(groups=2)), values(shape)
    together = layer(x)
    torch.testing.assert_close(together[:1], layer(x[:1]))
    assert torch.equal(together, layer.eval()(x))
    assert not list(layer.buffers())
    batch = layer_for(shape, name="batch")
    assert (batch(x)[:2] - batch(x[:2])).abs().max() > 0.01
    unit_means, beta = units_last(together).mean(0), layer.bias
    assert ((unit_means - beta).abs().max() < 1e-10) == (name == "instance")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_gradients_pass_gradcheck(name: str, kind: str) -> None:
    shape = SIX_UNITS[kind]
    layer = layer_for(shape, name=name, group=GroupConfig(groups=3))
    assert torch.autograd.gradcheck(layer, values(shape).requires_grad_(), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["layer", "group", "instance"])
def test_channels_last_stays_so_and_changes_no_number(name: str) -> None:
    x, outcomes = values((8, 16, 7, 7), dtype=torch.float32), []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        layer = make_norm(NormConfig(name=name, offset_init=0.3), 16, True, None)
        given = x.clone(memory_format=memory_format).requires_grad_()
        out = layer(given)
        assert out.is_contiguous(memory_format=memory_format)
        out.backward(x)
        outcomes.append((out, given.grad, layer.weight.grad, layer.bias.grad))
    for first, second in zip(*outcomes, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_layer_normalisation_takes_away_a_common_scale_and_shift_only() -> None:
    """LN(aWu + b) = LN(Wu) for a > 0 and one b for all units; a b for each unit counts, and a column's scale does."""
    layer, u, w = layer_for(DENSE, name="layer", eps=0.0), values((16, 7)), values((5, 7), seed=4)
    plain = layer(u @ w.T)
    torch.testing.assert_close(layer(u @ (3 * w).T + 0.7), plain)
    per_unit = torch.arange(1.0, 6.0, dtype=torch.float64)
    assert (layer(u @ w.T + per_unit) - plain).abs().max() > 0.01
    assert (layer(u @ (per_unit[:, None] * w).T) - plain).abs().max() > 0.01


def test_a_bias_has_no_effect_before_instance_normalisation_only() -> None:
    assert NormConfig(name="instance").removes_bias and not NormConfig(name="instance").uses_batch_statistics
    for name in ("layer", "group", "instance"):
        layer, x, g = layer_for(CONV, name=name, eps=0.0), values(CONV), values(CONV, seed=2)
        bias = torch.arange(5.0, dtype=torch.float64).requires_grad_()
        layer(x + bias.view(1, 5, 1, 1)).backward(g)
        if name == "instance" or layer.groups == 5:
            assert bias.grad.abs().max() < 1e-12
        else:
            assert bias.grad.abs().max() > 1e-3
        assert NormConfig(name=name).removes_bias == (name == "instance")


@pytest.mark.parametrize(("groups", "units", "expected"), [(4, 200, 4), (4, 30, 2), (32, 48, 16), (4, 1, 1), (5, 7, 1)])
def test_groups_that_do_not_divide_the_units(groups: int, units: int, expected: int) -> None:
    layer = make_norm(NormConfig(name="group", group=GroupConfig(groups)), units, True, None)
    x = values((2, units, 3, 3), dtype=torch.float32)
    torch.testing.assert_close(layer(x), nn.GroupNorm(expected, units)(x))


@pytest.mark.parametrize(("name", "shape"), [("instance", DENSE), ("instance", (4, 5, 1, 1)), ("layer", (4, 1))])
def test_one_value_in_a_group_is_refused(name: str, shape: tuple[int, ...]) -> None:
    layer = layer_for(shape, name=name)
    with pytest.raises(BadInput, match=f"norm.name={name}") as caught:
        layer(torch.ones(shape, dtype=torch.float64))
    assert len(str(caught.value)) <= 240 and "\n" not in str(caught.value)


@SHAPES
def test_each_sample_has_mean_zero_and_deviation_one(shape: tuple[int, ...]) -> None:
    layer = layer_for(shape, None, name="layer", eps=0.0)
    rows = layer(values(shape)).flatten(1)
    torch.testing.assert_close(rows.mean(1), torch.zeros(len(rows), dtype=torch.float64))
    torch.testing.assert_close(rows.square().mean(1), torch.ones(len(rows), dtype=torch.float64))
    assert rows.abs().max() <= math.sqrt(rows.shape[1] - 1)
