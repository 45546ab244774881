"""Article S2's convolutional program: as printed, with the missing comma, and with the missing layer."""

from __future__ import annotations

import functools
import math
from typing import Any

from bnlab.procedures.article_code.case import Case, bn, miss, normal
from bnlab.procedures.article_code.dense import normalised_activations, numbers_in
from bnlab.procedures.article_code.keras_on_torch import load_keras
from bnlab.procedures.article_code.programs import CONV, CONV_WITH_COMMA, CONV_WITH_FLATTEN, make_model

PARAMETERS, NON_TRAINABLE, LAST_WITH_FLATTEN = 10466, 128, 9218
CLASSES = 2


@functools.cache
def _mended() -> Any:
    return make_model(CONV_WITH_COMMA)


@functools.cache
def _flattened() -> Any:
    return make_model(CONV_WITH_FLATTEN)


def conv_no_python() -> float:
    """1 where the program as printed is refused by the compiler."""
    try:
        make_model(CONV)
    except SyntaxError:
        return 1.0
    return 0.0


def conv_parameters() -> float:
    """By how many the parameters, with the comma, miss 896 + 128 + 9248 + 128 + 66."""
    return float(abs(_mended().count_params() - PARAMETERS))


def conv_non_trainable() -> float:
    """By how many the moving averages miss 128."""
    return float(abs(numbers_in(_mended().non_trainable_variables) - NON_TRAINABLE))


def conv_outputs_too_many() -> float:
    """How many values an image gets beyond one for each of two classes."""
    return float(math.prod(_mended().output_shape[1:]) - CLASSES)


def conv_output_a_map() -> float:
    """0 where the output is (N, 12, 12, 2), a pair for every position."""
    return float(_mended().output_shape != (None, 12, 12, CLASSES))


def conv_after_activation() -> float:
    return normalised_activations(_mended())


def conv_flattened_last() -> float:
    """By how many the parameters of the last layer behind a Flatten miss 9,218."""
    return float(abs(_flattened().layers[-1].count_params() - LAST_WITH_FLATTEN))


def conv_flattened_outputs() -> float:
    """0 where a Flatten leaves a pair of values for each image."""
    return float(_flattened().output_shape != (None, CLASSES))


def conv_one_statistic_per_map(c: Case) -> float:
    """`BatchNormalization()`, the same call as behind a dense layer, takes the channels of (N, H, W, C)."""
    images = normal(c.draw, 4, 6, 5, c.x.shape[1])
    layer = load_keras().layers.BatchNormalization()
    found = layer(images, training=True).detach().movedim(-1, 1)
    return miss(found, bn(images.movedim(-1, 1), eps=layer.epsilon))


PRINTED = (
    conv_no_python,
    conv_parameters,
    conv_non_trainable,
    conv_outputs_too_many,
    conv_output_a_map,
    conv_after_activation,
    conv_flattened_last,
    conv_flattened_outputs,
)
FACTS = (conv_one_statistic_per_map,)
