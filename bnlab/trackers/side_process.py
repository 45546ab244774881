"""The training side of a tracker: starts the side process, tells it when the run is over, and ends it if it hangs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import bnlab
from bnlab.trackers.tracker import ledger_file, log_file

PATIENCE = 20.0  # seconds a finished run waits for its mirror by default


class Handle:
    """A side process at work.

    Its standard input stays open for as long as the run trains: end of file, by `finish` or by the death of this
    process, is how it learns that no row follows.
    """

    def __init__(self, name: str, run: Path, process: subprocess.Popen | None, problem: str = "") -> None:
        self.process = process
        self._name = name
        self._run = run
        self._problem = problem

    def finish(self, timeout: float = PATIENCE) -> str | None:
        """Let the mirror send what is left, for at most `timeout` seconds; call it once the run's status is final.

        Returns None, or one warning line of at most 240 characters. Never raises.
        """
        if self.process is not None:
            self._problem = self._end(self.process, timeout)
        if not self._problem:
            return None
        reassurance = f"the run's own files are complete, see {log_file(self._run).name}"
        return f"tracker {self._name}: {self._problem}; {reassurance}"[:240]

    def _end(self, process: subprocess.Popen, timeout: float) -> str:
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            return f"did not finish within {timeout:g} s and was stopped"
        if code == 0:
            return ""
        return _reason(self._run) or (f"was killed (signal {-code})" if code < 0 else f"ended with exit code {code}")


def launch(name: str, run: Path, config: dict) -> Handle:
    """Start `python -m bnlab.trackers.mirror` for one run, in a session of its own, and hand it the configuration."""
    command = [sys.executable, "-P", "-m", "bnlab.trackers.mirror", name, str(run)]
    try:
        with open(log_file(run), "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_environment(), start_new_session=True
            )
        # A configuration is a few kB and a pipe holds 16 kB at least, so this does not wait for the child.
        process.stdin.write(json.dumps(config).encode() + b"\n")
        process.stdin.flush()
    except OSError as error:
        return Handle(name, run, None, f"could not be started ({error.strerror})")
    return Handle(name, run, process)


def _environment() -> dict[str, str]:
    """This process's environment, with bnlab importable and the working directory not (it may hold a `wandb/`)."""
    package_root = str(Path(bnlab.__file__).resolve().parents[1])
    existing = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([existing, package_root] if existing else [package_root])}


def _kill(process: subprocess.Popen) -> None:
    """End the whole session of the side process: a tracker's library may have started helpers of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(run: Path) -> str:
    try:
        return json.loads(ledger_file(run).read_text()).get("problem", "")
    except (OSError, ValueError):
        return ""
