"""Article S2's dense program, and what adding the layer to a model does."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch

from bnlab.procedures.article_code.case import INPUTS, Case, Tensor, bn, miss, normal
from bnlab.procedures.article_code.keras_on_torch import load_keras
from bnlab.procedures.article_code.programs import DENSE, make_model

UNITS = 16
PARAMETERS, NON_TRAINABLE = 898, 96


def numbers_in(weights: list) -> int:
    """How many numbers these weights hold."""
    return sum(math.prod(weight.shape) for weight in weights)


def normalised_activations(model: Any) -> float:
    """How many batch normalisations of a sequential model take the output of an activation."""
    pairs = zip(model.layers, model.layers[1:])
    return float(sum(_is_norm(after) and before.activation.__name__ != "linear" for before, after in pairs))


def _is_norm(layer: Any) -> bool:
    return isinstance(layer, load_keras().layers.BatchNormalization)


@functools.cache
def _printed() -> Any:
    return make_model(DENSE)


def dense_parameters() -> float:
    """By how many the parameters miss 96 + 64 + 544 + 128 + 66."""
    return float(abs(_printed().count_params() - PARAMETERS))


def dense_non_trainable() -> float:
    """By how many the moving averages miss 96."""
    return float(abs(numbers_in(_printed().non_trainable_variables) - NON_TRAINABLE))


def dense_rank_three() -> float:
    """0 where `input_shape=(1,5)` makes tensors (N, 1, units)."""
    return float(_printed().output_shape != (None, 1, 2))


def dense_after_activation() -> float:
    return normalised_activations(_printed())


def dense_biases_kept() -> float:
    """How many biases stand in the layers that a batch normalisation follows."""
    pairs = zip(_printed().layers, _printed().layers[1:])
    return float(sum(numbers_in([layer.bias]) for layer, after in pairs if _is_norm(after) and layer.use_bias))


def _first_block(c: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (m, 1, 5) and random weights and biases, which the first dense layer of the program then has."""
    x, w, b = (normal(c.draw, *shape) for shape in ((c.m, 1, INPUTS), (INPUTS, UNITS), (UNITS,)))
    _printed().layers[0].set_weights([w, b])
    return x, w, b


def _normalised(x: Tensor) -> Tensor:
    """The first two layers of the program in training."""
    first, norm = _printed().layers[:2]
    return norm(first(x), training=True).detach()[:, 0]


def dense_order(c: Case) -> float:
    """The program's first block beside the article's own formula f(BN(w x)), with the same weights."""
    x, w, _ = _first_block(c)
    return miss(_normalised(x), torch.relu(bn(x[:, 0] @ w, eps=_printed().layers[1].epsilon)))


def dense_formula_as_printed(c: Case) -> float:
    """The program's first block is BN(f(w x + b))."""
    x, w, b = _first_block(c)
    return miss(_normalised(x), bn(torch.relu(x[:, 0] @ w + b), eps=_printed().layers[1].epsilon))


def dense_bias_matters(c: Case) -> float:
    """Behind the activation a bias is not superfluous: how far the block moves when it is left out."""
    x, w, b = _first_block(c)
    with_bias = _normalised(x)
    _printed().layers[0].set_weights([w, torch.zeros_like(b)])
    return miss(with_bias, _normalised(x))


def dense_statistics_over_positions(c: Case) -> float:
    """Tensors (N, positions, units) are normalised over images and positions together."""
    x = normal(c.draw, c.m, 3, UNITS)
    found = _printed().layers[1](x, training=True).detach().reshape(-1, UNITS)
    return miss(found, bn(x.reshape(-1, UNITS), eps=_printed().layers[1].epsilon))


def adding_trains() -> float:
    """0 where a layer put between two others has all its parameters and averages moved by a step of training."""
    layers = load_keras().layers
    norm = layers.BatchNormalization()
    model = load_keras().Sequential([layers.Input((INPUTS,)), layers.Dense(8), norm, layers.ReLU(), layers.Dense(1)])
    draw = torch.Generator().manual_seed(0)
    for layer in (model.layers[0], model.layers[-1]):
        layer.set_weights([normal(draw, *weight.shape) for weight in layer.weights])
    model.compile(optimizer="sgd", loss="mse")
    before = [weight.value.detach().clone() for weight in norm.weights]
    model.train_on_batch(normal(draw, 32, INPUTS), normal(draw, 32, 1))
    return float(any(torch.equal(weight.value.detach(), old) for weight, old in zip(norm.weights, before)))


@functools.cache
def _added() -> Any:
    """A dense layer with batch normalisation added behind it."""
    layers = load_keras().layers
    return load_keras().Sequential([layers.Input((INPUTS,)), layers.Dense(UNITS), layers.BatchNormalization()])


def _weighted_sums(c: Case) -> tuple[Tensor, Tensor]:
    """Inputs (m, 5), and what the dense layer makes of them with weights and biases that are drawn and set."""
    x, w, b = (normal(c.draw, *shape) for shape in ((c.m, INPUTS), (INPUTS, UNITS), (UNITS,)))
    _added().layers[0].set_weights([w, b])
    return x, x @ w + b


def adding_normalises(c: Case) -> float:
    """In training, the added layer gives the weighted sums mean 0 and a spread of 1."""
    x, sums = _weighted_sums(c)
    return miss(_added()(x, training=True).detach(), bn(sums, eps=_added().layers[1].epsilon))


def adding_bias_superfluous(c: Case) -> float:
    """The bias that `Dense` keeps unless told otherwise cancels: how far the output moves without it."""
    x, _ = _weighted_sums(c)
    found = _added()(x, training=True).detach()
    w, b = _added().layers[0].get_weights()
    _added().layers[0].set_weights([w, 0 * b])
    return miss(found, _added()(x, training=True).detach())


def adding_new_in_evaluation(c: Case) -> float:
    """Called for evaluation before any training, a layer divides by sqrt(1 + eps) and normalises nothing."""
    x, sums = _weighted_sums(c)
    norm = _added().layers[1]
    norm.moving_mean.assign(torch.zeros(UNITS))
    norm.moving_variance.assign(torch.ones(UNITS))
    return miss(_added()(x).detach(), sums / math.sqrt(1 + norm.epsilon))


PRINTED = (
    dense_parameters,
    dense_non_trainable,
    dense_rank_three,
    dense_after_activation,
    dense_biases_kept,
    adding_trains,
)
FACTS = (
    dense_order,
    dense_formula_as_printed,
    dense_bias_matters,
    dense_statistics_over_positions,
    adding_normalises,
    adding_bias_superfluous,
    adding_new_in_evaluation,
)
