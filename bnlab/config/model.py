"""The net, its first weights and its dropout."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bnlab.extensions import added, with_fields_of
from bnlab.ranges import number, one_of, refuse

MODELS = ("mlp", "convnet", "vgg_a", "vgg_d", "deep_linear")
DENSE = ("mlp", "convnet", "deep_linear")  # have dense hidden layers
CONV_BLOCKS = {"convnet": 4, "vgg_a": 8, "vgg_d": 13}
INITS = ("truncated_normal", "gaussian", "glorot", "he")
ACTIVATIONS = ("relu", "sigmoid", "tanh", "linear")
DROPOUT_LAYERS = ("last", "others")


@dataclass(frozen=True)
@with_fields_of("models", MODELS)
class ModelConfig:
    name: str = "mlp"
    widths: tuple[int, ...] = (200, 100, 60, 30)  # hidden layers of the mlp and of the deep linear net
    activation: str = "relu"
    width: float = 1.0  # multiplies the channels of the convolutional nets
    init: str = "he"
    init_std: float = 0.1  # of gaussian, and of truncated_normal, which is cut at two standard deviations
    bias_init: float = 0.0  # of hidden biases, where a layer has one
    output_bias_init: float = 0.0
    dropout: float = 0.0  # probability of dropping a unit of the last hidden dense layer
    dropout_layers: str = "last"  # of the mlp: or others, all hidden layers but the last

    def __post_init__(self) -> None:
        one_of("model", self.name, (*MODELS, *added("models")))
        if not self.widths or any(w < 1 for w in self.widths):
            refuse("model.widths", list(self.widths), "every hidden layer needs at least 1 unit")
        one_of("model.activation", self.activation, ACTIVATIONS)
        if self.name == "deep_linear" and self.activation != "linear":
            refuse("model.activation", self.activation, "deep_linear has none; use linear")
        number("model.width", self.width, 0, 16, open_low=True)
        one_of("model.init", self.init, INITS)
        number("model.init_std", self.init_std, 0, open_low=True)
        number("model.bias_init", self.bias_init, -math.inf)
        number("model.output_bias_init", self.output_bias_init, -math.inf)
        number("model.dropout", self.dropout, 0, 0.99)
        self._check_dropout_layers()

    def _check_dropout_layers(self) -> None:
        place, key = self.dropout_layers, "model.dropout_layers"
        one_of(key, place, DROPOUT_LAYERS)
        if place == "others" and (self.name != "mlp" or len(self.widths) < 2):
            refuse(key, place, "needs an mlp with two hidden layers or more; use last")
        if place == "others" and not self.dropout:
            refuse(key, place, "nothing is dropped with model.dropout=0; use last")


def hidden_layers(model: ModelConfig) -> int:
    """How many blocks the net has, that is how far its layers are counted."""
    own = getattr(model, model.name, None)  # the fields that belong to this net alone, if it has any
    return getattr(own, "blocks", CONV_BLOCKS.get(model.name, len(model.widths)))
