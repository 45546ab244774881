"""What does not get on: runs are noticed by their step, the process that starts them by owing an answer."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bnlab.store import read_status
from bnlab.sweeping.client import ForkServer
from bnlab.sweeping.tasks import Patience, Task

SECONDS_BETWEEN_LOOKS = 1.0
# What a hanging process gets to write its stack down; a stopped one cannot, and is killed after that.
SECONDS_TO_WRITE = 5.0
# A fork server answers in milliseconds; until it can, it loads libraries, which from a slow disk takes a while.
SECONDS_BEFORE_A_WORD = 60.0
SECONDS_TO_START = 300.0


@dataclass
class _Watched:
    """`place` is the attempt and the step that the run was last seen at, `since` when it was first seen there."""

    place: tuple[int, int]
    since: float
    began: bool = False
    aborted_at: float | None = None


class Hangs:
    """Watches the runs of a sweep, by number; `send(number, signal)` reaches the process of one.

    A run that hangs is told to write down where it does, and then killed.

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


class Silence:
    """Watches the fork server: while it is silent no run begins, and none is heard to have ended."""

    def __init__(self, patience: Patience, say: Callable[[str], None]) -> None:
        self._minutes, self._say = patience.hang_minutes, say
        self._noted: ForkServer | None = None

    def look(self, server: ForkServer) -> None:
        """Say once that it owes an answer; one that owes it for too long counts as dead."""
        seconds = server.silence()
        limit = 60 * self._minutes if server.ready else max(60 * self._minutes, SECONDS_TO_START)
        who = f"the process that starts runs (pid {server.pid})"
        if seconds > limit:
            server.dead = True
            self._say(f"note     {who} gave no answer for {limit / 60:g} min; another takes its place")
        elif seconds > SECONDS_BEFORE_A_WORD and self._noted is not server:
            self._noted = server
            ends = f"it is replaced after {limit / 60:g} min"
            self._say(f"note     {who} gives no answer; if it was stopped, `kill -CONT {server.pid}`; {ends}")


def _place(task: Task) -> tuple[int, int]:
    status = read_status(task.directory)
    return (status.attempts, status.step) if status else (0, 0)
