"""The rows of a run, each once, while its file grows and afterwards."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import BinaryIO

from bnlab import paths
from bnlab.store import Histogram, finished, read_recorded


class Tail:
    """The rows of a growing file, each once.

    A resumed run replaces the file by one that repeats its rows from the checkpoint on, with the same values. So
    whenever the file starts anew, rows up to the last step seen are skipped; `seen` is that step to begin with.
    """

    def __init__(self, path: Path, seen: int = -1) -> None:
        self.seen = seen
        self._skip_to = seen
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def rows(self) -> list[dict]:
        """What has been added since the last call. A line without its end is left for the next call."""
        if self._replaced():
            self._reopen()
        if self._file is None:
            return []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        rows = [row for row in map(_parse, lines) if row is not None and row["step"] > self._skip_to]
        self.seen = max([self.seen, *(row["step"] for row in rows)])
        return rows

    def _replaced(self) -> bool:
        try:
            now = os.stat(self._path)
        except FileNotFoundError:
            return False
        if self._file is None:
            return True
        return now.st_ino != os.fstat(self._file.fileno()).st_ino or now.st_size < self._file.tell()

    def _reopen(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = open(self._path, "rb")
        self._rest = b""
        self._skip_to = self.seen


class Columns:
    """The rows of a finished run of which only the columns are left, as `bnlab unpack` lays it out."""

    def __init__(self, run: Path, seen: int = -1) -> None:
        self.seen = seen
        self._run = run

    def rows(self) -> list[dict]:
        recorded = read_recorded(self._run).values
        rows = [_row(step, recorded[step]) for step in sorted(recorded) if step > self.seen]
        self.seen = max([self.seen, *(row["step"] for row in rows)])
        return rows


def rows_of(run: Path, seen: int = -1) -> Tail | Columns:
    """The rows after the step `seen`, of a run that may still grow."""
    lines = paths.metrics_jsonl(run)
    return Columns(run, seen) if not lines.exists() and finished(run) else Tail(lines, seen)


def _row(step: int, values: dict) -> dict:
    histograms = {metric: dataclasses.asdict(v) for metric, v in values.items() if isinstance(v, Histogram)}
    return {"step": step, "values": {m: v for m, v in values.items() if m not in histograms}, "histograms": histograms}


def _parse(line: bytes) -> dict | None:
    """None for a line torn by a kill: the next attempt writes that row again."""
    try:
        return json.loads(line)
    except ValueError:
        return None
