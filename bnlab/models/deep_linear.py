"""The deep linear net of Santurkar et al. 2018 (appendix A.1): linear maps only, and what normalises between them."""

from __future__ import annotations

import math

from bnlab.models.net import Net
from bnlab.models.recipe import Recipe


def deep_linear(recipe: Recipe, input_shape: tuple[int, int, int], classes: int) -> Net:
    """Maps to `model.widths` and then to the outputs, none with a bias; all but the last are normalised.

    The paper has 25 maps, all of 10 x 10. Whether it normalises after the last is not said: a normalised output could
    not fit targets whose variance depends on A but through gamma.
    """
    widths = recipe.model.widths
    inputs = (math.prod(input_shape), *widths[:-1])
    blocks = [recipe.dense(*sizes, bias=False) for sizes in zip(inputs, widths, strict=True)]
    return Net(blocks, recipe.output(widths[-1], classes, bias=False))
