"""What no rewriting of a training loop can beat: the arithmetic of its convolutions at the rate of a matrix product."""

from __future__ import annotations

from collections.abc import Callable

import torch
import usual
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from bnlab.config import RunConfig

SIDE = 2048  # of the square matrices: large enough to run at the processor's best rate
REPEATS = 5


def seconds_at_matmul_rate(config: RunConfig, now: Callable[[], float]) -> float:
    """Seconds that one step's convolutions and last layer would take if they ran like a large matrix product."""
    return convolution_flops(config) / matmul_rate(now)


def convolution_flops(config: RunConfig) -> float:
    """Floating-point operations of one forward and backward pass of the net's linear maps."""
    x, y = torch.randn(config.batch_size, 3, 32, 32), torch.zeros(config.batch_size, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        cross_entropy(usual.convolutions(config)(x), y).backward()
    return counter.get_total_flops()


def matmul_rate(now: Callable[[], float]) -> float:
    """Floating-point operations per second of a square matrix product, the best of some."""
    first, second = torch.randn(2, SIDE, SIDE)
    seconds = []
    for _ in range(REPEATS):
        start = now()
        first @ second
        seconds.append(now() - start)
    return 2 * SIDE**3 / min(seconds)
