"""Runs that do not get on: noticed by their step, then ended so that they first write down where they hang."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bnlab.store import read_status
from bnlab.sweeping.tasks import Patience, Task

SECONDS_BETWEEN_LOOKS = 1.0
# What a hanging process gets to write its stack down; a stopped one cannot, and is killed after that.
SECONDS_TO_WRITE = 5.0


@dataclass
class _Watched:
    """`place` is the attempt and the step that the run was last seen at, `since` when it was first seen there."""

    place: tuple[int, int]
    since: float
    began: bool = False
    aborted_at: float | None = None


class Hangs:
    """Watches the runs of a sweep, by number; `send(number, signal)` reaches the process of one.

    The time it takes to start and to load data counts as time without progress.
    """

    def __init__(self, patience: Patience, send: Callable[[int, signal.Signals], None]) -> None:
        self._minutes, self._send = patience.hang_minutes, send
        self._watched: dict[int, _Watched] = {}
        self._looked = time.monotonic()

    def began(self, number: int, task: Task) -> None:
        self._watched[number] = _Watched(_place(task), time.monotonic())

    def look(self, running: Mapping[int, Task]) -> None:
        """End the runs at work that stand still for too long."""
        now = time.monotonic()
        if now - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        for number, task in running.items():
            watched = self._watched[number]
            if watched.aborted_at is not None:
                if now - watched.aborted_at > SECONDS_TO_WRITE:
                    self._send(number, signal.SIGKILL)
            elif self._stands_still(watched, _place(task), now):
                watched.aborted_at = now
                self._send(number, signal.SIGABRT)

    def _stands_still(self, watched: _Watched, place: tuple[int, int], now: float) -> bool:
        if place != watched.place:
            watched.place, watched.since, watched.began = place, now, True
        return now - watched.since > 60 * self._minutes

    def ended(self, number: int, code: int) -> str:
        """Why the run was ended, where it was for standing still; `code` is how its process ended."""
        watched = self._watched.pop(number)
        if watched.aborted_at is None:
            return ""
        where = f"at step {watched.place[1]}" if watched.began else "before its first step"
        wrote = "where it hung is in its run.log" if code == -signal.SIGABRT else "it had to be killed"
        return f"no progress for {self._minutes:g} min {where}; {wrote}"


def _place(task: Task) -> tuple[int, int]:
    status = read_status(task.directory)
    return (status.attempts, status.step) if status else (0, 0)
