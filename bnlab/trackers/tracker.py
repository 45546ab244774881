"""What a tracker is: a way to open a sink, which then takes the rows that a run has written to its own files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Watched:
    """The run a sink is opened for.

    `config` is the nested form of its `RunConfig`; `key` is 16 hex digits, the same in every attempt at the run, so
    that a service can join the attempts.
    """

    directory: Path
    config: dict
    key: str


class Sink(Protocol):
    """Takes rows in ascending steps. Anything it raises ends the mirroring, never the run."""

    def record(self, step: int, values: dict[str, float], histograms: dict[str, dict]) -> None:
        """One row; a histogram is `{"lo", "hi", "counts"}`, equal bins over [lo, hi]."""

    def close(self, state: str) -> None:
        """The run has ended in this state (`done`, `diverged`, `interrupted` …) and no row follows."""


# Opened in the side process only, so that what a sink imports never reaches the process that trains.
OpenSink = Callable[[Watched], Sink]


def log_file(run: Path) -> Path:
    """What the side process and the tracker's own library print."""
    return run / "tracker.log"


def ledger_file(run: Path) -> Path:
    """The key of the run, the last step that was sent, and why mirroring stopped early if it did."""
    return run / "tracker.json"
