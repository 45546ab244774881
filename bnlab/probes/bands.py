"""Quantiles, moments and fractions of activation tensors; every function takes the tensors of one or more layers.

A tensor with a NaN or an infinity in it gives NaN everywhere, without a look at the values on the host.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

SEPTILES = tuple(k / 7 for k in range(8))  # the 8 boundaries of 7 slices of equal probability
MOST_VALUES = 65_536


def thinned(tensors: Sequence[Tensor], most: int = MOST_VALUES) -> Tensor:
    """All values as one vector, or every k-th of each tensor where there are more than `most`.

    k shares no factor with any tensor's size, so that no row, column or channel is left out, and is the same for all,
    so that each layer keeps its weight. One tensor gives at most `most` values, several at most one more each.
    """
    sizes = [t.numel() for t in tensors]
    stride = max(1, math.ceil(sum(sizes) / most))
    while any(math.gcd(stride, size) > 1 for size in sizes):
        stride += 1
    parts = [t.reshape(-1)[::stride] for t in tensors]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def quantiles(values: Tensor, at: Sequence[float]) -> Tensor:
    """Quantiles of a vector, interpolated linearly between its sorted values as numpy does; shape (len(at),)."""
    ordered = _sorted(values)
    below, above, share = _places(len(values), tuple(at), values.device)
    return torch.lerp(ordered[below], ordered[above], share) + zero_or_nan(ordered[0], ordered[-1])


@functools.lru_cache(maxsize=256)  # the layers of a run keep their sizes
def _places(count: int, at: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Where quantiles lie among `count` sorted values: the indices next to each, and how far it is from the lower."""
    places = [q * (count - 1) for q in at]
    below, above = ([half(p) for p in places] for half in (math.floor, math.ceil))
    share = torch.tensor([p % 1 for p in places], device=device)
    return torch.tensor(below, device=device), torch.tensor(above, device=device), share


def _sorted(values: Tensor) -> Tensor:
    """numpy's sort of floats is vectorised, and on a CPU some thirty times faster than torch's stable one."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.sort(values.numpy()))
    return values.sort().values


def zero_or_nan(smallest: Tensor, largest: Tensor) -> Tensor:
    """0 if both are finite, else NaN: added to a result, it takes away one that means nothing."""
    return smallest * 0 + largest * 0


def fraction(tensors: Sequence[Tensor], holds: Callable[[Tensor], Tensor]) -> Tensor:
    """The fraction of all values for which `holds` (a mask of its argument's shape)."""
    hits = sum(holds(t).sum() for t in tensors)
    return hits / sum(t.numel() for t in tensors) + sum(zero_or_nan(*t.aminmax()) for t in tensors)


def batch_maxima(tensor: Tensor) -> Tensor:
    """Each neuron's largest value over the batch, as a vector.

    A neuron is a unit of (N, C) and a (channel, row, column) of (N, C, H, W), as in Goerner's displays.
    """
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.movedim(1, -1).amax(0).movedim(-1, 0).reshape(-1)  # many times faster in the order of memory
    return tensor.amax(0).reshape(-1)


def unit_moments(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population variance of each unit: over N of (N, C), over N, H and W of (N, C, H, W); shapes (C,)."""
    axes = (0, *range(2, tensor.dim()))
    mean = tensor.mean(axes, keepdim=True)
    variance = (tensor - mean).square_().mean(axes)  # two passes: as exact as torch.var_mean, ten times faster on a CPU
    return mean.flatten(), variance


def mean_sd_skew(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, population standard deviation and skewness m3 / m2^1.5 (NaN where all values agree) of a vector."""
    mean = values.mean()
    centred = values - mean
    second, third = centred.square().mean(), centred.pow(3).mean()
    return mean, second.sqrt(), third / second.pow(1.5)
