"""What a probe is, and what the training loop shows to it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bnlab.cadence import Cadence
from bnlab.config import RunConfig
from bnlab.store import Value

if TYPE_CHECKING:
    from bnlab.data.image_set import ImageSets
    from bnlab.models import Net

Tap = tuple[int, str]  # the 1-based number of a block, and the name under which it shows a tensor
Measurement = Generator[None | dict[str, Value], None, None]


@dataclass(frozen=True)
class Moment:
    """A training step after its backward pass and before its update: `step` updates have been made.

    `x`, `y`, `logits` (N, classes) and `loss` (scalar) are those of the step itself, in training mode and detached;
    running statistics have already taken this batch in. `tapped` holds the tensors that this very forward pass showed,
    so that measuring them draws no random number and costs no second pass. `memory` is what this probe keeps of earlier
    steps of the run; it is saved with the run's checkpoints, so it holds plain tensors only.
    """

    step: int
    model: Net
    x: Tensor
    y: Tensor
    logits: Tensor
    loss: Tensor
    data: ImageSets
    config: RunConfig
    steps_per_epoch: int
    tapped: dict[Tap, Tensor] = field(default_factory=dict)
    memory: dict[str, Tensor] = field(default_factory=dict)

    def is_due(self, cadence: str) -> bool:
        """Whether this step belongs to a cadence of the configuration."""
        return self.step in due_steps(cadence, self.config.steps, self.steps_per_epoch)


@dataclass(frozen=True)
class Probe:
    """A quantity, or a family of them, that a run can record.

    `measure` is a generator that pauses where the weights move: before its one bare `yield` it sees gradients and old
    weights, after it the new weights; then it yields `{probe/quantity/layer: number or Histogram}`.
    `due(config, steps_per_epoch)` gives the steps at which it measures, `taps(config, blocks)` what it wants to see of
    a forward pass through so many blocks. Both halves run inside `undisturbed`, unless `runs_net(moment)` says that
    this time it only reads what the moment shows: saving the state of a small net costs as much as such a look.
    """

    name: str
    due: Callable[[RunConfig, int], frozenset[int]]
    measure: Callable[[Moment], Measurement]
    taps: Callable[[RunConfig, int], frozenset[Tap]] = lambda config, blocks: frozenset()
    runs_net: Callable[[Moment], bool] = lambda moment: True


@functools.lru_cache(maxsize=64)
def due_steps(cadence: str, total: int, steps_per_epoch: int) -> frozenset[int]:
    """The steps of a cadence in [0, total], where `total` is the state after the last update.

    That last state always belongs, except to a cadence that names no step at all.
    """
    steps = Cadence.parse(cadence).steps(total, steps_per_epoch)
    return steps | {total} if steps else steps


def to_floats(values: dict[str, Tensor]) -> dict[str, Value]:
    """Move scalar tensors to the host in one transfer; an infinity becomes NaN, the one sign for "not a value"."""
    if not values:
        return {}
    stacked = torch.stack(list(values.values())).double()
    finite = torch.where(stacked.isfinite(), stacked, torch.nan)
    return dict(zip(values, finite.tolist()))
