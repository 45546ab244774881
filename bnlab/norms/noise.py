"""Noise with a non-zero mean and a non-unit variance that changes at every step, with and without batch
normalisation before it (Santurkar et al. 2018, appendix A.2.1, algorithm 1)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import nn

from bnlab.config import NoiseConfig, NormConfig
from bnlab.norms.batch import BatchNorm


class Noise(nn.Module):
    """Replaces a_ij by s_ij * a_ij + m_ij (sample i, unit j; rows and columns count as samples).

    At each step, mu_j ~ U(-shift, shift) and sigma_j ~ U(1, scale) are drawn for each unit (or one pair for the
    layer); then m_ij ~ U(mu_j - shift_spread, mu_j + shift_spread) and s_ij ~ N(sigma_j, scale_spread), whose second
    argument is a standard deviation or a variance. The gradient goes through s_ij * a_ij only.

    Everything is drawn from `generator`, which several layers may share and which must live on the device of the
    activations: its state alone determines the noise, so setting the state back replays it. The amount drawn
    depends on the shape of the input only, never on its memory format or on the constants.
    """

    def __init__(self, config: NoiseConfig, units: int, spatial: bool, generator: torch.Generator | None) -> None:
        super().__init__()
        if generator is None:
            raise ValueError("noise needs a generator of its own: the global one belongs to the training loop")
        self.config, self.generator, self.spatial = config, generator, spatial
        self.enabled = True
        self.statistics = units if config.per == "unit" else 1
        variance = config.scale_spread_is == "variance"
        self.scale_std = math.sqrt(config.scale_spread) if variance else config.scale_spread

    @property
    def active(self) -> bool:
        """Whether the next forward pass adds noise."""
        return self.enabled and (self.training or self.config.at_eval)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.active:
            return x
        shift, scale = self._draw(x)
        return torch.addcmul(shift, x, scale)

    def _draw(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """m and s in the shape of `x`, drawn with the units last: that is channels-last memory, and contiguous
        tensors are filled several times faster than strided ones."""
        config, like = self.config, {"dtype": x.dtype, "device": x.device, "generator": self.generator}
        shape = (x.shape[0], *x.shape[2:], x.shape[1])
        unit = torch.rand(2, self.statistics, **like)
        mean_shift = config.shift * (2 * unit[0] - 1)
        mean_scale = 1 + (config.scale - 1) * unit[1]
        uniform, normal = torch.rand(shape, **like), torch.randn(shape, **like)
        spread = config.shift_spread
        shift = torch.add(mean_shift - spread, uniform, alpha=2 * spread, out=uniform)
        scale = torch.add(mean_scale, normal, alpha=self.scale_std, out=normal)
        return (shift.movedim(-1, 1), scale.movedim(-1, 1)) if self.spatial else (shift, scale)

    def extra_repr(self) -> str:
        return f"{self.config}"


class NoisyBatchNorm(BatchNorm):
    """Batch normalisation followed by noise: after gamma and beta, or between standardising and gamma, beta."""

    def __init__(self, config: NormConfig, units: int, spatial: bool, generator: torch.Generator | None) -> None:
        super().__init__(config, units, spatial)
        self.noise = Noise(config.noise, units, spatial, generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.noise.config.place == "after_affine":
            return self.noise(super().forward(x))
        return self.affine(self.noise(self.standardise(x, None, None)))


@contextlib.contextmanager
def noise_off(model: nn.Module) -> Iterator[None]:
    """Switches the noise of every layer of `model` off, and back to what it was; nothing is drawn meanwhile.

    Running statistics gathered under noise misjudge the noise-free net: they are re-estimated in here.
    """
    noises = [module for module in model.modules() if isinstance(module, Noise)]
    before = [noise.enabled for noise in noises]
    try:
        for noise in noises:
            noise.enabled = False
        yield
    finally:
        for noise, enabled in zip(noises, before, strict=True):
            noise.enabled = enabled
