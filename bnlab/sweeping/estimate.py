"""How far a sweep is and how long it still takes, from what a step of each kind of run has cost so far."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bnlab.config import RunConfig
from bnlab.store import read_status
from bnlab.sweeping.tasks import Task


@dataclass
class Attempt:
    """A run at work: where and when it began, and the step it was last seen at."""

    task: Task
    first_step: int
    began: float
    step: int

    @property
    def made(self) -> int:
        return max(self.step - self.first_step, 0)


class Estimate:
    """Runs of one kind cost the same per step; a kind that never ran costs the mean of the others.

    `jobs` is 0 where a scheduler decides how many runs are at work at a time: then as many as now.
    """

    def __init__(self, tasks: Sequence[Task], jobs: int) -> None:
        self._left = {task.directory: task.run.config for task in tasks}
        self._steps_left: dict[tuple, int] = defaultdict(int)  # of each kind, without what attempts have made of them
        for config in self._left.values():
            self._steps_left[kind_of(config)] += config.steps
        self._jobs = jobs
        self._attempts: dict[Path, Attempt] = {}
        self._spent: dict[tuple, tuple[float, int]] = defaultdict(lambda: (0.0, 0))  # kind: (seconds, steps)

    def begin(self, task: Task) -> None:
        status = read_status(task.directory)
        step = status.step if status and not task.rerun else 0
        self._attempts[task.directory] = Attempt(task, step, time.monotonic(), step)

    def end(self, task: Task) -> float:
        """Seconds that the attempt took; 0 when it was made by another process."""
        self._drop(task)
        attempt = self._attempts.pop(task.directory, None)
        if attempt is None:
            return 0.0
        seconds = time.monotonic() - attempt.began
        attempt.step = task.run.config.steps
        self._spend(self._spent, attempt, seconds)
        return seconds

    def give_up(self, task: Task) -> None:
        """An attempt that failed tells nothing of the cost of the others; the run itself is still to be made."""
        self._attempts.pop(task.directory, None)

    def forget(self, task: Task) -> None:
        """A run that failed for good is not waited for."""
        self._drop(task)
        self.give_up(task)

    def look(self, running: Sequence[Task]) -> None:
        for task in running:
            status = read_status(task.directory)
            if status and task.directory in self._attempts:
                self._attempts[task.directory].step = status.step

    def parts(self) -> float:
        """The runs at work, each counted by the part of its steps that are done."""
        return sum(min(a.step / a.task.run.config.steps, 1.0) for a in self._attempts.values())

    def seconds_left(self) -> float | None:
        """None while nothing is known."""
        spent = self._spent.copy()
        now = time.monotonic()
        for attempt in self._attempts.values():
            self._spend(spent, attempt, now - attempt.began)
        steps = sum(steps for _, steps in spent.values())
        if not steps:
            return None
        usual = sum(seconds for seconds, _ in spent.values()) / steps
        cost = {kind: seconds / made if made else usual for kind, (seconds, made) in spent.items()}
        total = sum(cost.get(kind, usual) * steps for kind, steps in self._ahead().items())
        return total / max(1, min(self._jobs or len(self._attempts), len(self._left)))

    def _ahead(self) -> dict[tuple, int]:
        """Steps still to be made of each kind: sums that are kept, since this is asked whenever a run ends."""
        ahead = dict(self._steps_left)
        for directory, attempt in self._attempts.items():
            if directory in self._left:
                config = attempt.task.run.config
                ahead[kind_of(config)] -= min(attempt.step, config.steps)
        return ahead

    def _drop(self, task: Task) -> None:
        config = self._left.pop(task.directory, None)
        if config is not None:
            self._steps_left[kind_of(config)] -= config.steps

    @staticmethod
    def _spend(spent: dict, attempt: Attempt, seconds: float) -> None:
        if attempt.made > 0:
            before = spent[kind_of(attempt.task.run.config)]
            spent[kind_of(attempt.task.run.config)] = (before[0] + seconds, before[1] + attempt.made)


def kind_of(config: RunConfig) -> tuple:
    """What a step's cost depends on."""
    return config.model.name, config.model.width, config.norm.name, config.batch_size, config.data.name


def spell(seconds: float) -> str:
    """`4.2 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
