"""Following a run, live or after it has ended: hands each of its rows, once, to a tracker's sink."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from bnlab.store import owning, read_status
from bnlab.trackers.ledger import Ledger
from bnlab.trackers.rows import rows_of
from bnlab.trackers.tracker import Sink, Tracker, Watched

POLL = 1.0  # seconds between two looks at the metrics file


def follow(run: Path, sink: Sink, seen: int, ended: threading.Event, poll: float = POLL) -> dict:
    """Hand every row after step `seen` to the sink until `ended` is set and no row is left, then close the sink.

    Returns what the sink now holds: how many rows more, the step of the last one, and the state of the run.
    """
    source = rows_of(run, seen)
    sent, last_look = 0, False
    while not last_look:
        last_look = ended.wait(poll)
        for row in source.rows():
            sink.record(row["step"], row["values"], row.get("histograms", {}))
            sent += 1
    state = final_state(run)
    sink.close(state)
    return {"rows": sent, "step": source.seen, "state": state}


def final_state(run: Path) -> str:
    """The run's state; one that has let go of its mirror while it still counts as running has raised an error."""
    status = read_status(run)
    if status is None or status.state == "running":
        return "failed"
    return status.state


@contextlib.contextmanager
def _following_on(folder: Path, ended: threading.Event) -> Iterator[bool]:
    """Hold the tracker's folder, once the mirror of the attempt before has left it; False if the run ends first."""
    while True:
        with owning(folder) as mine:
            if mine or ended.wait(POLL):
                yield mine
                return


def mirror(tracker: Tracker, run: Path, folder: Path, config: dict, ended: threading.Event) -> str:
    """Open a sink and follow the run; returns "" or, in one line, why it had to stop."""
    with _following_on(folder, ended) as mine:
        if not mine:
            return "another process mirrors this run already"
        ledger, target = Ledger(folder), tracker.target()
        try:
            ledger.save()
            sink = tracker.open(Watched(run, folder, config, ledger.key))
            # A service may be late in telling what it has taken; what it confirmed then is known here.
            seen = max(sink.next_step - 1, ledger.sent.get(target, {}).get("step", -1))
            ledger.confirm(target, **follow(run, sink, seen, ended))
        except Exception as error:  # whatever a tracker's library raises costs the mirror, never the run
            return ledger.fail(error)
    return ""
