"""Dense nets of any widths, such as Goerner's 784-200-100-60-30-10."""

from __future__ import annotations

import math

from bnlab.models.net import Net
from bnlab.models.recipe import Recipe


def mlp(recipe: Recipe, input_shape: tuple[int, int, int], classes: int) -> Net:
    """Hidden layers of `model.widths` units; dropout on the last of them, or on all others."""
    widths = recipe.model.widths
    inputs = (math.prod(input_shape), *widths[:-1])
    last, others = (recipe.dropout(), None) if recipe.model.dropout_layers == "last" else (None, recipe.dropout())
    finishes = (*[others] * (len(widths) - 1), last)
    blocks = [recipe.dense(*sizes) for sizes in zip(inputs, widths, finishes, strict=True)]
    return Net(blocks, recipe.output(widths[-1], classes))
