"""What a sweep shows while it runs: a bar on a terminal, plain lines elsewhere, failures always at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from bnlab.errors import fit_line
from bnlab.sweeping.estimate import Estimate, spell
from bnlab.sweeping.notes import Notes
from bnlab.sweeping.retries import Retry
from bnlab.sweeping.tasks import Outcome, Task

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_LINES = 60.0


class Lines:
    """For logs: a line when a run starts and when it ends, and one a minute when nothing else was said."""

    def __init__(self, tasks: Sequence[Task], jobs: int) -> None:
        self.total = len(tasks)
        self.done = self.failed = self.running = self.elsewhere = 0
        self.estimate = Estimate(tasks, jobs)
        self.notes = Notes()
        self._looked = self._said = time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to put away."""

    def started(self, task: Task) -> None:
        self.estimate.begin(task)
        self.notes.begin(task)
        self.running += 1
        self.say_start(task)

    def retried(self, outcome: Outcome, retry: Retry) -> None:
        self.estimate.give_up(outcome.task)
        self.say(failure_line(outcome, f"; {retry}"))

    def ended(self, outcome: Outcome) -> None:
        self.say_notes(outcome.task)
        if not outcome.finished:
            self.estimate.forget(outcome.task)
            if outcome.state == "failed":
                self.failed += 1
                self.say(failure_line(outcome))
            return
        self.done += 1
        self.say_end(outcome, self.estimate.end(outcome.task))

    def look(self, running: list[Task], elsewhere: int) -> None:
        self.running, self.elsewhere = len(running), elsewhere
        if time.monotonic() - self._looked >= SECONDS_BETWEEN_LOOKS:
            self._looked = time.monotonic()
            self.estimate.look(running)
            for task in running:
                self.say_notes(task)
            self.show()

    def counts(self) -> str:
        parts = [f"{self.done} done", f"{self.running} running", f"{self.failed} failed"]
        if self.elsewhere:
            parts.append(f"{self.elsewhere} at another process")
        return ", ".join(parts)

    def left(self) -> str:
        seconds = self.estimate.seconds_left() if self.done + self.failed < self.total else None
        return "" if seconds is None else f"about {spell(seconds)} left"

    def say(self, line: str) -> None:
        self._said = time.monotonic()
        print(line, file=sys.stderr, flush=True)

    def say_notes(self, task: Task) -> None:
        for note in self.notes.new(task):
            self.say(fit_line(f"note     {task.label}: {note}"))

    def say_start(self, task: Task) -> None:
        self.say(f"started  {task.label}")

    def say_end(self, outcome: Outcome, seconds: float) -> None:
        took = f" in {spell(seconds)}" if seconds else ", by another process"
        count = f"[{self.done + self.failed}/{self.total}]"
        self.say(f"{outcome.state:<8} {outcome.task.label}{took} {count} {self.left()}".rstrip())

    def show(self) -> None:
        if time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self.say(f"[{self.done + self.failed}/{self.total}] {self.counts()} {self.left()}".rstrip())


class Bar(Lines):
    """For a terminal: one bar over all runs; those at work count by the part of their steps that are done."""

    def __enter__(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            BarColumn(),
            TextColumn("{task.fields[counts]} of " + str(self.total), markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=Console(stderr=True),
        )
        self._row = self._bar.add_task("", total=self.total, counts=self.counts(), left="")
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.running = 0
        self.show()
        self._bar.stop()

    def say(self, line: str) -> None:
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def say_start(self, task: Task) -> None:
        """The bar counts the runs at work."""

    def say_end(self, outcome: Outcome, seconds: float) -> None:
        self.show()

    def show(self) -> None:
        completed = self.done + self.failed + self.estimate.parts()
        self._bar.update(self._row, completed=completed, counts=self.counts(), left=self.left())


def watch(tasks: Sequence[Task], jobs: int) -> Lines:
    """The display that fits where stderr goes."""
    return (Bar if sys.stderr.isatty() else Lines)(tasks, jobs)


def failure_line(outcome: Outcome, follows: str = "") -> str:
    return fit_line(f"FAILED   {outcome.task.label}: {outcome.error}{follows}")
