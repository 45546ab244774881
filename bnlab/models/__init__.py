"""Nets by name. The normalisation of their hidden layers arrives as an argument."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bnlab.config import ModelConfig, NormConfig
from bnlab.extensions import Registry
from bnlab.models.convnet import convnet
from bnlab.models.deep_linear import deep_linear
from bnlab.models.mlp import mlp
from bnlab.models.net import Block, Net, tapped
from bnlab.models.recipe import Recipe
from bnlab.models.vgg import vgg

__all__ = ["MODELS", "Block", "Net", "build", "tapped"]

Shape = tuple[int, int, int]

MODELS: dict[str, Callable[[Recipe, Shape, int], Net]] = Registry(
    "models",
    {
        "mlp": mlp,
        "convnet": convnet,
        "vgg_a": vgg,
        "vgg_d": vgg,
        "deep_linear": deep_linear,
    },
)


def build(
    model: ModelConfig,
    norm: NormConfig,
    input_shape: Shape,
    classes: int,
    init_generator: torch.Generator,
    noise_generator: torch.Generator,
) -> Net:
    """The net `model.name` for images of `input_shape` (channels, rows, columns), on the CPU.

    Weights are drawn layer by layer from `init_generator` and from nothing else, and normalisation draws none: nets
    of one seed start from identical weights whatever `norm` is. `noise_generator` is kept by the noisy layers and
    must live on the device that the net is moved to. Raises BadInput where the images do not suit the net.
    """
    return MODELS[model.name](Recipe(model, norm, init_generator, noise_generator), input_shape, classes)
