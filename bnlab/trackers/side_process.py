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
from bnlab.errors import EnvironmentFault
from bnlab.store import make_folder
from bnlab.trackers.ledger import Ledger
from bnlab.trackers.tracker import log_file

PATIENCE = 10.0  # seconds that the mirror of a run that has ended gets for its last rows
GRACE = 60.0  # seconds after which a mirror that nobody ended, because its run was killed, ends itself


class Handle:
    """A side process at work.

    Its standard input stays open for as long as the run trains: end of file, by `end_input` or by the death of this
    process, is how it learns that no row follows.
    """

    def __init__(self, name: str, folder: Path, process: subprocess.Popen | None, problem: str = "") -> None:
        self.process = process
        self.name = name
        self._folder = folder
        self._problem = problem

    def end_input(self) -> None:
        """Say that no row follows."""
        if self.process is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def finish(self, timeout: float = PATIENCE) -> str:
        """Let the mirror send what is left, for at most `timeout` seconds; call it once the run's status is final.

        Returns "", or in a few words what went wrong. Never raises, but for what a signal raises here.
        """
        self.end_input()
        if self.process is not None:
            self._problem = self._end(self.process, timeout)
        return self._problem

    def leave(self) -> None:
        """Let the mirror end by itself. What went wrong already is kept for whoever looks after it."""
        self.end_input()
        if self.process is not None and self.process.poll() is not None:
            self._problem = _how_it_ended(self._folder, self.process.returncode)
        if self._problem:
            with contextlib.suppress(EnvironmentFault):
                Ledger(self._folder).save(self._problem)

    def _end(self, process: subprocess.Popen, timeout: float) -> str:
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            return too_slow(timeout)
        except BaseException:
            _kill(process)
            raise
        return _how_it_ended(self._folder, code)


def too_slow(seconds: float) -> str:
    return f"did not finish within {seconds:g} s and was stopped"


def _how_it_ended(folder: Path, code: int) -> str:
    """In a few words what went wrong, by the exit code of the side process; empty where nothing did."""
    if code == 0:
        return ""
    killed = f"was killed (signal {-code})" if code < 0 else f"ended with exit code {code}"
    return Ledger(folder).problem or killed


def launch(what: str, name: str, watched: Path, folder: Path, request: dict) -> Handle:
    """Start `bnlab.trackers.child` on the directory of a run or of a setting, in a session of its own."""
    command = [sys.executable, "-P", "-m", "bnlab.trackers.child", what, name, str(watched)]
    try:
        make_folder(folder)
        with open(log_file(folder), "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_environment(), start_new_session=True
            )
        # A configuration is a few kB and a pipe holds 16 kB at least, so this does not wait for the child.
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
    except EnvironmentFault as error:
        return Handle(name, folder, None, str(error).partition(";")[0])
    except OSError as error:
        return Handle(name, folder, None, f"could not be started ({error.strerror})")
    return Handle(name, folder, process)


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
