"""What a Ray worker does for one run: a local sweep of that run alone, so that a process of its own trains it.

The worker takes its orders from Ray and its run from a local fork server, which outlives both of them for as long as
the run needs to save its state: a node that is taken away, a worker that is killed and a sweep that vanishes leave a
checkpoint behind.
"""

from __future__ import annotations

import platform
import signal
import sys
from pathlib import Path

from bnlab.config import from_dict
from bnlab.errors import BnlabError
from bnlab.sweeping.local import LocalSweep, Stop, listening
from bnlab.sweeping.plan import PlannedRun
from bnlab.sweeping.retries import Retry
from bnlab.sweeping.tasks import Outcome, Patience, Task

BUSY = "busy"


class Alone:
    """Watches the sweep of one run; gives it back, for the slot to be of use, when another process is at it."""

    def __init__(self, stop: Stop) -> None:
        self.busy = False
        self._stop = stop

    def say(self, line: str) -> None:
        """Ray passes on what its workers print."""
        print(line, file=sys.stderr, flush=True)

    def started(self, task: Task) -> None:
        """Its directory tells."""

    def retried(self, outcome: Outcome, retry: Retry) -> None:
        """The sweep that sent the run decides about further tries."""

    def ended(self, outcome: Outcome) -> None:
        """Its directory tells."""

    def look(self, running: list[Task], elsewhere: int) -> None:
        if elsewhere:
            self.busy = True
            self._stop.note(signal.SIGTERM, None)


def perform(request: dict, hang_minutes: float) -> dict:
    """Make the run of `Task.request()`: how it ended as `{"state", "error", "code", "node"}`.

    `preempted` is a run that was told to stop and saved its state, `busy` one that another process is at.
    """
    outcome = {"error": "", "code": 0, "node": platform.node()}
    try:
        return outcome | _perform(_task(request), Patience(0, hang_minutes))
    except BnlabError as error:
        return outcome | {"state": "failed", "error": str(error), "code": error.code}


def _task(request: dict) -> Task:
    directory = Path(request["directory"])
    run = PlannedRun(from_dict(request["config"]), directory.name, request["overrides"])
    return Task(run, directory, request["rerun"])


def _perform(task: Task, patience: Patience) -> dict:
    with listening() as stop:
        # Ray cancels a task by SIGINT; whoever asked, the run has the time to save that SIGTERM gives it.
        signal.signal(signal.SIGINT, lambda number, frame: stop.note(signal.SIGTERM, frame))
        alone = Alone(stop)
        outcomes = LocalSweep([task], 1, alone, stop, patience).run()
    if not outcomes:
        return {"state": BUSY if alone.busy else "preempted"}
    return {"state": outcomes[0].state, "error": outcomes[0].error, "code": outcomes[0].code}
