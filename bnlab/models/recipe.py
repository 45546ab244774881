"""How one layer of any net is made from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import skip_init

from bnlab.config import ModelConfig, NormConfig
from bnlab.models.conv import SameConv2d
from bnlab.models.initialise import initialise
from bnlab.models.net import Block
from bnlab.norms import make_norm

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "linear": nn.Identity,
}


@dataclass(frozen=True)
class Recipe:
    """Makes layers in the order they are asked for, each drawing its weights from `init_generator` as it is made.

    A layer has no bias of its own where each unit's mean is taken away directly after it, as in batch normalisation:
    a bias would have no effect there and gradient 0, with or without beta.
    """

    model: ModelConfig
    norm: NormConfig
    init_generator: torch.Generator
    noise_generator: torch.Generator

    def dense(self, inputs: int, outputs: int, finish: nn.Module | None = None, bias: bool = True) -> Block:
        layer = skip_init(nn.Linear, inputs, outputs, bias=bias and self._has_bias)
        return self._block(layer, outputs, False, finish)

    def conv(self, inputs: int, outputs: int, kernel: int, stride: int = 1, finish: nn.Module | None = None) -> Block:
        layer = skip_init(SameConv2d, inputs, outputs, kernel, stride, bias=self._has_bias)
        return self._block(layer, outputs, True, finish)

    def output(self, inputs: int, classes: int, bias: bool = True) -> nn.Linear:
        layer = skip_init(nn.Linear, inputs, classes, bias=bias)
        initialise(layer, self.model, self.model.output_bias_init, self.init_generator)
        return layer

    def dropout(self) -> nn.Module | None:
        return nn.Dropout(self.model.dropout) if self.model.dropout else None

    def channels(self, count: int) -> int:
        """`count` channels of the published net, times the width, and at least 1."""
        return max(1, round(count * self.model.width))

    @property
    def _has_bias(self) -> bool:
        return not (self.norm.removes_bias and self.norm.position == "before")

    def _block(self, linear: nn.Module, units: int, spatial: bool, finish: nn.Module | None) -> Block:
        initialise(linear, self.model, self.model.bias_init, self.init_generator)
        norm = make_norm(self.norm, units, spatial, self.noise_generator)
        return Block(linear, norm, ACTIVATIONS[self.model.activation](), self.norm.position, finish)
