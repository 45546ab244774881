"""What an executor is given and what it gives back: the same for local processes and for any scheduler."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bnlab.config import to_dict
from bnlab.errors import BadInput
from bnlab.store import FINISHED
from bnlab.sweeping.plan import PlannedRun


@dataclass(frozen=True)
class Patience:
    """What a sweep puts up with: how often it tries a run that failed again, and how long it waits for progress.

    A run whose input is bad, whose data are damaged or whose disk refuses is never tried again.
    """

    retries: int = 1
    hang_minutes: float = 15.0

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise BadInput(f"--retries {self.retries}: at least 0")
        if not self.hang_minutes > 0:
            raise BadInput(f"--hang-minutes {self.hang_minutes}: must be above 0")


USUAL = Patience()


@dataclass(frozen=True)
class Task:
    """One run to be done in its directory."""

    run: PlannedRun
    directory: Path
    rerun: bool = False

    @property
    def label(self) -> str:
        """`ics_vgg bn lr=0.1 seed=3`: the run in the words of the command line."""
        overrides = " ".join(f"{key}={value}" for key, value in self.run.overrides.items())
        config = self.run.config
        return " ".join(word for word in (config.experiment, config.variant, overrides, f"seed={config.seed}") if word)

    def request(self) -> dict:
        """The run as plain data, for `bnlab.sweeping.remote.perform` in another process or on another machine."""
        return {
            "config": to_dict(self.run.config),
            "directory": os.path.abspath(self.directory),
            "overrides": self.run.overrides,
            "rerun": self.rerun,
        }


@dataclass(frozen=True)
class Outcome:
    """How a task ended: `state` is done, diverged, failed, preempted or interrupted.

    `error` is one line and `code` the exit code of the error, 1 where it was no error that a user can cause.
    """

    task: Task
    state: str
    error: str = ""
    code: int = 0

    @property
    def finished(self) -> bool:
        return self.state in FINISHED
