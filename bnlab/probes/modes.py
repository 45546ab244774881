"""How many modes of a linear map a net has learned, read off its loss.

Targets Y = X A' of a linear map can be fitted at best up to half the sum of the squares of the singular values of Y
beyond the r-th by a map of rank r (Eckart and Young 1936; X has full column rank). A deep linear net under gradient
descent learns the map mode by mode, so these residuals are the plateaus of its loss: the ladder of that draw of A.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bnlab.config import RunConfig
from bnlab.losses import LOSSES
from bnlab.probes.probe import Measurement, Moment, Probe, due_steps, to_floats


def measure(moment: Moment) -> Measurement:
    """Yields `modes/learned`, and at step 0 the ladder: `modes/residual/<rank>`."""
    if "ladder" not in moment.memory:
        moment.memory["ladder"] = ladder(moment.data.train.labels)
    rungs = moment.memory["ladder"]
    numbers = {"modes/learned": learned(moment.loss.double(), rungs)}
    if moment.step == 0:
        numbers |= {f"modes/residual/{rank:02d}": rung for rank, rung in enumerate(rungs)}
    yield None
    yield to_floats(numbers)


def ladder(targets: Tensor) -> Tensor:
    """Half the sum of squares that the best map of rank r leaves of targets (N, units), for r = 0 to units; float64."""
    squares = torch.linalg.svdvals(targets.double()).square() / 2
    return torch.cat([squares.flip(0).cumsum(0).flip(0), squares.new_zeros(1)])


def learned(loss: Tensor, rungs: Tensor) -> Tensor:
    """The largest r whose mode is more than half learned: the loss lies below the middle of rungs r - 1 and r.

    NaN where the loss is not finite.
    """
    middles = (rungs[:-1] + rungs[1:]) / 2
    return (loss < middles).sum().double() + 0 * loss


def _due(config: RunConfig, steps_per_epoch: int) -> frozenset[int]:
    """Never where the targets are classes."""
    if LOSSES[config.loss].classifies:
        return frozenset()
    return due_steps(config.probe.modes.cadence, config.steps, steps_per_epoch)


MODES = Probe("modes", _due, measure, runs_net=lambda moment: False)
