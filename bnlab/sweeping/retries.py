"""Which failed runs are tried again, and how often: the same for every executor."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bnlab.errors import BAD_INPUT, ENVIRONMENT, INTEGRITY
from bnlab.store import finished
from bnlab.sweeping.tasks import Outcome, Patience, Task

# The same input, data and disk would be met again.
FAILS_AGAIN = (BAD_INPUT, INTEGRITY, ENVIRONMENT)


@dataclass(frozen=True)
class Retry:
    """The task to take up again; `number` counts from 1 up to the limit."""

    task: Task
    number: int
    limit: int

    def __str__(self) -> str:
        return f"tried again ({self.number} of {self.limit})"


def may_help(outcome: Outcome) -> bool:
    """Whether another try may end otherwise: after a death, a hang or an unexpected exception."""
    return outcome.state == "failed" and outcome.code not in FAILS_AGAIN


def taken_up(task: Task) -> Task:
    """The task as the next attempt takes it: from the checkpoint of the last, even where that one was to start over.

    An attempt that died before it had cleared the finished run leaves that run, which is then still to be cleared.
    """
    return dataclasses.replace(task, rerun=task.rerun and finished(task.directory))


class Retries:
    """How often each run of a sweep was tried again so far."""

    def __init__(self, patience: Patience) -> None:
        self._limit = patience.retries
        self._made: Counter[Path] = Counter()

    def grant(self, outcome: Outcome) -> Retry | None:
        """The next try after this outcome, which counts as made; None where the outcome stands."""
        directory = outcome.task.directory
        if not may_help(outcome) or self._made[directory] >= self._limit:
            return None
        self._made[directory] += 1
        return Retry(taken_up(outcome.task), self._made[directory], self._limit)
