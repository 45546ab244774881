"""One run as a job: what submitit pickles, and what the job does when it is told to stop.

SLURM stops a job in two ways. SIGTERM comes with `scancel`, `scontrol requeue` and pre-emption: the run saves its state
and ends, and whether the job goes back into the queue is SLURM's to know. Shortly before the time limit comes SIGUSR2
(`SUBMITIT_PREEMPT_SIGNAL` names another): the run saves, and then the job asks to be put back. submitit's own handler
does that, but at once, in the middle of a step, so it is called only when `run_one` has returned.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bnlab.store import Status, read_status
from bnlab.sweeping.remote import perform

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

# A job that was cancelled a moment ago may still be at its last step: KillWait is 30 s unless a cluster changed it.
SECONDS_FOR_PREDECESSOR = 40.0


@dataclass(frozen=True)
class RunJob:
    """A run to be made by a job. `attempts` were made of it before: a job that is put back must not start over."""

    request: dict
    attempts: int

    def __call__(self) -> dict:
        """What `perform` says of the run; a job that goes back into the queue ends without a word."""
        faulthandler.enable()
        before = read_status(Path(self.request["directory"]))
        fresh = before is not None and before.attempts == self.attempts
        put_back = _postpone_requeue()
        said = _when_free({**self.request, "rerun": self.request["rerun"] and fresh})
        if said["state"] == "preempted" and moved_on(before, read_status(Path(self.request["directory"]))):
            put_back()
        return said

    def checkpoint(self) -> DelayedSubmission:
        """What submitit starts in the job that was put back: the same, for the directory knows how far the run is."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def moved_on(before: Status | None, after: Status | None) -> bool:
    """Whether a run that saved its state did so at another step than the last one, so that going on leads somewhere."""
    return after is not None and after.state == "preempted" and after.step != (before.step if before else 0)


def _postpone_requeue() -> Callable[[], None]:
    """Let either signal stop the run; returns what puts the job back if it was the one before the time limit."""
    from submitit import JobEnvironment

    number = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
    requeue = signal.getsignal(number)
    came = []

    def stop(number: int, frame: object) -> None:
        came.append(number)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(number, stop)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until the run listens there is nothing to save
    return lambda: requeue(number, None) if came else None


def _when_free(request: dict) -> dict:
    deadline = time.monotonic() + SECONDS_FOR_PREDECESSOR
    while (said := perform(request))["state"] == "busy" and time.monotonic() < deadline:
        time.sleep(1.0)
    return said
