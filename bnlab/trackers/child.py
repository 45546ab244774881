"""The side process: `python -m bnlab.trackers.child WHAT TRACKER DIRECTORY`, with a request on standard input.

WHAT is `run` or `verdicts`. The request is one line of JSON. A run is followed until the end of that input, which the
training process holds open.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path

from bnlab.errors import EnvironmentFault
from bnlab.trackers import TRACKERS, folder_of
from bnlab.trackers.ledger import Ledger
from bnlab.trackers.mirror import mirror
from bnlab.trackers.side_process import too_slow
from bnlab.trackers.verdicts import publish


def main(arguments: list[str]) -> int:
    what, name, watched = arguments[0], arguments[1], Path(arguments[2])
    # The run answers to these; its mirror still has the last rows to send.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    request = json.loads(sys.stdin.buffer.readline())
    ended = threading.Event()
    folder = folder_of(name, watched)
    threading.Thread(target=_watch, args=(ended, request["grace"], folder), daemon=True).start()
    if what == "run":
        problem = mirror(TRACKERS[name], watched, folder, request["config"], ended)
    else:
        problem = publish(TRACKERS[name], watched, folder, request["about"])
    if problem:
        print(problem, file=sys.stderr, flush=True)
    return 1 if problem else 0


def _watch(ended: threading.Event, grace: float, folder: Path) -> None:
    """Wait for the end of the run; if the tracker then hangs for so long, say so and stop."""
    sys.stdin.buffer.read()
    ended.set()
    threading.Event().wait(grace)
    with contextlib.suppress(EnvironmentFault):
        Ledger(folder).save(too_slow(grace))
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
