"""Gamma and beta, which end every normalisation."""

from __future__ import annotations

import torch
from torch import nn

from bnlab.config import NormConfig


class AffineNorm(nn.Module):
    """A layer with a gamma (`weight`) and a beta (`bias`) for each unit; either is None when left out."""

    def __init__(self, config: NormConfig, units: int, spatial: bool) -> None:
        super().__init__()
        self.eps = config.eps
        self.parameter_shape = (1, units, 1, 1) if spatial else (1, units)
        self.register_parameter("weight", nn.Parameter(torch.ones(units)) if config.scale else None)
        offset = nn.Parameter(torch.full((units,), config.offset_init)) if config.center else None
        self.register_parameter("bias", offset)

    def per_unit(self, values: torch.Tensor) -> torch.Tensor:
        """(units,) in a shape that broadcasts against the input."""
        return values.view(self.parameter_shape)

    def affine(self, x: torch.Tensor) -> torch.Tensor:
        """gamma x + beta."""
        if self.weight is not None:
            x = x * self.per_unit(self.weight)
        return x if self.bias is None else x + self.per_unit(self.bias)
