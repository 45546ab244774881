"""What runs will cost in time and on the disk: as finished ones of their setting did, else as their plan tells."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnlab.cadence import Cadence
from bnlab.commands.checks import images_to_train_on
from bnlab.config import DataConfig, ModelConfig, ProbeConfig, RunConfig, hidden_layers
from bnlab.store import Status
from bnlab.sweeping.estimate import kind_of

# Bytes of a finished run, as lines and as columns together: fitted to runs of two experiments, which agree to 8 %.
BYTES_PER_NUMBER, BYTES_PER_HISTOGRAM, BYTES_PER_DIGEST, OTHER_BYTES = 43, 310, 50, 6000
# What a procedure yields with a row, about; none is told by its plan.
NUMBERS_PER_ROW = 40
# The files of so many finished runs are looked at, evenly over all of them.
MOST_MEASURED = 50

# Per record and layer: septile boundaries of outputs and of maxima, moments of the maxima, what the inputs are like.
ACTIVATION_NUMBERS = 8 + 8 + 3 + 5
UNIT_PERCENTILES = 3
FRACTIONS = {"sigmoid": 2, "tanh": 1, "relu": 2, "linear": 0}
ACTIVATION_HISTOGRAMS = 3
MOST_RUNGS = 11  # of a ladder of ten modes
# Per record of the landscape: at the start; per line, and per line and factor.
START_NUMBERS, LINE_NUMBERS, POINT_NUMBERS = 2, 6, 3


@dataclass(frozen=True)
class FinishedRun:
    config: RunConfig
    status: Status
    directory: Path


def seconds_ahead(ahead: Iterable[tuple[RunConfig, int]], finished: Sequence[FinishedRun]) -> float | None:
    """Seconds of training for so many steps of each run, one run after another; None where none is finished.

    A run costs per step what finished ones of its kind took, one of a kind that never ran the mean of all.
    """
    spent: dict[tuple, list[float]] = defaultdict(lambda: [0.0, 0])
    for run in finished:
        for kind in (kind_of(run.config), ()):
            spent[kind][0] += run.status.seconds
            spent[kind][1] += run.status.step
    cost = {kind: seconds / steps for kind, (seconds, steps) in spent.items() if seconds and steps}
    if not cost:
        return None
    return sum(steps * cost.get(kind_of(config), cost[()]) for config, steps in ahead)


def bytes_ahead(configs: Iterable[RunConfig], finished: Sequence[FinishedRun]) -> float:
    """Bytes that the runs take once they are finished.

    It is what their plans let expect, times what finished runs took of what their own plans let expect.
    """
    sample = finished[:: max(1, -(-len(finished) // MOST_MEASURED))]
    taken = sum(_size(run.directory) for run in sample)
    expected = sum(planned_bytes(run.config) for run in sample)
    return sum(planned_bytes(config) for config in configs) * (taken / expected if sample else 1.0)


def planned_bytes(config: RunConfig) -> int:
    numbers, histograms = planned_records(config)
    measured = BYTES_PER_NUMBER * numbers + BYTES_PER_HISTOGRAM * histograms
    return OTHER_BYTES + measured + BYTES_PER_DIGEST * planned_digests(config)


def planned_digests(config: RunConfig) -> int:
    """How many sums of tensors a run keeps for `bnlab verify`, about: the optimiser's count once it has begun."""
    if config.procedure != "train":
        return 0
    norms = 0 if config.norm.name == "none" else 4
    blocks = hidden_layers(config.model)
    parameters = blocks * (3 if norms else 2) + 2
    moving = int(config.optim.momentum > 0)
    kept = {"adam": 3, "rmsprop": 2 + moving, "sgd": moving}[config.optim.name]
    ladder = _ladder(config.checkpoint, config.steps, config.data, config.batch_size)
    return ladder * (blocks * (1 + norms) + 2 + parameters * kept)


@functools.lru_cache(maxsize=1024)
def _ladder(checkpoint: str, steps: int, data: DataConfig, batch_size: int) -> int:
    return 1 + len(Cadence.parse(f"log100+{checkpoint}").steps(steps, images_to_train_on(data) // batch_size))


def planned_records(config: RunConfig) -> tuple[int, int]:
    """How many numbers and how many histograms a run records, unless it diverges."""
    if config.procedure != "train":
        return NUMBERS_PER_ROW * config.steps, 0
    noisy = config.norm.name == "noisy_batch"
    numbers, histograms = _records(
        config.probe, config.model, config.data, config.batch_size, config.steps, noisy, config.loss == "cross_entropy"
    )
    return numbers + _affine_numbers(config), histograms


def _affine_numbers(config: RunConfig) -> int:
    """Two of gamma and one of beta for each layer, and one of the running statistics of all."""
    norm = config.norm
    if "affine" not in config.probe.names or norm.name in ("none", "noise"):
        return 0
    steps = Cadence.parse(config.probe.affine.cadence).steps(
        config.steps, images_to_train_on(config.data) // config.batch_size
    )
    each = hidden_layers(config.model) * (2 * norm.scale + norm.center) + norm.uses_batch_statistics
    return each * len(steps)


@functools.lru_cache(maxsize=1024)
def _records(
    probe: ProbeConfig, model: ModelConfig, data: DataConfig, batch_size: int, steps: int, noisy: bool, classes: bool
) -> tuple[int, int]:
    def due(cadence: str) -> int:
        """Records of a cadence: the state after the last step is one more, except where there is none at all."""
        named = Cadence.parse(cadence).steps(steps, images_to_train_on(data) // batch_size)
        return len(named) + bool(named)

    numbers = histograms = 0
    if "curves" in probe.names:
        per_record = (6 if noisy else 4) if classes else 2
        numbers += (1 + classes) * due(probe.curves.cadence) + per_record * due(probe.curves.full)
    if "modes" in probe.names and not classes:
        numbers += due(probe.modes.cadence) + MOST_RUNGS
    if "activations" in probe.names:
        layers = len(probe.activations.layers) or hidden_layers(model)
        groups = layers + probe.activations.pooled
        per_record = groups * (ACTIVATION_NUMBERS + FRACTIONS[model.activation])
        per_record += layers * UNIT_PERCENTILES * probe.activations.unit_percentiles
        numbers += per_record * due(probe.activations.cadence)
        per_record = groups * ACTIVATION_HISTOGRAMS + layers * probe.activations.unit
        histograms += per_record * due(probe.activations.histograms)
    if "moments" in probe.names:
        layers = len(probe.moments.layers) or hidden_layers(model)
        records = len(Cadence.parse(probe.moments.cadence).steps(steps + 1, images_to_train_on(data) // batch_size))
        numbers += layers * (6 * records - 2 * bool(records))  # the first has no change since the one before
    if "ics" in probe.names:
        records = len(Cadence.parse(probe.ics.cadence).steps(steps, images_to_train_on(data) // batch_size))
        numbers += 3 * (len(probe.ics.layers) or hidden_layers(model)) * records
    if "landscape" in probe.names:
        line = LINE_NUMBERS + POINT_NUMBERS * len(probe.landscape.factors)
        lines = 1 + probe.landscape.random_direction
        numbers += (START_NUMBERS + lines * line) * due(probe.landscape.cadence)
    return numbers, histograms


def _size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.iterdir())


def bytes_text(count: float) -> str:
    """`about 40 kB`, `about 1.2 MB`, `about 3.4 GB`."""
    unit = next((name, size) for name, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if count >= size or size == 1e3)
    return f"about {max(count / unit[1], 1):.{2 if count < 100 * unit[1] else 3}g} {unit[0]}"
