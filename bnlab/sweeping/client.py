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
import time

from bnlab.errors import EnvironmentFault
from bnlab.sweeping.tasks import Task

# The import path of this process is handed over, so that both sides run the same code.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from bnlab.sweeping.forkserver import serve; serve()"
SECONDS_BETWEEN_QUESTIONS = 5.0


class ForkServer:
    """A running server. It sits in a session of its own: a Ctrl-C at the terminal reaches only the client.

    It is asked now and then whether it still answers, since one that was stopped (`kill -STOP`) is neither dead nor
    of use. Requests it does not take wait here, so that it never holds up the client.
    """

    def __init__(self) -> None:
        import_path = [entry or os.getcwd() for entry in sys.path]
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(import_path)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env={"OPENBLAS_NUM_THREADS": "1", **os.environ},  # numpy's threads; torch's follow the run's own key
        )
        os.set_blocking(self._process.stdin.fileno(), False)
        self._unsent = self._pending = b""
        self._asked: float | None = time.monotonic()  # that it is ready is the first answer it owes
        self._answered = 0.0
        self.ready = False
        self.dead = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def begin(self, number: int, task: Task) -> None:
        self._send({"number": number, **task.request()})

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to every child; whichever of them was stopped goes on to hear it, as the server does."""
        self._send({"signal": int(number)})
        self._wake()

    def signal_one(self, child: int, number: signal.Signals) -> None:
        """Send a signal to the child that a request of this number began, if it still lives."""
        self._send({"signal": int(number), "number": child})

    def reports(self, timeout: float) -> list[dict]:
        """What the server and its children said, waiting at most `timeout` seconds; `dead` is set when it is gone.

        Errors: EnvironmentFault when the server could not import what a run needs.
        """
        if self.dead:
            return []
        self._ask()
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
            if "ready" in report or "here" in report:
                self._asked, self._answered = None, time.monotonic()
            if "fault" in report:
                self.close()
                reason = report["fault"][:140]
                raise EnvironmentFault(f"no run can start: {reason}; `bnlab doctor` shows what is missing")
        return reports

    @property
    def pid(self) -> int:
        return self._process.pid

    def silence(self) -> float:
        """Seconds for which it has owed an answer; look at its `reports` first, where the answer may lie."""
        return 0.0 if self._asked is None else time.monotonic() - self._asked

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
        self._wake()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        self._errors.close()

    def _ask(self) -> None:
        if self._asked is None and time.monotonic() - self._answered > SECONDS_BETWEEN_QUESTIONS:
            self._asked = time.monotonic()
            self._send({"question": True})
        elif self._unsent:
            self._flush()

    def _send(self, request: dict) -> None:
        self._unsent += json.dumps(request).encode() + b"\n"
        self._flush()

    def _flush(self) -> None:
        """As much as the pipe takes."""
        try:
            self._unsent = self._unsent[self._process.stdin.write(self._unsent) or 0 :]
        except OSError:
            self.dead = True

    def _wake(self) -> None:
        """Let the server and its children go on, where they were stopped: only then do they hear anything else."""
        if self._process.returncode is None:  # else the number may belong to others
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGCONT)
