"""Running statistics estimated afresh for the weights of one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bnlab.norms import BatchNorm

if TYPE_CHECKING:
    from bnlab.data.image_set import ImageSet
    from bnlab.models import Net

BATCHES = 20
SEED = 0  # of the choice of images: the same at every measurement, and no part of a run's random streams


@torch.no_grad()
def recalibrate(model: Net, images: ImageSet, batch_size: int) -> None:
    """Set the running statistics of batch normalisation to their mean over `BATCHES` batches of training size.

    The batches are drawn without augmentation. Everything but batch normalisation is in evaluation mode, as it will be
    when the statistics are used, so dropout is off; switch noise off around the call. The net is left in evaluation
    mode with the new statistics: call it inside `undisturbed`.
    """
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    before = [(norm.momentum, norm.warm_up) for norm in norms]
    model.eval()
    for norm in norms:
        norm.running_mean.zero_()
        norm.running_var.fill_(1)
        norm.training, norm.warm_up = True, False
    try:
        for number, indices in enumerate(_indices(len(images), batch_size), start=1):
            for norm in norms:
                norm.momentum = 1 / number  # every batch has then the same weight in the running mean
            model(images.batch(indices.to(images.labels.device), channels_last=model.spatial)[0])
    finally:
        for norm, (momentum, warm_up) in zip(norms, before):
            norm.momentum, norm.warm_up = momentum, warm_up
        model.eval()


def _indices(count: int, batch_size: int) -> list[Tensor]:
    """`BATCHES` batches out of as many permutations of the images as they take."""
    generator = torch.Generator().manual_seed(SEED)
    permutations = -(-BATCHES * batch_size // count)
    order = torch.cat([torch.randperm(count, generator=generator) for _ in range(permutations)])
    return list(order[: BATCHES * batch_size].split(batch_size))
