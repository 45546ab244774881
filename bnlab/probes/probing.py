"""The probes of one run: when they are due, what they see, what they remember."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bnlab.config import RunConfig
from bnlab.probes.probe import Measurement, Moment, Probe, Tap
from bnlab.probes.taps import tapping
from bnlab.probes.undisturbed import undisturbed
from bnlab.store import Histogram, Value, quantise

if TYPE_CHECKING:
    from bnlab.models import Net


@dataclass(frozen=True)
class _Running:
    measurement: Measurement
    runs_net: bool


class Probing:
    """Drives the probes of a run through its steps.

    The loop does its forward pass inside `listening(step)`, calls `before` with that pass and its gradients, updates
    the weights, and takes what was measured from `after`. `generators` are the run's random streams. Each half of a
    probe that runs the net is inside an `undisturbed` of its own, so that it disturbs neither the training nor another
    probe.
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        config: RunConfig,
        model: Net,
        steps_per_epoch: int,
        generators: Iterable[torch.Generator] = (),
    ) -> None:
        """Errors: BadInput where the configuration wants to see a layer that the net does not have."""
        self._model = model
        self._generators = tuple(generators)
        self._due: dict[int, tuple[Probe, ...]] = {}
        for probe in probes:
            for step in probe.due(config, steps_per_epoch):
                self._due[step] = (*self._due.get(step, ()), probe)
        self._taps = {probe.name: probe.taps(config, len(model.blocks)) for probe in probes}
        self._memory: dict[str, dict[str, Tensor]] = {probe.name: {} for probe in probes}
        self._running: list[_Running] = []

    def due(self, step: int) -> tuple[Probe, ...]:
        """The probes that measure at `step`; the state after the last update is at `config.steps`."""
        return self._due.get(step, ())

    def listening(self, step: int) -> AbstractContextManager[dict[Tap, Tensor]]:
        """Collect, during the forward pass inside, what the probes due at `step` want to see."""
        due = self.due(step)
        if not due:
            return contextlib.nullcontext({})
        return tapping(self._model, frozenset[Tap]().union(*(self._taps[probe.name] for probe in due)))

    def before(self, moment: Moment) -> None:
        """The half of every due probe that comes before the update."""
        for probe in self.due(moment.step):
            shown = dataclasses.replace(moment, memory=self._memory[probe.name])
            running = _Running(probe.measure(shown), probe.runs_net(shown))
            self._running.append(running)
            with self._guard(running):
                next(running.measurement)

    def after(self) -> dict[str, Value]:
        """The half that comes after it: what was measured, rounded to what is stored; empty when nothing was due."""
        running, self._running = self._running, []
        values: dict[str, Value] = {}
        for each in running:
            with self._guard(each):
                values |= next(each.measurement) or {}
                each.measurement.close()
        return {name: v if isinstance(v, Histogram) else quantise(v) for name, v in values.items()}

    def _guard(self, running: _Running) -> contextlib.AbstractContextManager[None]:
        return undisturbed(self._model, self._generators) if running.runs_net else contextlib.nullcontext()

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """What the probes remember, as plain tensors: {probe: {key: tensor}}."""
        return {name: dict(memory) for name, memory in self._memory.items()}

    def load_state_dict(self, state: dict[str, dict[str, Tensor]]) -> None:
        for name, memory in self._memory.items():
            memory.clear()
            memory.update(state.get(name, {}))
