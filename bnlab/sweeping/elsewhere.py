"""The runs that another process is at: asked about now and then, and taken back when it finished or left them."""

from __future__ import annotations

import time

from bnlab.store import FINISHED, is_owned, read_status
from bnlab.sweeping.tasks import Outcome, Task

SECONDS_BETWEEN_ASKING = 1.0


class Elsewhere:
    """The lock that says who is at a run reaches other machines where the file system passes locks on (NFS does)."""

    def __init__(self) -> None:
        self._tasks: list[Task] = []
        self._asked_at = 0.0

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, task: Task) -> None:
        self._tasks.append(task)

    def ask(self) -> tuple[list[Outcome], list[Task]]:
        """The runs that were finished, and those that are free again; none of either until it is time to ask."""
        finished: list[Outcome] = []
        free: list[Task] = []
        if time.monotonic() - self._asked_at < SECONDS_BETWEEN_ASKING:
            return finished, free
        self._asked_at = time.monotonic()
        kept: list[Task] = []
        for task in self._tasks:
            if is_owned(task.directory):
                kept.append(task)
            elif (status := read_status(task.directory)) is not None and status.state in FINISHED:
                finished.append(Outcome(task, status.state))
            else:
                free.append(task)
        self._tasks = kept
        return finished, free
