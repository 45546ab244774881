"""From bytes to floats: the pixel conventions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Pixels:
    """A pixel convention, ready for rows of H*W*C bytes with the channels innermost.

    `unit` divides by 255, `goerner` by 256, `binary` is 1 from half of 255 upwards and 0 below,
    `standardized` gives every channel of the training images mean 0 and standard deviation 1:
    `scale` and `offset` (H*W*C) hold what that takes, one entry for each byte of a row. `none` leaves what are floats
    already.
    """

    name: str
    scale: Tensor | None = None
    offset: Tensor | None = None

    def convert(self, rows: Tensor) -> Tensor:
        """uint8 (N, H*W*C) to float32 of the same shape."""
        if self.name == "none":
            return rows
        if self.name == "unit":
            return rows.to(torch.float32).div_(255)
        if self.name == "goerner":
            return rows.to(torch.float32).mul_(1 / 256)  # a power of two: exact
        if self.name == "binary":
            return torch.ge(rows, 128, out=torch.empty(rows.shape, dtype=torch.float32, device=rows.device))
        return torch.addcmul(self.offset, rows.to(torch.float32), self.scale)


def standardized(mean: list[float], std: list[float], pixels_per_image: int, device: str) -> Pixels:
    """The convention for channels of this mean and standard deviation (of pixels in [0, 1])."""
    scale = torch.tensor([1 / (255 * s) for s in std], dtype=torch.float64)
    offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float64)
    spread = [t.to(torch.float32).repeat(pixels_per_image).to(device) for t in (scale, offset)]
    return Pixels("standardized", *spread)


def channel_moments(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation (of the population) of each channel of uint8 (N, H, W, C), pixels in [0, 1].

    Counted in whole numbers, so exact up to the last division. A constant channel gets deviation 1.
    """
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        for c in range(channels):
            counts[c] += np.bincount(part[..., c].ravel(), minlength=256)
    moments = [_moments([int(n) for n in row]) for row in counts]
    return [mean for mean, _ in moments], [std for _, std in moments]


def _moments(counts: list[int]) -> tuple[float, float]:
    """Mean and standard deviation of bytes / 255, from how often each byte occurs (whole numbers of any size)."""
    total = sum(counts)
    first = sum(n * value for value, n in enumerate(counts))
    second = sum(n * value**2 for value, n in enumerate(counts))
    variance = (second * total - first**2) / total**2
    return first / (total * 255), math.sqrt(variance) / 255 if variance else 1.0
