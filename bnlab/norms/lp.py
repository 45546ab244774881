"""Normalisation by the l_p norm instead of the deviation (Santurkar et al. 2018, section 3.3)."""

from __future__ import annotations

import math

import torch

from bnlab.config import NormConfig
from bnlab.norms.statistics import BatchStatisticsNorm

ORDERS = {"l1": 1.0, "l2": 2.0, "linf": math.inf}


class LpNorm(BatchStatisticsNorm):
    """Takes each unit's batch mean away and divides by its average l_p norm over the batch, plus eps.

    That norm is mean |x|, sqrt(mean x^2) or max |x|, of the activations before the mean is taken away ("before
    shifting the mean"), so l2 divides by sqrt(mean^2 + variance); `norm.lp.centred` takes it afterwards, and l2 is
    then batch normalisation with eps outside the root. The paper does not say what serves in evaluation: here the
    moving averages of mean and norm. With eps = 0, a unit that is zero throughout gives NaN.
    """

    def __init__(self, config: NormConfig, units: int, spatial: bool) -> None:
        super().__init__(config, units, spatial, "running_norm")
        self.order, self.centred = ORDERS[config.lp.norm], config.lp.centred

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return self._scaled(x, self.running_mean, self.running_norm)
        ghosts, momentum = self.ghosts(x), self.next_momentum()
        means, norms = map(torch.stack, zip(*map(self._statistics, ghosts), strict=True))
        self.remember(means, norms, momentum)
        parts = [self._scaled(*ghost) for ghost in zip(ghosts, means, norms, strict=True)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _statistics(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and average norm, each (units,)."""
        others = (0, *range(2, x.dim()))
        mean = x.mean(others)
        measured = x - self.per_unit(mean) if self.centred else x
        norm = torch.linalg.vector_norm(measured, self.order, others)
        return mean, norm / (x.numel() / x.shape[1]) ** (1 / self.order)

    def _scaled(self, x: torch.Tensor, mean: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        return self.affine((x - self.per_unit(mean)) / self.per_unit(norm + self.eps))
