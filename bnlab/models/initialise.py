"""Initial weights by name, drawn from a given generator and from nothing else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from bnlab.config import ModelConfig


def truncated_normal(weight: torch.Tensor, std: float, generator: torch.Generator) -> None:
    """N(0, std) cut at two standard deviations (Goerner's scripts): the weights' own deviation is 0.88 std."""
    nn.init.trunc_normal_(weight, 0.0, std, -2 * std, 2 * std, generator=generator)


def gaussian(weight: torch.Tensor, std: float, generator: torch.Generator) -> None:
    """N(0, std), uncut (Ioffe and Szegedy 2015, section 4.1)."""
    nn.init.normal_(weight, 0.0, std, generator=generator)


def glorot(weight: torch.Tensor, std: float, generator: torch.Generator) -> None:
    """U(-l, l) with l = sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010, equation 16)."""
    nn.init.xavier_uniform_(weight, generator=generator)


def he(weight: torch.Tensor, std: float, generator: torch.Generator) -> None:
    """N(0, sqrt(2 / fan in)) (He et al. 2015, equation 10)."""
    nn.init.kaiming_normal_(weight, generator=generator)


INITS: dict[str, Callable[[torch.Tensor, float, torch.Generator], None]] = {
    "truncated_normal": truncated_normal,
    "gaussian": gaussian,
    "glorot": glorot,
    "he": he,
}


def initialise(layer: nn.Module, config: ModelConfig, bias: float, generator: torch.Generator) -> None:
    """Fill `layer.weight` as `config.init` says, and `layer.bias`, where there is one, with a constant."""
    INITS[config.init](layer.weight, config.init_std, generator)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, bias)
