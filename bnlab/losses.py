"""What training descends, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True)
class Loss:
    """Of outputs (N, units) and targets, which are labels (N,) where it `classifies`, else vectors (N, units).

    `of_batch` is what a step descends, a scalar; `total` is summed over the samples, and is divided by their number
    where `averages`, so that both are on one scale.
    """

    of_batch: Callable[[Tensor, Tensor], Tensor]
    total: Callable[[Tensor, Tensor], Tensor]
    averages: bool
    classifies: bool


def half_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    """Half the sum of squares over samples and entries, as the linear net of Santurkar et al. 2018 must be trained:
    only with a sum does a learning rate of 1e-6 move it, and only with the half do the published losses start where
    they do."""
    return (outputs - targets).square().sum() / 2


def _summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, reduction="sum")


LOSSES = {
    "cross_entropy": Loss(cross_entropy, _summed_cross_entropy, averages=True, classifies=True),
    "half_squares": Loss(half_squares, half_squares, averages=False, classifies=False),
}
