"""Runs whose processes torchrun has started, on one machine or many: one run at a time, all processes at it.

Every process was given the same command. Process 0 plans, trains and writes as ever; the others take part in what it
trains, and learn from it what that is.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Sequence

from bnlab.config import LauncherConfig
from bnlab.errors import BadInput
from bnlab.store import FINISHED
from bnlab.sweeping.local import Stop
from bnlab.sweeping.sweep import Watcher
from bnlab.sweeping.tasks import USUAL, Outcome, Patience, Task

STATE_SIGNALS = {"preempted": signal.SIGTERM, "interrupted": signal.SIGINT}


def is_process_0() -> bool:
    return os.environ["RANK"] == "0"


def processes_here() -> int:
    return int(os.environ["LOCAL_WORLD_SIZE"])


def take_part() -> int:
    """Be any process but 0; returns the exit code."""
    running, replicas = _joined()
    with replicas as together:
        running.take_part(together)
    return 0


class TorchrunSweep:
    """Takes tasks through one after the other. What a run raises ends the sweep: its processes are out of step then,
    and torchrun ends them."""

    def __init__(
        self,
        tasks: Sequence[Task],
        jobs: int,
        watcher: Watcher,
        stop: Stop,
        patience: Patience = USUAL,
        launcher: LauncherConfig | None = None,
    ) -> None:
        self._tasks, self._watcher, self._stop = tasks, watcher, stop
        self.outcomes: list[Outcome] = []
        self.fault: Outcome | None = None

    def run(self) -> list[Outcome]:
        """Errors: BadInput where torchrun started another number of processes than the runs have."""
        size = int(os.environ["WORLD_SIZE"])
        for task in self._tasks:
            if task.run.config.replicas != size:
                asked = f"replicas={task.run.config.replicas}"
                raise BadInput(f"{asked}: torchrun started {size} processes; write replicas={size}")
        running, replicas = _joined()
        with replicas as together:
            for task in self._tasks:
                self._watcher.started(task)
                state = running.run_one(
                    task.run.config, task.directory, task.run.overrides, rerun=task.rerun, replicas=together
                )
                self._end(Outcome(task, state))
                if state not in FINISHED:
                    break
            together.dismiss()
        return self.outcomes

    def _end(self, outcome: Outcome) -> None:
        if outcome.state == "busy":
            outcome = Outcome(outcome.task, "failed", "another process is at this run; try again when it is done", 1)
        if outcome.state in STATE_SIGNALS:
            self._stop.note(STATE_SIGNALS[outcome.state], None)
        self.outcomes.append(outcome)
        self._watcher.ended(outcome)


def _joined():
    """The write side, and this process's place among those of torchrun. torch is imported here, not before."""
    running = importlib.import_module("bnlab.running")
    distributed = importlib.import_module("bnlab.training.distributed")
    backend = distributed.backend_for("auto", processes_here(), int(os.environ["LOCAL_RANK"]))
    return running, distributed.joined(backend, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
