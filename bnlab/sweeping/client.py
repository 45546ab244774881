"""The near side of the fork server: starts it, passes requests on, hears reports."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile

from bnlab.errors import EnvironmentFault
from bnlab.sweeping.tasks import Task

# The import path of this process is handed over, so that both sides run the same code.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from bnlab.sweeping.forkserver import serve; serve()"


class ForkServer:
    """A running server. It sits in a session of its own: a Ctrl-C at the terminal reaches only the client."""

    def __init__(self) -> None:
        import_path = [entry or os.getcwd() for entry in sys.path]
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(import_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env={"OPENBLAS_NUM_THREADS": "1", **os.environ},  # numpy's threads; torch's follow the run's own key
        )
        self._pending = b""
        self.ready = False
        self.dead = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def begin(self, number: int, task: Task) -> None:
        self._send({"number": number, **task.request()})

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every child."""
        self._send({"signal": int(number)})

    def signal_one(self, child: int, number: signal.Signals) -> None:
        """Send a signal to the child that a request of this number began, if it still lives."""
        self._send({"signal": int(number), "number": child})

    def reports(self, timeout: float) -> list[dict]:
        """What the server and its children said, waiting at most `timeout` seconds; `dead` is set when it is gone.

        Errors: EnvironmentFault when the server could not import what a run needs.
        """
        if self.dead:
            return []
        if not self._selector.select(timeout):
            self.dead = self._process.poll() is not None  # orphans may hold the pipe open
            return []
        received = os.read(self._process.stdout.fileno(), 1 << 16)
        if not received:
            self.dead = True
            return []
        *lines, self._pending = (self._pending + received).split(b"\n")
        reports = [json.loads(line) for line in lines]
        for report in reports:
            self.ready = self.ready or "ready" in report
            if "fault" in report:
                self.close()
                reason = report["fault"][:140]
                raise EnvironmentFault(f"no run can start: {reason}; `bnlab doctor` shows what is missing")
        return reports

    def last_words(self) -> str:
        """The last line the server printed, for the message about its death."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it left no message"

    def close(self) -> None:
        """End the server; children that still run are told to save and stop."""
        self._selector.close()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        if self.dead or not self.ready:
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        self._errors.close()

    def _send(self, request: dict) -> None:
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            self.dead = True
