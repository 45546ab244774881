"""How far gamma and beta have come, and that the optimiser does not touch the running statistics.

Gamma and beta are ordinary parameters, with gradients sum g x_hat and sum g; running statistics are buffers, which
only the forward pass in training mode moves (Ioffe and Szegedy 2015, algorithm 2).
"""

from __future__ import annotations

from torch import Tensor

from bnlab.cadence import Cadence
from bnlab.config import RunConfig
from bnlab.models import Net
from bnlab.probes.probe import Measurement, Moment, Probe, to_floats


def measure(moment: Moment) -> Measurement:
    """Yields `affine/<quantity>/<layer>` for layers that have a gamma or beta, and `affine/statistics_moved`."""
    before = [values.clone() for values in _statistics(moment.model)]
    yield None
    numbers = _parameters(moment.model)
    moved = [(new - old).abs().max().double() for old, new in zip(before, _statistics(moment.model), strict=True)]
    if moved:
        numbers["affine/statistics_moved"] = max(moved)
    yield to_floats(numbers)


def _parameters(model: Net) -> dict[str, Tensor]:
    numbers: dict[str, Tensor] = {}
    for layer, block in enumerate(model.blocks, start=1):
        gamma, beta = (getattr(block.norm, name, None) for name in ("weight", "bias"))
        if gamma is not None:
            numbers[f"affine/gamma/{layer:02d}"] = gamma.detach().abs().mean()
            numbers[f"affine/gamma_change/{layer:02d}"] = (gamma.detach() - 1).abs().mean()
        if beta is not None:
            numbers[f"affine/beta/{layer:02d}"] = beta.detach().abs().mean()
    return numbers


def _statistics(model: Net) -> list[Tensor]:
    return [values for block in model.blocks if block.norm is not None for values in block.norm.buffers()]


def _due(config: RunConfig, steps_per_epoch: int) -> frozenset[int]:
    """Only steps that update the net: nothing moves after the last one."""
    return Cadence.parse(config.probe.affine.cadence).steps(config.steps, steps_per_epoch)


AFFINE = Probe("affine", _due, measure, runs_net=lambda moment: False)
