"""Writing a file so that a reader, or a process killed in the middle, never sees half of it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path

from bnlab.errors import EnvironmentFault

ASIDE = ".tmp"


def write_aside(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, sync, rename, sync the folder. Errors: EnvironmentFault.

    Without the last step a power loss may undo the rename of a file that others already rely on. A sync that failed is
    final: the kernel drops what it could not write, so a second one on the same file would report success (PostgreSQL's
    finding of 2018).
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}{ASIDE}")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise disk_fault(error, path) from error


def write_changed(path: Path, content: bytes) -> None:
    """Write aside unless the file has these bytes, so that results in a read-only folder can be computed again.

    The time of the file says all the same that they were made from the runs of now. Errors: EnvironmentFault.
    """
    if not path.is_file() or path.read_bytes() != content:
        write_aside(path, content)
    else:
        with contextlib.suppress(OSError):
            os.utime(path)


def remove_asides(path: Path) -> None:
    """Delete what writes of this file left behind when their process was killed; only for the file's one writer."""
    for aside in path.parent.glob(f".{path.name}.*{ASIDE}"):
        remove(aside)


def rename(path: Path, to: Path) -> None:
    """Within one folder, replacing what is there. Errors: EnvironmentFault."""
    try:
        os.replace(path, to)
    except OSError as error:
        raise disk_fault(error, to) from error


def remove(path: Path) -> None:
    """Delete a file, if it is there. Errors: EnvironmentFault."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise disk_fault(error, path) from error


def write_json(path: Path, content: object) -> None:
    write_aside(path, (json.dumps(content, indent=1) + "\n").encode())


def make_folder(path: Path) -> None:
    """Create a folder and its parents. Errors: EnvironmentFault."""
    try:
        new = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in new:
            sync_folder(folder.parent)
    except OSError as error:
        raise disk_fault(error, path) from error


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can do that."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def disk_fault(error: OSError, path: Path) -> EnvironmentFault:
    """The one line for a write that the machine refused."""
    known = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up"}
    why = known.get(error.errno, error.strerror or error)
    return EnvironmentFault(f"cannot write {path}: {why}; make room or choose another folder with --results DIR")
