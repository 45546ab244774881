"""What all layers share that normalise by statistics of the batch."""

from __future__ import annotations

import torch

from bnlab.config import NormConfig
from bnlab.errors import BadInput
from bnlab.norms.affine import AffineNorm


class BatchStatisticsNorm(AffineNorm):
    """Statistics of the batch in training, their moving averages in evaluation; then gamma and beta.

    A subclass has two statistics per unit: the mean, and a measure of size or spread, whose moving average is the
    buffer named `spread`. With `warm_up`, update n (from 0) gives the new batch the weight max(momentum, 9 / (10 + n)):
    TensorFlow's moving average with a step count, whose decay is min(decay, (1 + n) / (10 + n)).

    With `ghost_size`, each run of so many images is normalised by itself (ghost batch normalisation, Hoffer et al.
    2017). The moving averages take one step per batch, towards the mean over its ghost batches, as TensorFlow's
    `virtual_batch_size` does, so that they remember as many batches at any ghost size; algorithm 1 of the paper takes
    the ghost batches in one after the other.
    """

    def __init__(self, config: NormConfig, units: int, spatial: bool, spread: str) -> None:
        super().__init__(config, units, spatial)
        self.momentum, self.warm_up = config.momentum, config.warm_up
        self.ghost_size, self.spread = config.ghost_size, spread
        self.register_buffer("running_mean", torch.zeros(units))
        self.register_buffer(spread, torch.ones(units))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64) if config.warm_up else None)

    def ghosts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The parts of the batch that are normalised by themselves: all of it without a ghost size.

        Errors: BadInput where the batch does not divide, and where a part has one value per unit.
        """
        size, key = (self.ghost_size, "norm.ghost_size") if self.ghost_size else (len(x), "batch_size")
        if len(x) % size:
            raise BadInput(f"norm.ghost_size={size}: must divide the batch, which has {len(x)} images")
        if size * x[0, 0].numel() == 1:
            raise BadInput(f"{key}=1: no variance over one value per unit (shape {tuple(x.shape)}); use 2 or more")
        return x.split(size) if size < len(x) else (x,)

    def next_momentum(self) -> float:
        """The weight of the new batch in the moving averages; a layer that counts its updates counts this one."""
        if self.updates is None:
            return self.momentum
        update = int(self.updates)
        self.updates.add_(1)  # in place: assigning a buffer costs a module ten times as long
        return max(self.momentum, 9.0 / (10.0 + update)) if self.warm_up else self.momentum

    @torch.no_grad()
    def remember(self, means: torch.Tensor, spreads: torch.Tensor, momentum: float) -> None:
        """Move the averages towards the mean over ghost batches; `means` and `spreads` are (ghost batches, units)."""
        self.running_mean.lerp_(means.mean(0), momentum)
        getattr(self, self.spread).lerp_(spreads.mean(0), momentum)

    def extra_repr(self) -> str:
        settings = f"eps={self.eps}, momentum={self.momentum}, warm_up={self.warm_up}, ghost_size={self.ghost_size}"
        return f"{self.running_mean.numel()}, {settings}"
