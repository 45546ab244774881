"""Mean and variance of what goes into each activation, and how far they jump between records.

The jumps are the moment stability of Santurkar et al. 2018, fig. 8: mean over units of |mu_t - mu_prev| and of
|var_t - var_prev|, where prev is the record before and each record is taken on its own training batch.
"""

from __future__ import annotations

from torch import Tensor

from bnlab.cadence import Cadence
from bnlab.config import RunConfig
from bnlab.probes.bands import unit_moments
from bnlab.probes.probe import Measurement, Moment, Probe, Tap, to_floats
from bnlab.probes.taps import chosen_layers

UNIT = 0  # the one unit whose own moments are recorded


def measure(moment: Moment) -> Measurement:
    """Yields `moments/<quantity>/<layer>`; the first record of a run has no changes."""
    numbers: dict[str, Tensor] = {}
    for layer in _layers(moment.config, len(moment.model.blocks)):
        name = f"{layer:02d}"
        for quantity, values in zip(("mean", "var"), unit_moments(moment.tapped[layer, "normed"])):
            key = f"{quantity}/{name}"
            numbers[f"moments/{key}"] = values.mean()
            numbers[f"moments/unit_{key}"] = values[UNIT]
            if key in moment.memory:
                before = moment.memory[key].to(values.device)
                numbers[f"moments/{quantity}_change/{name}"] = (values - before).abs().mean()
            moment.memory[key] = values
    yield None
    yield to_floats(numbers)


def _due(config: RunConfig, steps_per_epoch: int) -> frozenset[int]:
    """Only the steps of the cadence: a record at an odd distance from the one before would be another quantity."""
    return Cadence.parse(config.probe.moments.cadence).steps(config.steps + 1, steps_per_epoch)


def _layers(config: RunConfig, blocks: int) -> tuple[int, ...]:
    return chosen_layers(config.probe.moments.layers, blocks, "probe.moments.layers")


def _taps(config: RunConfig, blocks: int) -> frozenset[Tap]:
    return frozenset((layer, "normed") for layer in _layers(config, blocks))


MOMENTS = Probe("moments", _due, measure, _taps, runs_net=lambda moment: False)
