"""Layers and inputs for the tests of normalisation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bnlab.config import NormConfig
from bnlab.norms import make_norm

DENSE, CONV = (16, 5), (6, 5, 4, 3)
SHAPES = pytest.mark.parametrize("shape", [DENSE, CONV], ids=["dense", "conv"])


def values(shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Numbers with a mean and a spread of their own in each unit."""
    generator = torch.Generator().manual_seed(seed)
    per_unit = (1, shape[1], *[1] * (len(shape) - 2))
    offset = torch.randn(per_unit, generator=generator, dtype=dtype)
    return torch.randn(shape, generator=generator, dtype=dtype) * (1 + offset.abs()) + 3 * offset


def layer_for(shape: tuple[int, ...], seed: int | None = 1, **settings: object) -> nn.Module:
    """The layer for inputs of `shape` in float64, with gamma and beta drawn, or left as they start without `seed`."""
    layer = make_norm(NormConfig(**settings), shape[1], len(shape) == 4, None).double()
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return layer


def units_last(x: torch.Tensor) -> torch.Tensor:
    """(values of a unit, units)."""
    return x.movedim(1, -1).reshape(-1, x.shape[1])


def gradient(layer: nn.Module, x: torch.Tensor, upstream: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    layer(x).backward(upstream)
    return x.grad
