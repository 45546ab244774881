"""The mirrors of runs that have ended: they send their last rows while the next runs are at work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bnlab.config import tracker_names
from bnlab.errors import fit_line
from bnlab.store import add_notes, owning
from bnlab.sweeping.tasks import Task

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BEFORE_A_WORD = 2.0


@dataclass(frozen=True)
class _Left:
    task: Task
    tracker: str
    since: float


class Mirrors:
    """One that failed costs its run a note in its status, and the sweep one line for all that failed alike."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._left: list[_Left] = []
        self._said: set[str] = set()
        self._looked = 0.0

    def add(self, task: Task) -> None:
        """A run whose process has ended."""
        now = time.monotonic()
        self._left += [_Left(task, name, now) for name in tracker_names(task.run.config.tracker)]

    def look(self) -> None:
        now = time.monotonic()
        if self._left and now - self._looked >= SECONDS_BETWEEN_LOOKS:
            self._looked = now
            self._left = [left for left in self._left if self._is_sending(left, now)]

    def wait(self, stopped: Callable[[], bool]) -> None:
        """Until all have ended, which each of them does in time, or the sweep is told to stop."""
        began = time.monotonic()
        told = False
        while self._left and not stopped():
            if not told and time.monotonic() - began > SECONDS_BEFORE_A_WORD:
                told = True
                self._say(self._what_for())
            time.sleep(0.1)
            self.look()

    def _is_sending(self, left: _Left, now: float) -> bool:
        from bnlab import trackers  # not before a run has one

        problem = trackers.what_became(left.tracker, left.task.directory, now - left.since)
        if problem:
            self._note(left.task, trackers.warning(left.tracker, problem, left.task.run.config.experiment))
        return problem is None

    def _note(self, task: Task, warning: str) -> None:
        with owning(task.directory) as mine:
            if mine:
                add_notes(task.directory, [warning])
        if warning not in self._said:
            self._said.add(warning)
            self._say(f"note     {warning}")

    def _what_for(self) -> str:
        from bnlab import trackers

        names = "+".join(sorted({left.tracker for left in self._left}))
        runs = len({left.task.directory for left in self._left})
        of = "the last run" if runs == 1 else f"the last {runs} runs"
        first = self._left[0]
        later = trackers.sync_command(first.tracker, first.task.run.config.experiment)
        within = f"waiting at most {trackers.PATIENCE:g} s"
        return fit_line(f"note     {within} for {names} to take the rows of {of}; Ctrl-C leaves them to `{later}`")
