"""Whatever happens inside `undisturbed`, the net, its gradients and all random states are afterwards what they were."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from bnlab.config import ModelConfig, NormConfig
from bnlab.models import Net, build
from bnlab.probes import undisturbed

NORMS = pytest.mark.parametrize("norm", ["none", "batch", "noisy_batch", "noise"])


def trained_once(norm: str, warm_up: bool = False) -> tuple[Net, torch.Generator]:
    """A small net after one backward pass, with its noise generator."""
    noise = torch.Generator().manual_seed(3)
    model = ModelConfig(widths=(7, 5), dropout=0.5)
    init = torch.Generator().manual_seed(0)
    net = build(model, NormConfig(name=norm, warm_up=warm_up), (1, 4, 4), 3, init, noise)
    net(images()).square().sum().backward()
    return net, noise


def images() -> Tensor:
    return torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(9))


def everything(net: Net, generators: tuple[torch.Generator, ...]) -> list[Tensor]:
    """Copies of all that has to stay."""
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    states = [torch.get_rng_state(), *(g.get_state() for g in generators)]
    modes = torch.tensor([module.training for module in net.modules()])
    return [t.clone() for t in (*net.state_dict().values(), *gradients, *states, modes)]


def disturb(net: Net) -> None:
    """What a careless measurement does: passes in both modes, gradients added and dropped, numbers drawn."""
    net(images()).sum().backward()
    net.eval()
    net(images())
    net.train()
    for parameter in list(net.parameters())[::2]:
        parameter.grad = None
    torch.rand(5)
    for module in net.modules():
        for name in module._buffers:
            if module._buffers[name] is not None:
                module._buffers[name] = module._buffers[name] + 1
    net.blocks[0].eval()


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right))


@NORMS
@pytest.mark.parametrize("warm_up", [False, True])
def test_restores_everything(norm: str, warm_up: bool) -> None:
    net, noise = trained_once(norm, warm_up)
    net.blocks[1].eval()
    other = torch.Generator().manual_seed(8)
    before = everything(net, (noise, other))
    with undisturbed(net, (noise, other)):
        disturb(net)
        torch.rand(3, generator=other)
    assert same(before, everything(net, (noise, other)))


@NORMS
def test_without_it_the_same_look_is_seen(norm: str) -> None:
    """The control: what the other tests do inside would otherwise leave traces."""
    net, noise = trained_once(norm)
    before = everything(net, (noise,))
    disturb(net)
    after = everything(net, (noise,))
    assert not same(before, after)


def test_restores_when_the_body_fails() -> None:
    net, noise = trained_once("noisy_batch")
    before = everything(net, (noise,))
    with pytest.raises(RuntimeError, match="in the middle"), undisturbed(net, (noise,)):
        disturb(net)
        raise RuntimeError("in the middle")
    assert same(before, everything(net, (noise,)))


def test_buffers_and_gradients_stay_the_same_objects() -> None:
    net, noise = trained_once("batch")
    buffers = [id(buffer) for buffer in net.buffers()]
    gradients = [id(parameter.grad) for parameter in net.parameters()]
    with undisturbed(net, (noise,)):
        disturb(net)
    assert [id(buffer) for buffer in net.buffers()] == buffers
    assert [id(parameter.grad) for parameter in net.parameters()] == gradients


def test_gradients_that_were_absent_are_absent_again() -> None:
    net, _ = trained_once("batch")
    net.zero_grad(set_to_none=True)
    with undisturbed(net):
        net(images()).sum().backward()
        assert all(parameter.grad is not None for parameter in net.parameters())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_the_body_sees_gradients_and_state() -> None:
    net, _ = trained_once("batch")
    expected = [p.grad.clone() for p in net.parameters()]
    with undisturbed(net):
        assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), expected))


def test_a_generator_that_is_not_given_moves_on() -> None:
    net, noise = trained_once("noise")
    state = noise.get_state()
    with undisturbed(net):
        net(images())
    assert not torch.equal(noise.get_state(), state)


def test_nothing_of_a_body_without_gradients_reaches_autograd() -> None:
    """Statistics updated under no_grad inside must leave buffers that training can go on with."""
    net, noise = trained_once("noisy_batch")
    twin = copy.deepcopy(net.state_dict())
    with undisturbed(net, (noise,)), torch.no_grad():
        net(images())
    net(images()).sum().backward()
    assert not torch.equal(net.state_dict()["blocks.0.norm.running_mean"], twin["blocks.0.norm.running_mean"])


@NORMS
def test_a_training_with_looks_in_between_ends_in_the_same_place(norm: str) -> None:
    def train(look: bool) -> dict[str, Tensor]:
        torch.manual_seed(5)
        net, noise = trained_once(norm)
        optimizer: torch.optim.Optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(4):
            loss = nn.functional.cross_entropy(net(images()), torch.arange(12) % 3)
            optimizer.zero_grad()
            loss.backward()
            if look:
                with undisturbed(net, (noise,)):
                    disturb(net)
            optimizer.step()
        return net.state_dict()

    plain, watched = train(look=False), train(look=True)
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
