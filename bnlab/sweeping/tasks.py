"""What an executor is given and what it gives back: the same for local processes and for any scheduler."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bnlab.store import FINISHED
from bnlab.sweeping.plan import PlannedRun


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
