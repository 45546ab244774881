"""Looking at a net in the middle of training and leaving it as it was, to the bit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def undisturbed(model: nn.Module, generators: Iterable[torch.Generator] = ()) -> Iterator[None]:
    """Restore on leaving, also by an exception, all that a look at `model` may move.

    That is: buffers (running statistics), train or eval mode of every module, gradients, the global random state of
    the CPU and of the model's GPU, and the states of `generators`. Buffers and gradients come back as the same tensor
    objects, so that an optimiser or a graph that holds them sees no change. Weights are not covered: a probe that
    moves them works on a copy.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = _saved_buffers(model)
    gradients = [(p, p.grad, _copy(p.grad)) for p in model.parameters()]
    cpu_state, gpu_states = torch.get_rng_state(), _gpu_states(model)
    states = [(generator, generator.get_state()) for generator in generators]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            _restore_buffers(buffers)
            _restore_gradients(gradients)
        torch.set_rng_state(cpu_state)
        for device, state in gpu_states.items():
            torch.cuda.set_rng_state(state, device)
        for generator, state in states:
            generator.set_state(state)


def _copy(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().clone()


def _saved_buffers(model: nn.Module) -> list[tuple[nn.Module, str, Tensor | None, Tensor | None]]:
    return [(m, name, buffer, _copy(buffer)) for m in model.modules() for name, buffer in m._buffers.items()]


def _restore_buffers(saved: list[tuple[nn.Module, str, Tensor | None, Tensor | None]]) -> None:
    for module, name, buffer, value in saved:
        if buffer is not None:
            buffer.copy_(value)
        module._buffers[name] = buffer


def _restore_gradients(saved: list[tuple[nn.Parameter, Tensor | None, Tensor | None]]) -> None:
    for parameter, gradient, value in saved:
        if gradient is not None:
            gradient.copy_(value)
        parameter.grad = gradient


def _gpu_states(model: nn.Module) -> dict[torch.device, Tensor]:
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    return {device: torch.cuda.get_rng_state(device) for device in devices}
