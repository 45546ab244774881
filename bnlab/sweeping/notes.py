"""What runs note of their own accord: where they went on, a damaged checkpoint, another torch or machine."""

from __future__ import annotations

from pathlib import Path

from bnlab.store import read_status
from bnlab.sweeping.tasks import Task

OF_ALL = "tracker "  # how a note begins that is the same for all runs of a sweep


class Notes:
    """Gives each note of a run once, and none that was there before the attempt began.

    What is wrong with a tracker is wrong for every run: it is given for the first one.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[str, ...]] = {}
        self._given: set[str] = set()

    def begin(self, task: Task) -> None:
        self._known[task.directory] = _notes(task)

    def new(self, task: Task) -> list[str]:
        """Empty for a run that another process began."""
        if task.directory not in self._known:
            return []
        new = [note for note in _notes(task) if note not in self._known[task.directory]]
        self._known[task.directory] += tuple(new)
        new = [note for note in new if note not in self._given]
        self._given |= {note for note in new if note.startswith(OF_ALL)}
        return new


def _notes(task: Task) -> tuple[str, ...]:
    status = read_status(task.directory)
    return status.notes if status else ()
