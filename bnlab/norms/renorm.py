"""Batch renormalisation (Ioffe 2017, algorithm 1)."""

from __future__ import annotations

import torch

from bnlab.config import NormConfig
from bnlab.norms.batch import batch_norm
from bnlab.norms.statistics import BatchStatisticsNorm


class BatchRenorm(BatchStatisticsNorm):
    """Batch normalisation whose training output is corrected towards that of evaluation: xhat * r + d.

    r = sigma_B / sigma within [1 / r_max, r_max] and d = (mu_B - mu) / sigma within [-d_max, d_max] are constants to
    the gradient; mu and sigma are the moving averages from before this batch. sigma_B = sqrt(biased variance + eps),
    and it is this deviation that `running_std` averages. Both limits grow linearly, from 1 and 0 at update
    `norm.renorm.start` to `r_max` at `r_full` and `d_max` at `d_full`; up to there this is batch normalisation.
    With ghost batches, all of them are corrected towards the same moving averages.
    """

    def __init__(self, config: NormConfig, units: int, spatial: bool) -> None:
        super().__init__(config, units, spatial, "running_std")
        self.config = config.renorm
        self.updates = torch.zeros((), dtype=torch.int64)  # the limits depend on it, with or without warm-up

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return batch_norm(x, self.weight, self.bias, self.running_mean, self.running_std.square(), False, 0.0, 0.0)
        ghosts = self.ghosts(x)
        parts = [self._corrected(*part) for part in zip(ghosts, *self._corrections(ghosts), strict=True)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @torch.no_grad()
    def _corrections(self, ghosts: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """r and d, each (ghost batches, units), and an update of the moving averages they were found with."""
        others = (0, *range(2, ghosts[0].dim()))
        found = [torch.var_mean(ghost, others, correction=0) for ghost in ghosts]
        variances, means = map(torch.stack, zip(*found, strict=True))
        stds = (variances + self.eps).sqrt()
        r_max, d_max = self._limits()
        r = (stds / self.running_std).clamp(1 / r_max, r_max)
        d = ((means - self.running_mean) / self.running_std).clamp(-d_max, d_max)
        self.remember(means, stds, self.next_momentum())
        return r, d

    def _limits(self) -> tuple[float, float]:
        """r_max and d_max of the update that comes."""
        config, update = self.config, int(self.updates)
        r_grown, d_grown = (_grown(update, config.start, full) for full in (config.r_full, config.d_full))
        return 1 + (config.r_max - 1) * r_grown, config.d_max * d_grown

    def _corrected(self, x: torch.Tensor, r: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        """gamma (xhat r + d) + beta, as the kernel's xhat (gamma r) + (gamma d + beta)."""
        weight, bias = (r, d) if self.weight is None else (self.weight * r, self.weight * d)
        return batch_norm(x, weight, bias if self.bias is None else bias + self.bias, None, None, True, 0.0, self.eps)


def _grown(update: int, start: int, full: int) -> float:
    """0 before `start`, from there linearly to 1 at `full`."""
    if update < start:
        return 0.0
    return 1.0 if update >= full else (update - start) / (full - start)
