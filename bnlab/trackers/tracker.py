"""What a tracker is: a way to open a sink, which then takes the rows that a run has written to its own files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Watched:
    """The run a sink is opened for.

    `config` is the nested form of its `RunConfig`; `folder` is the tracker's own, inside the run's directory; `key` is
    the same in every attempt at the run, so that a service can join the attempts.
    """

    directory: Path
    folder: Path
    config: dict
    key: str


@dataclass(frozen=True)
class Verdicts:
    """What the runs of a setting amount to: the rows of its claims.json and its figures as PNG, by name."""

    folder: Path
    about: dict
    key: str
    claims: list[dict]
    figures: dict[str, Path]


class Sink(Protocol):
    """Takes rows in ascending steps. Anything it raises ends the mirroring, never the run.

    `next_step` is the first step that the place the rows go to does not hold yet, as that place itself tells: rows of
    earlier attempts are there if and only if they arrived.
    """

    next_step: int

    def record(self, step: int, values: dict[str, float], histograms: dict[str, dict]) -> None:
        """One row; a histogram is `{"lo", "hi", "counts"}`, equal bins over [lo, hi]."""

    def close(self, state: str) -> None:
        """The run has ended in this state (`done`, `diverged`, `interrupted` …) and no row follows.

        Returns once every row has arrived, and raises where one did not.
        """


# Opened in the side process only, so that what a sink imports never reaches the process that trains.
OpenSink = Callable[[Watched], Sink]


@dataclass(frozen=True)
class Tracker:
    """`target` names the place that rows would go to now; it is asked without importing the tracker's library."""

    open: OpenSink
    target: Callable[[], str]
    publish: Callable[[Verdicts], None] | None = None


def log_file(folder: Path) -> Path:
    """What the side process and the tracker's own library print."""
    return folder / "mirror.log"
