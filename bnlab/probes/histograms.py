"""A vector of values as one stored histogram."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bnlab.store import BINS, Histogram, quantise, scale_counts

LARGEST = 1e38  # beyond it the edges do not fit the single precision in which they are kept


def histogram(values: Tensor) -> Histogram | None:
    """Counts over equal bins between the extremes, which are rounded outwards to four significant digits.

    Values that all agree lie in the middle of a range around them. None when a value is not finite.
    """
    smallest, largest = (float(v) for v in values.aminmax())
    if not max(abs(smallest), abs(largest)) < LARGEST:  # written so that NaN fails too
        return None
    lo, hi = -_rounded_up(-smallest), _rounded_up(largest)
    if lo == hi:
        half = max(0.5, abs(lo) / 2)
        lo, hi = lo - half, hi + half
    counts = torch.histc(values.double(), BINS, lo, hi)  # double: the edges are then exactly those stored
    return Histogram(lo, hi, scale_counts([int(c) for c in counts.tolist()]))


def _rounded_up(value: float) -> float:
    """The nearest number of four significant digits that is not below `value`."""
    rounded = quantise(value)
    if rounded >= value:
        return rounded
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 3)
    return quantise(rounded + unit)
