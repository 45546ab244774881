"""Writing a file so that a reader, or a process killed in the middle, never sees half of it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from bnlab.errors import EnvironmentFault


def write_aside(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, sync, rename. Errors: EnvironmentFault."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise disk_fault(error, path) from error


def write_json(path: Path, content: object) -> None:
    write_aside(path, (json.dumps(content, indent=1) + "\n").encode())


def make_folder(path: Path) -> None:
    """Create a folder and its parents. Errors: EnvironmentFault."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_fault(error, path) from error


def disk_fault(error: OSError, path: Path) -> EnvironmentFault:
    """The one line for a write that the machine refused."""
    why = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up"}.get(error.errno, error.strerror)
    return EnvironmentFault(f"cannot write {path}: {why}; make room or choose another folder with --results DIR")
