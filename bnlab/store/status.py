"""The state of a run, as its directory tells it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bnlab import paths
from bnlab.store.files import disk_fault, write_json

FINISHED = ("done", "diverged")


@dataclass(frozen=True)
class Status:
    """`state` is running, done, diverged, failed, interrupted or preempted; `seconds` is time spent training."""

    state: str
    step: int
    steps: int
    seconds: float = 0.0
    attempts: int = 1
    error: str = ""
    diverged_at: int | None = None
    environment: dict = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    weights_sha256: str = ""


@dataclass(frozen=True)
class StoredRun:
    """A run directory as `bnlab status` lists it; `state` is `damaged` when its files cannot be read."""

    experiment: str
    data: str
    scale: str
    variant: str
    id: str
    seed: int
    overrides: dict
    status: Status


def read_status(run: Path) -> Status | None:
    """The stored status, with a run whose owner died shown as `interrupted`; None where there is none."""
    try:
        values = json.loads(paths.status_json(run).read_text())
        status = Status(**{**values, "notes": tuple(values.get("notes", ()))})
        if not (isinstance(status.state, str) and isinstance(status.step, int) and isinstance(status.steps, int)):
            raise ValueError("a field of another type")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Status("damaged", 0, 0, error="status.json cannot be read; run the sweep again to repeat this run")
    if status.state == "running" and not is_owned(run):
        return dataclasses.replace(
            status,
            state="interrupted",
            error="it ended without a word (killed, or the disk was full); run again to resume",
        )
    return status


def write_status(run: Path, status: Status) -> None:
    write_json(paths.status_json(run), dataclasses.asdict(status))


def finished(run: Path) -> bool:
    status = read_status(run)
    return status is not None and status.state in FINISHED


@contextlib.contextmanager
def owning(run: Path) -> Iterator[bool]:
    """Hold the run directory for this process; yields False when another live process holds it.

    The lock is the kernel's, on an empty file that stays: it ends with its holder, however that dies. It is not on the
    directory itself, because NFS brings only locks on files to its server, and an exclusive one only where the file is
    open for writing. So it holds between the machines that share a folder, unless it was mounted without locks
    (`nolock`, Lustre's `noflock`). Errors: EnvironmentFault.
    """
    path = paths.run_lock(run)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise disk_fault(error, path) from error
    try:
        yield _lock(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


def is_owned(run: Path) -> bool:
    """Whether a live process holds the run directory; asks with a shared lock, which needs no right to write."""
    try:
        handle = os.open(paths.run_lock(run), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


def _lock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def all_runs(root: Path, experiment: str | None = None) -> list[StoredRun]:
    """Every run directory under the results root, in a stable order."""
    return [_stored(run) for run in sorted(root.glob(f"{experiment or '*'}/*/runs/*/*")) if run.is_dir()]


def _stored(run: Path) -> StoredRun:
    experiment, setting, _, variant, run_id = run.parts[-5:]
    data, _, scale = setting.rpartition("-")
    try:
        overrides = json.loads(paths.config_json(run).read_text())["overrides"]
    except (OSError, ValueError, KeyError, TypeError):
        overrides = {}
    seed = int(run_id.rpartition("-s")[2]) if run_id.rpartition("-s")[2].isdigit() else -1
    status = read_status(run) or Status("planned", 0, 0)
    return StoredRun(experiment, data, scale, variant, run_id, seed, overrides, status)
