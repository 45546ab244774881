"""Measures what a tracker costs the run that it mirrors: the time of a step, and the wait at the run's end.

`benchmarks/README.md` says what each number means.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from workloads import WORKLOADS

from bnlab import data, trackers
from bnlab.config import RunConfig, to_dict
from bnlab.store import RunWriter, Status, create_run, write_status
from bnlab.training.loop import train
from bnlab.training.state import TrainingState

COLUMNS = ("start", "step", "end", "work", "own")
NAMES = ("none", "wandb", "tensorboard", "wandb+tensorboard")


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds of one run: until its mirrors were started, per step, and from its last row until they had ended.

    `work` is the processor time of the mirrors, which a busy machine does not change much, `own` that of the training.
    """

    start: float
    step: float
    end: float
    work: float
    own: float
    warnings: int


def mirrored_run(config: RunConfig, sets: data.ImageSets, folder: Path) -> Cost:
    """One run from its first step to the end of its mirrors, as `bnlab run` makes it."""
    run = folder / f"{config.variant}-s{config.seed}"
    create_run(run, config, run.name, {})
    write_status(run, Status("running", 0, config.steps))
    state, writer = TrainingState(config, sets, "cpu"), RunWriter(run)
    worked, trained_for = _children(), time.process_time()
    began = time.perf_counter()
    handles = trackers.start(config.tracker, run, to_dict(config))
    started = time.perf_counter()
    train(state, writer.record, lambda: False)
    trained = time.perf_counter()
    writer.finish()
    write_status(run, Status("done", config.steps, config.steps))
    written = time.perf_counter()
    warnings = trackers.finish(handles, "benchmark", 60)
    ended = time.perf_counter() - written
    step, work, own = (trained - started) / config.steps, _children() - worked, time.process_time() - trained_for
    return Cost(started - began, step, ended, work, own, len(warnings))


def _children() -> float:
    """Processor time of all children that have ended, and of theirs."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def measure(config: RunConfig, turns: int) -> dict[str, list[Cost]]:
    """The costs of every turn by tracker. In a turn each has one run; the order moves on by one from turn to turn."""
    sets = data.load(config.data)
    costs: dict[str, list[Cost]] = {name: [] for name in NAMES}
    with tempfile.TemporaryDirectory() as folder:
        mirrored_run(dataclasses.replace(config, steps=50), sets, Path(folder) / "warm-up")
        for turn in range(turns):
            for place in range(len(NAMES)):
                name = NAMES[(turn + place) % len(NAMES)]
                place_of_run = Path(folder) / f"{turn}-{name}"
                costs[name].append(mirrored_run(dataclasses.replace(config, tracker=name), sets, place_of_run))
    return costs


def ratios(costs: dict[str, list[Cost]], name: str) -> list[float]:
    """Time of a step in units of that without a tracker in the same turn."""
    return [own.step / bare.step for own, bare in zip(costs[name], costs["none"])]


def row(costs: dict[str, list[Cost]], name: str) -> str:
    of_bare = ratios(costs, name)
    middle = {field: statistics.median(getattr(cost, field) for cost in costs[name]) for field in COLUMNS}
    cells = [
        f"`{name}`",
        f"{middle['step'] * 1e3:.3f} ms",
        f"{statistics.median(of_bare):.3f}",
        f"{min(of_bare):.3f} to {max(of_bare):.3f}",
        f"{middle['start'] * 1e3:.1f} ms",
        f"{middle['end']:.2f} s",
        f"{middle['work']:.2f} s of {middle['own']:.2f} s",
        str(sum(cost.warnings for cost in costs[name])),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", nargs="?", default="mlp", choices=tuple(WORKLOADS))
    parser.add_argument("--turns", type=int, default=8, help="runs of each tracker")
    parser.add_argument("--steps", type=int, default=4000, help="steps of a run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    workload = WORKLOADS[arguments.workload]
    load = os.getloadavg()[0]
    config = dataclasses.replace(workload.config, experiment="benchmark", steps=arguments.steps)
    costs = measure(config, arguments.turns)
    print(f"{workload.name}, {arguments.steps} steps, {arguments.turns} turns; cores {os.cpu_count()}, ", end="")
    print(f"load {load:.1f} before and {os.getloadavg()[0]:.1f} after\n")
    print(
        "| tracker | step | of that without | least to most | start | end | processor time of the mirrors | warnings |"
    )
    print(f"|{'---|' * 8}")
    for name in NAMES:
        print(row(costs, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
