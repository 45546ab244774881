"""Batch normalisation of dense and convolutional layers (Ioffe and Szegedy 2015, algorithms 1 and 2)."""

from __future__ import annotations

import torch
from torch import nn

from bnlab.config import NormConfig
from bnlab.errors import BadInput


class BatchNorm(nn.Module):
    """Standardises each unit over the batch (and rows and columns), then scales by gamma and shifts by beta.

    `weight` is gamma, `bias` is beta; either is None when the configuration leaves it out. Training divides by
    sqrt(biased batch variance + eps); `running_var` averages the unbiased variance (algorithm 2, step 10), as
    torch does. With `warm_up`, update n (from 0) gives the new batch the weight max(momentum, 9 / (10 + n)):
    TensorFlow's moving average with a step count, whose decay is min(decay, (1 + n) / (10 + n)).
    """

    def __init__(self, config: NormConfig, units: int, spatial: bool) -> None:
        super().__init__()
        self.eps, self.momentum, self.warm_up = config.eps, config.momentum, config.warm_up
        self.parameter_shape = (1, units, 1, 1) if spatial else (1, units)
        self.register_parameter("weight", nn.Parameter(torch.ones(units)) if config.scale else None)
        offset = nn.Parameter(torch.full((units,), config.offset_init)) if config.center else None
        self.register_parameter("bias", offset)
        self.register_buffer("running_mean", torch.zeros(units))
        self.register_buffer("running_var", torch.ones(units))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64) if config.warm_up else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.standardise(x, self.weight, self.bias)

    def standardise(self, x: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None) -> torch.Tensor:
        """`x` normalised by batch or running statistics, then scaled and shifted by what is given.

        Calls the kernel that `F.batch_norm` wraps, because the wrapper refuses eps = 0 in training.
        """
        if self.training and x.numel() == x.shape[1]:
            raise BadInput(f"batch_size=1: no variance over one value per unit (shape {tuple(x.shape)}); use 2 or more")
        momentum = self._next_momentum() if self.training else self.momentum
        cudnn = torch.backends.cudnn.enabled
        return torch.batch_norm(
            x, weight, bias, self.running_mean, self.running_var, self.training, momentum, self.eps, cudnn
        )

    def _next_momentum(self) -> float:
        if not self.warm_up:
            return self.momentum
        update = int(self.updates)
        self.updates.add_(1)  # in place: assigning a buffer costs a module ten times as long
        return max(self.momentum, 9.0 / (10.0 + update))

    def extra_repr(self) -> str:
        return f"{self.running_mean.numel()}, eps={self.eps}, momentum={self.momentum}, warm_up={self.warm_up}"
