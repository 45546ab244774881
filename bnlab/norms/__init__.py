"""Normalisation layers by name. A model asks for one with `make_norm` and never chooses for itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from bnlab.config import NormConfig
from bnlab.extensions import Registry
from bnlab.norms.batch import BatchNorm
from bnlab.norms.group import GroupNorm
from bnlab.norms.lp import LpNorm
from bnlab.norms.noise import Noise, NoisyBatchNorm, noise_off
from bnlab.norms.renorm import BatchRenorm
from bnlab.norms.synchronised import SynchronisedBatchNorm, together

__all__ = ["NORMS", "BatchNorm", "BatchRenorm", "GroupNorm", "LpNorm", "Noise", "NoisyBatchNorm"]
__all__ += ["SynchronisedBatchNorm", "make_norm", "noise_off", "together"]

Factory = Callable[[NormConfig, int, bool, "torch.Generator | None"], "nn.Module | None"]


def _without_noise(layer: Callable[[NormConfig, int, bool], nn.Module]) -> Factory:
    return lambda config, units, spatial, generator: layer(config, units, spatial)


NORMS: dict[str, Factory] = Registry(
    "norms",
    {
        "none": lambda config, units, spatial, generator: None,
        "batch": lambda config, units, spatial, generator: _batch_norm(config)(config, units, spatial),
        "noisy_batch": NoisyBatchNorm,
        "noise": lambda config, units, spatial, generator: Noise(config.noise, units, spatial, generator),
        "layer": _without_noise(GroupNorm),
        "group": _without_noise(GroupNorm),
        "instance": _without_noise(GroupNorm),
        "lp": _without_noise(LpNorm),
        "renorm": _without_noise(BatchRenorm),
    },
)


def _batch_norm(config: NormConfig) -> type[BatchNorm]:
    return SynchronisedBatchNorm if config.statistics == "synchronised" else BatchNorm


def make_norm(config: NormConfig, units: int, spatial: bool, generator: torch.Generator | None) -> nn.Module | None:
    """The layer `config.name` asks for, or None for "none".

    It takes (N, units), or (N, units, H, W) when `spatial`. Only layers with noise use `generator`, and only
    in their forward pass: building one draws nothing, so nets that differ in the layer start from equal weights.
    """
    return NORMS[config.name](config, units, spatial, generator)
