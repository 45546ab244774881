"""A short sum of every tensor that training moves, kept at a ladder of steps, so that two runs can be told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from bnlab.cadence import Cadence
from bnlab.config import RunConfig

HEX_DIGITS = 16


def ladder(config: RunConfig, steps_per_epoch: int) -> frozenset[int]:
    """About a hundred steps spaced evenly on a log axis and those of the checkpoints; the end of a run is one more."""
    return Cadence.parse(f"log100+{config.checkpoint}").steps(config.steps, steps_per_epoch)


def tensor_digests(net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, str]:
    """The first hex digits of the SHA-256 over each tensor's bytes, by name.

    Parameters and buffers come first, in the net's order, then what the optimiser keeps, as `weight:momentum_buffer`.
    """
    return {name: _digest(tensor) for name, tensor in _tensors(net, optimizer)}


def _tensors(net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    yield from net.state_dict().items()
    for name, parameter in net.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                yield f"{name}:{key}", value


def _digest(tensor: Tensor) -> str:
    as_bytes = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(as_bytes.numpy()).hexdigest()[:HEX_DIGITS]
