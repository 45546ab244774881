"""The ways of scaling inputs that the articles name: each subtracts something from every feature and divides by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

Array = np.ndarray
Fit = Callable[[Array], tuple[Array, Array]]


def _raw(x: Array) -> tuple[Array, Array]:
    return np.zeros(x.shape[1]), np.ones(x.shape[1])


def _min_max(x: Array) -> tuple[Array, Array]:
    return x.min(0), np.ptp(x, axis=0)


def _mean_centred(x: Array) -> tuple[Array, Array]:
    return x.mean(0), np.ptp(x, axis=0)


def _z_score(x: Array) -> tuple[Array, Array]:
    return x.mean(0), x.std(0)


# Name -> (shift, scale) of each feature of x (n, features). min_max ends in [0, 1]; mean_centred is the formula that
# article S2 describes; z_score has mean 0 and standard deviation 1 (with 1/n).
SCALINGS: Mapping[str, Fit] = MappingProxyType(
    {"raw": _raw, "min_max": _min_max, "mean_centred": _mean_centred, "z_score": _z_score}
)
SCALED = tuple(name for name in SCALINGS if name != "raw")


def scale(name: str, x: Array, like: Array | None = None) -> Array:
    """x (n, features) under a scaling that was fitted to `like`, or to x itself."""
    shift, size = SCALINGS[name](x if like is None else like)
    return (x - shift) / size
