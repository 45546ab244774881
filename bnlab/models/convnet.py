"""Goerner's conv net with batch normalisation (tensorflow-mnist-tutorial, script 4.2)."""

from __future__ import annotations

from bnlab.models.net import Net
from bnlab.models.recipe import Recipe

CONVOLUTIONS = ((6, 24, 1), (5, 48, 2), (4, 64, 2))  # kernel, channels, stride
DENSE = 200


def convnet(recipe: Recipe, input_shape: tuple[int, int, int], classes: int) -> Net:
    """Three convolutions padded to SAME (28, 14, 7 rows on MNIST), a dense layer of 200 units, dropout there only.

    The width multiplies the channels, not the dense layer.
    """
    channels, rows, columns = input_shape
    blocks = []
    for kernel, wide, stride in CONVOLUTIONS:
        blocks.append(recipe.conv(channels, recipe.channels(wide), kernel, stride))
        channels, rows, columns = recipe.channels(wide), -(-rows // stride), -(-columns // stride)
    blocks.append(recipe.dense(channels * rows * columns, DENSE, recipe.dropout()))
    return Net(blocks, recipe.output(DENSE, classes))
