"""The optimiser and the schedule of its learning rate."""

from __future__ import annotations

from dataclasses import dataclass

from bnlab.ranges import number, one_of

OPTIMIZERS = ("sgd", "rmsprop", "adam")
SCHEDULES = ("constant", "exponential")


@dataclass(frozen=True)
class OptimConfig:
    """`exponential`: the rate at step t is `lr_floor + lr * exp(-t / decay_steps)` (Goerner's scripts)."""

    name: str = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "constant"
    lr_floor: float = 0.0
    decay_steps: float = 1000.0

    def __post_init__(self) -> None:
        one_of("optim", self.name, OPTIMIZERS)
        number("optim.momentum", self.momentum, 0, 0.9999)
        number("optim.weight_decay", self.weight_decay, 0)
        one_of("optim.schedule", self.schedule, SCHEDULES)
        number("optim.lr_floor", self.lr_floor, 0)
        number("optim.decay_steps", self.decay_steps, 0, open_low=True)
