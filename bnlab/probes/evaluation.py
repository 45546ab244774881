"""Loss and accuracy of a net on a stored set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bnlab.data.batches import Batches
from bnlab.losses import Loss
from bnlab.norms import noise_off
from bnlab.norms.statistics import BatchStatisticsNorm
from bnlab.probes.undisturbed import undisturbed

if TYPE_CHECKING:
    from bnlab.config import RunConfig
    from bnlab.data.image_set import ImageSet
    from bnlab.models import Net

CHUNK = 1000  # images per forward pass, which bounds the memory it takes
SEED = 0  # of the batches that are normalised by themselves: the same at every measurement


@torch.no_grad()
def evaluate(model: Net, images: ImageSet, first: int, loss: Loss) -> tuple[Tensor, Tensor | None]:
    """The loss and accuracy of the `first` images, in evaluation mode, in which the net is left.

    Without augmentation. Scalars on the net's device; the accuracy is NaN where a logit is not finite, and None for a
    loss that does not classify.
    """
    model.eval()
    count = min(first, len(images))
    total, right = 0.0, 0.0
    for start in range(0, count, CHUNK):
        x, y = images.slice(start, min(start + CHUNK, count), channels_last=model.spatial)
        logits = model(x)
        total = total + loss.total(logits, y).double()
        right = right + accuracy(logits, y) * len(y) if loss.classifies else None
    return total / count if loss.averages else total, right / count if loss.classifies else None


@torch.no_grad()
def accuracy_by_batch(model: Net, images: ImageSet, config: RunConfig) -> Tensor:
    """Accuracy over an epoch of batches built as in training, each normalised as in training, by its own statistics.

    Without augmentation, dropout and noise. Every batch is met with the moving averages that the net has now, which
    batch renormalisation corrects by. The net is left in evaluation mode.

    Errors: BadInput where there is no full batch.
    """
    generator = torch.Generator().manual_seed(SEED)
    classes, last = config.data.batch_classes, model.spatial
    batches = Batches(images, config.batch_size, generator, channels_last=last, classes=classes)
    norms = [module for module in model.modules() if isinstance(module, BatchStatisticsNorm)]
    model.eval()
    right = 0.0
    for _ in range(batches.steps_per_epoch):
        x, y = batches.next()
        with undisturbed(model), noise_off(model):
            for norm in norms:
                norm.training = True
            right = right + accuracy(model(x), y)
    return right / batches.steps_per_epoch


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    """The fraction of rows of (N, classes) whose largest entry is the label's; NaN where an entry is not finite."""
    return (logits.argmax(1) == y).double().mean() + (logits * 0).sum()
