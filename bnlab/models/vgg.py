"""VGG configurations A and D (Simonyan and Zisserman 2015, table 1), with one linear layer as the classifier.

D has the 13 convolutions of the net that Santurkar et al. 2018 train on CIFAR-10.
"""

from __future__ import annotations

from torch import nn

from bnlab.errors import BadInput
from bnlab.models.net import Net
from bnlab.models.recipe import Recipe

STAGES: dict[str, tuple[tuple[int, int], ...]] = {  # convolutions, channels; each stage ends in 2 x 2 max pooling
    "vgg_a": ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)),
    "vgg_d": ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
}
SMALLEST = 32


def vgg(recipe: Recipe, input_shape: tuple[int, int, int], classes: int) -> Net:
    """3 x 3 convolutions in five stages; a 32 x 32 image leaves a 1 x 1 map for the classifier.

    Raises BadInput for images below 32 x 32, and for dropout: it belongs to hidden dense layers, of which there
    are none.
    """
    name, (channels, rows, columns) = recipe.model.name, input_shape
    if min(rows, columns) < SMALLEST:
        raise BadInput(f"model={name}: needs images of at least 32x32, these are {rows}x{columns}; add data.size=32")
    if recipe.model.dropout:
        raise BadInput(f"model.dropout={recipe.model.dropout}: {name} has no hidden dense layer to drop from; use 0")
    blocks = []
    for count, wide in STAGES[name]:
        for index in range(1, count + 1):
            pool = nn.MaxPool2d(2) if index == count else None
            blocks.append(recipe.conv(channels, recipe.channels(wide), 3, finish=pool))
            channels = recipe.channels(wide)
        rows, columns = rows // 2, columns // 2
    return Net(blocks, recipe.output(channels * rows * columns, classes))
