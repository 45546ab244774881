"""Normalisation layers by name. A model asks for one with `make_norm` and never chooses for itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from bnlab.config import NormConfig
from bnlab.norms.batch import BatchNorm
from bnlab.norms.noise import Noise, NoisyBatchNorm, noise_off

__all__ = ["NORMS", "BatchNorm", "Noise", "NoisyBatchNorm", "make_norm", "noise_off"]

Factory = Callable[[NormConfig, int, bool, "torch.Generator | None"], "nn.Module | None"]

NORMS: dict[str, Factory] = {
    "none": lambda config, units, spatial, generator: None,
    "batch": lambda config, units, spatial, generator: BatchNorm(config, units, spatial),
    "noisy_batch": NoisyBatchNorm,
    "noise": lambda config, units, spatial, generator: Noise(config.noise, units, spatial, generator),
}


def make_norm(config: NormConfig, units: int, spatial: bool, generator: torch.Generator | None) -> nn.Module | None:
    """The layer `config.name` asks for, or None for "none".

    It takes (N, units), or (N, units, H, W) when `spatial`. Only layers with noise use `generator`, and only
    in their forward pass: building one draws nothing, so nets that differ in the layer start from equal weights.
    """
    return NORMS[config.name](config, units, spatial, generator)
