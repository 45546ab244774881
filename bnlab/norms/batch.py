"""Batch normalisation of dense and convolutional layers (Ioffe and Szegedy 2015, algorithms 1 and 2)."""

from __future__ import annotations

import torch

from bnlab.config import NormConfig
from bnlab.norms.statistics import BatchStatisticsNorm


class BatchNorm(BatchStatisticsNorm):
    """Standardises each unit over the batch (and rows and columns), then scales by gamma and shifts by beta.

    Training divides by sqrt(biased batch variance + eps); `running_var` averages the unbiased variance (algorithm 2,
    step 10), as torch does.
    """

    def __init__(self, config: NormConfig, units: int, spatial: bool) -> None:
        super().__init__(config, units, spatial, "running_var")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.standardise(x, self.weight, self.bias)

    def standardise(self, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
        """`x` normalised by batch or running statistics, then scaled and shifted by what is given."""
        statistics = self.running_mean, self.running_var
        if not self.training:
            return batch_norm(x, weight, bias, *statistics, False, self.momentum, self.eps)
        ghosts, momentum = self.ghosts(x), self.next_momentum()
        if len(ghosts) == 1:
            return batch_norm(x, weight, bias, *statistics, True, momentum, self.eps)
        # With momentum 1 the kernel leaves the statistics of each ghost batch in its row.
        found = self.running_mean.new_zeros(2, len(ghosts), x.shape[1])
        parts = [batch_norm(g, weight, bias, *s, True, 1.0, self.eps) for g, *s in zip(ghosts, *found, strict=True)]
        self.remember(*found, momentum)
        return torch.cat(parts)


def batch_norm(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> torch.Tensor:
    """The kernel that `F.batch_norm` wraps, because the wrapper refuses eps = 0 in training."""
    cudnn = torch.backends.cudnn.enabled
    return torch.batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps, cudnn)
