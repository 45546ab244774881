"""Ghost batches against one module of torch's for each of them."""

from __future__ import annotations

import pytest
import torch
from norm_layers import gradient, layer_for, values
from torch import nn

from bnlab.config import LpConfig, NoiseConfig, NormConfig, RenormConfig, RunConfig
from bnlab.errors import BadInput
from bnlab.norms import make_norm

DENSE, CONV = (12, 5), (12, 5, 4, 3)
SHAPES = pytest.mark.parametrize("shape", [DENSE, CONV], ids=["dense", "conv"])
KINDS = {
    "l1": {"name": "lp", "lp": LpConfig("l1")},
    "linf": {"name": "lp", "lp": LpConfig("linf", centred=True)},
    "renorm": {"name": "renorm", "renorm": RenormConfig(r_max=1.4, d_max=0.5, start=0, r_full=2, d_full=1)},
}


@pytest.mark.parametrize("size", [2, 3, 6])
@SHAPES
def test_each_ghost_batch_is_normalised_by_itself(shape: tuple[int, ...], size: int) -> None:
    layer = layer_for(shape, name="batch", ghost_size=size, momentum=0.3, eps=1e-3)
    mean, variance = torch.zeros(5).double(), torch.ones(5).double()
    for step in range(3):
        x, upstream = values(shape, seed=step), values(shape, seed=20 + step)
        peers = [
            (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(5, eps=1e-3, momentum=1.0).double()
            for _ in range(12 // size)
        ]
        layer.zero_grad()
        outcomes = []
        for number, peer in enumerate(peers):
            peer.load_state_dict({"weight": layer.weight.detach(), "bias": layer.bias.detach()}, strict=False)
            part = slice(number * size, (number + 1) * size)
            given = x[part].clone().requires_grad_()
            out = peer(given)
            out.backward(upstream[part])
            outcomes.append((out, given.grad))
        given = x.clone().requires_grad_()
        out = layer(given)
        out.backward(upstream)
        torch.testing.assert_close(out, torch.cat([o for o, _ in outcomes]))
        torch.testing.assert_close(given.grad, torch.cat([g for _, g in outcomes]))
        torch.testing.assert_close(layer.weight.grad, sum(peer.weight.grad for peer in peers))
        torch.testing.assert_close(layer.bias.grad, sum(peer.bias.grad for peer in peers))
        mean = 0.7 * mean + 0.3 * sum(peer.running_mean for peer in peers) / len(peers)
        variance = 0.7 * variance + 0.3 * sum(peer.running_var for peer in peers) / len(peers)
        torch.testing.assert_close(layer.running_mean, mean)
        torch.testing.assert_close(layer.running_var, variance)


@pytest.mark.parametrize("kind", KINDS)
@SHAPES
def test_other_layers_take_ghost_batches_too(shape: tuple[int, ...], kind: str) -> None:
    """Each part is what a layer without ghosts, in the same state before it, makes of that part alone."""
    layer = layer_for(shape, ghost_size=4, momentum=0.3, **KINDS[kind])
    for step in range(3):
        x, upstream, before = values(shape, seed=step), values(shape, seed=30), layer.state_dict()
        alone = [layer_for(shape, momentum=0.3, **KINDS[kind]) for _ in range(3)]
        for other in alone:
            other.load_state_dict({name: value.clone() for name, value in before.items()})
        found = gradient(layer, x, upstream)
        parts = zip(alone, x.split(4), upstream.split(4), strict=True)
        torch.testing.assert_close(found, torch.cat([gradient(*part) for part in parts]))
        for name in ("running_mean", layer.spread):
            torch.testing.assert_close(getattr(layer, name), sum(getattr(other, name) for other in alone) / 3)
    outs = [other.eval()(x[:4]) for other in (layer, alone[0])]
    assert not torch.equal(*outs)


@SHAPES
def test_a_ghost_as_large_as_the_batch_is_the_batch(shape: tuple[int, ...]) -> None:
    ghost, batch = (layer_for(shape, name="batch", ghost_size=size) for size in (12, 0))
    x = values(shape)
    assert torch.equal(ghost(x), batch(x))
    assert all(torch.equal(a, b) for a, b in zip(ghost.buffers(), batch.buffers(), strict=True))


def test_the_noise_of_the_statistics_grows_as_the_ghosts_shrink() -> None:
    """A sample's normalised value moves with the company it is in: Var(mean) = sigma^2 / size. Evaluation does not."""
    x = torch.randn(64, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    spread = {}
    for size in (4, 16, 64):
        layer = layer_for(x.shape, None, name="batch", ghost_size=size, eps=0.0)
        layer(x)
        spread[size] = torch.stack([part.mean(0) for part in x.split(size)]).var(unbiased=False)
        assert spread[size] == pytest.approx(1 / size, rel=0.2)
        torch.testing.assert_close(layer.running_mean, 0.1 * x.mean(0))


def test_a_warm_up_counts_batches_not_ghosts() -> None:
    layer = layer_for(DENSE, name="batch", ghost_size=4, warm_up=True)
    layer(values(DENSE))
    assert int(layer.updates) == 1


@pytest.mark.parametrize("place", ["after_affine", "before_affine"])
def test_noise_comes_after_ghost_batches_too(place: str) -> None:
    config = NormConfig(name="noisy_batch", ghost_size=3, noise=NoiseConfig(0, 1, 0, 0, place=place))
    noisy = make_norm(config, 5, False, torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(noisy(values(DENSE)), layer_for(DENSE, None, name="batch", ghost_size=3)(values(DENSE)))


def test_channels_last_stays_so_and_changes_no_number() -> None:
    x, outcomes = values((8, 16, 7, 7), dtype=torch.float32), []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        layer = make_norm(NormConfig(name="batch", ghost_size=2), 16, True, None)
        given = x.clone(memory_format=memory_format).requires_grad_()
        out = layer(given)
        assert out.is_contiguous(memory_format=memory_format)
        out.backward(x)
        outcomes.append((out, given.grad, layer.running_var))
    for first, second in zip(*outcomes, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_ghosts_that_do_not_divide_or_have_one_value_are_refused() -> None:
    for size, shape, says in (
        (5, DENSE, "norm.ghost_size=5: must divide"),
        (1, DENSE, "norm.ghost_size=1: no variance"),
    ):
        layer = layer_for(shape, name="batch", ghost_size=size)
        with pytest.raises(BadInput, match=says):
            layer(values(shape))
        assert layer.eval()(values(shape)).isfinite().all()
    norm = NormConfig(name="batch", ghost_size=5)
    with pytest.raises(BadInput, match="^norm.ghost_size=5: must divide batch_size=64, as 4 does"):
        RunConfig(norm=norm)
    with pytest.raises(BadInput, match="^norm.ghost_size=1: "):
        RunConfig(norm=NormConfig(name="batch", ghost_size=1))
    assert RunConfig(norm=norm, batch_size=20).norm == norm
    assert layer_for(CONV, name="batch", ghost_size=1)(values(CONV)).isfinite().all()
