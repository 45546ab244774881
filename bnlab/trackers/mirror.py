"""The side process of a run: follows its metrics file and hands each row, once, to a tracker's sink.

Run as `python -m bnlab.trackers.mirror TRACKER RUN_DIR`, with the configuration as one line of JSON on standard input.
It follows the run until the end of that input, which the training process holds open.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from bnlab import paths
from bnlab.store import read_status, write_aside
from bnlab.trackers.tracker import OpenSink, Sink, Watched, ledger_file

POLL = 1.0  # seconds between two looks at the metrics file
GRACE = 60.0  # seconds after the end of the run before a mirror that nobody waits for gives up


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


def _parse(line: bytes) -> dict | None:
    """None for a line torn by a kill: the next attempt writes that row again."""
    try:
        return json.loads(line)
    except ValueError:
        return None


class Ledger:
    """What was sent, kept beside the run so that the next attempt sends no row twice."""

    def __init__(self, run: Path) -> None:
        self._path = ledger_file(run)
        try:
            known = json.loads(self._path.read_text())
        except (OSError, ValueError):
            known = {}
        self.key: str = known.get("key") or secrets.token_hex(8)
        self.step: int = known.get("step", -1)

    def save(self, step: int, problem: str = "") -> None:
        self.step = step
        write_aside(self._path, json.dumps({"key": self.key, "step": step, "problem": problem}).encode())


def follow(run: Path, sink: Sink, ledger: Ledger, ended: threading.Event, poll: float = POLL) -> None:
    """Hand every row to the sink until `ended` is set and the file is exhausted, then close the sink."""
    tail = Tail(paths.metrics_jsonl(run), ledger.step)
    last_look = False
    while not last_look:
        last_look = ended.wait(poll)
        rows = tail.rows()
        if rows:
            ledger.save(tail.seen)  # before they are sent: a mirror that is killed here loses rows, but repeats none
        for row in rows:
            sink.record(row["step"], row["values"], row.get("histograms", {}))
    sink.close(_final_state(run))


def _final_state(run: Path) -> str:
    """The run's state; one that has let go of its mirror while it still counts as running has raised an error."""
    status = read_status(run)
    if status is None or status.state == "running":
        return "failed"
    return status.state


def mirror(open_sink: OpenSink, run: Path, config: dict, ended: threading.Event) -> str:
    """Open a sink and follow the run; returns "" or, in one line, why it had to stop."""
    ledger = Ledger(run)
    try:
        ledger.save(ledger.step)
        follow(run, open_sink(Watched(run, config, ledger.key)), ledger, ended)
    except Exception as error:  # whatever a tracker's library raises costs the mirror, never the run
        problem = _one_line(error)
        ledger.save(ledger.step, problem)
        return problem
    return ""


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:100]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _watch_the_run(ended: threading.Event) -> None:
    """Wait for the end of the run; if the sink then hangs and nobody is left to stop it, stop."""
    sys.stdin.buffer.read()
    ended.set()
    threading.Event().wait(GRACE)
    os._exit(1)


def main(arguments: list[str]) -> int:
    from bnlab.trackers import TRACKERS

    name, run = arguments[0], Path(arguments[1])
    # The run answers to these; the mirror still has its last rows to send.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    config = json.loads(sys.stdin.buffer.readline())
    ended = threading.Event()
    threading.Thread(target=_watch_the_run, args=(ended,), daemon=True).start()
    problem = mirror(TRACKERS[name], run, config, ended)
    if problem:
        print(problem, file=sys.stderr, flush=True)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
