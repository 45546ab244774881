"""Loss and accuracy of a net on stored images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from bnlab.data.image_set import ImageSet
    from bnlab.models import Net

CHUNK = 1000  # images per forward pass, which bounds the memory it takes


@torch.no_grad()
def evaluate(model: Net, images: ImageSet, first: int) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy and accuracy of the `first` images, in evaluation mode, in which the net is left.

    Without augmentation. Scalars on the net's device; the accuracy is NaN where a logit is not finite.
    """
    model.eval()
    count = min(first, len(images))
    loss, right = 0.0, 0.0
    for start in range(0, count, CHUNK):
        x, y = images.slice(start, min(start + CHUNK, count), channels_last=model.spatial)
        logits = model(x)
        loss = loss + cross_entropy(logits, y, reduction="sum").double()
        right = right + accuracy(logits, y) * len(y)
    return loss / count, right / count


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """The fraction of rows of (N, classes) whose largest entry is the label's; NaN where an entry is not finite."""
    return (logits.argmax(1) == y).double().mean() + (logits * 0).sum()
