"""The optimiser of a run and its learning rate at each step."""

from __future__ import annotations

import math

import torch

from bnlab.config import RunConfig
from bnlab.models import Net


def make_optimizer(config: RunConfig, net: Net) -> torch.optim.Optimizer:
    """SGD or Adam (0.9, 0.999, 1e-8) in their fused form, or RMSprop (0.99, 1e-8), for which torch has none.

    Weight decay is the L2 penalty of all three. Adam has no use for `momentum`.
    """
    shared = {"lr": learning_rate(config, 0), "weight_decay": config.optim.weight_decay}
    if config.optim.name == "adam":
        return torch.optim.Adam(net.parameters(), fused=True, **shared)
    if config.optim.name == "rmsprop":
        return torch.optim.RMSprop(net.parameters(), momentum=config.optim.momentum, **shared)
    return torch.optim.SGD(net.parameters(), momentum=config.optim.momentum, fused=True, **shared)


def learning_rate(config: RunConfig, step: int) -> float:
    """Constant, or `lr_floor + lr * exp(-step / decay_steps)`, the schedule of Goerner's scripts."""
    if config.optim.schedule == "constant":
        return config.lr
    return config.optim.lr_floor + config.lr * math.exp(-step / config.optim.decay_steps)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
