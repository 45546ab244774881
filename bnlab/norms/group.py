"""Normalisation within each sample: layer (Ba et al. 2016), instance (Ulyanov et al. 2016), group (Wu and He 2018)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from bnlab.config import NormConfig
from bnlab.errors import BadInput
from bnlab.norms.affine import AffineNorm


class GroupNorm(AffineNorm):
    """Standardises each group of neighbouring units of each sample, over rows and columns too; then gamma and beta.

    One group is layer normalisation, as many as units instance normalisation. There are no moving averages, and
    evaluation is as training. In a group whose values are all equal, eps = 0 gives NaN.
    """

    def __init__(self, config: NormConfig, units: int, spatial: bool) -> None:
        super().__init__(config, units, spatial)
        self.name, self.groups = config.name, _groups(config, units)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x[0].numel() == self.groups:
            rule = f"its {self.groups} groups have one value each (shape {tuple(x.shape)}), so no variance"
            raise BadInput(f"norm.name={self.name}: {rule}; use fewer groups or another normalisation")
        if self.weight is None:  # the kernel's backward pass fails on a beta without a gamma
            return self.affine(F.group_norm(x, self.groups, eps=self.eps))
        return F.group_norm(x, self.groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.groups} groups, eps={self.eps}"


def _groups(config: NormConfig, units: int) -> int:
    fixed = {"layer": 1, "instance": units}
    return fixed.get(config.name) or math.gcd(config.group.groups, units)
