"""The state of a run, as its directory tells it."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bnlab import paths
from bnlab.errors import EnvironmentFault
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
        status = _read(run)
        if status.state != "running" or is_owned(run):
            return status
        status = _read(run)  # its owner may have finished it, and left, since it was read
        if status.state == "running":
            why = "it ended without a word (killed, or the disk was full); run again to resume"
            return dataclasses.replace(status, state="interrupted", error=why)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return _damaged("status.json cannot be read; run the sweep again to repeat this run")
    return status


def _read(run: Path) -> Status:
    with open(paths.status_json(run), "rb") as file:
        return _parsed(json.loads(file.read()))


def _parsed(values: dict) -> Status:
    """Errors: TypeError or AttributeError for another shape, or for a field of another type than its default."""
    status = Status(**{**values, "notes": tuple(values.get("notes", ()))})
    for name, kind in _KINDS.items():
        if not isinstance(getattr(status, name), kind):
            raise TypeError(name)
    return status


_KINDS = {"state": str, "step": int, "steps": int, "seconds": (int, float), "attempts": int, "error": str}
_KINDS |= {"diverged_at": (int, type(None)), "environment": dict}


def _damaged(why: str) -> Status:
    return Status("damaged", 0, 0, error=why)


def write_status(run: Path, status: Status) -> None:
    write_json(paths.status_json(run), dataclasses.asdict(status))


def add_notes(run: Path, notes: Sequence[str]) -> None:
    """Into the status of a run that the caller owns, where it has one and the disk takes it."""
    status = read_status(run)
    if notes and status:
        with contextlib.suppress(EnvironmentFault):
            write_status(run, dataclasses.replace(status, notes=(*status.notes, *notes)))


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
    """Every run directory under the results root, in a stable order; what is no directory is passed over."""
    found = []
    for name in [experiment] if experiment else folders(root):
        for setting in folders(root / name):
            for variant in folders(paths.runs_dir(root / name / setting)):
                place = paths.runs_dir(root / name / setting) / variant
                found += [stored_run(place / run_id, overrides_of(place / run_id)) for run_id in folders(place)]
    return [run for run in found if run is not None]


def folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def stored_run(run: Path, overrides: dict) -> StoredRun | None:
    """The run in this directory; None for a folder that vanished meanwhile."""
    *_, experiment, setting, _, variant, _ = run.parts
    data, _, scale = setting.rpartition("-")
    digits = run.name.rpartition("-s")[2]
    seed = int(digits) if digits.isdecimal() and digits.isascii() else -1
    status = read_status(run)
    if status is None and not run.is_dir():
        return None
    status = status or _without_status(run)
    return StoredRun(experiment, data, scale, variant, run.name, seed, overrides, status)


def _without_status(run: Path) -> Status:
    """A process that owns its run has not come to the first step yet; a folder that nobody owns is no run."""
    if is_owned(run):
        return Status("running", 0, 0)
    return _damaged("no status.json; run the sweep again, or delete the folder if no run belongs there")


def overrides_of(run: Path) -> dict:
    """What a run's directory says it differs in from others of its plan; empty where it cannot be read."""
    try:
        with open(paths.config_json(run), "rb") as file:
            overrides = json.loads(file.read())["overrides"]
        return overrides if isinstance(overrides, dict) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
