"""What every executor is, and which one a launcher stands for."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from bnlab.config import LauncherConfig
from bnlab.sweeping.retries import Retry
from bnlab.sweeping.tasks import Outcome, Patience, Task

if TYPE_CHECKING:
    from bnlab.sweeping.local import Stop

# launcher -> (module, class); a module is imported when its launcher is asked for.
EXECUTORS = {
    "local": ("local", "LocalSweep"),
    "ray": ("ray_cluster", "RaySweep"),
    "slurm": ("slurm", "SlurmSweep"),
    "torchrun": ("torchrun", "TorchrunSweep"),  # not chosen: it is what started this process
}


class Watcher(Protocol):
    """Who is told how a sweep goes."""

    def say(self, line: str) -> None:
        """A line about the sweep as a whole."""

    def started(self, task: Task) -> None: ...

    def retried(self, outcome: Outcome, retry: Retry) -> None:
        """A try failed and another one follows; `ended` hears only of the last."""

    def ended(self, outcome: Outcome) -> None: ...

    def look(self, running: list[Task], elsewhere: int) -> None:
        """Called several times a second; `elsewhere` counts runs that another process is at."""


class Sweep(Protocol):
    """Takes tasks to their outcomes. `fault` is one of the machine, which every further run would meet as well."""

    outcomes: list[Outcome]
    fault: Outcome | None

    def run(self) -> list[Outcome]:
        """Until every task ended, or a signal stopped the sweep; outcomes in the order in which runs ended."""


def started_by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def make_sweep(
    launcher: LauncherConfig, tasks: Sequence[Task], jobs: int, watcher: Watcher, stop: Stop, patience: Patience
) -> Sweep:
    """The executor of a launcher; `jobs` is how many runs are at work at a time."""
    module, name = EXECUTORS["torchrun" if started_by_torchrun() else launcher.name]
    executor = getattr(importlib.import_module(f"bnlab.sweeping.{module}"), name)
    return executor(list(tasks), jobs, watcher, stop, patience, launcher)
