"""The whole state of a run in one file, written aside, named by its sum, and the one before it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import torch

from bnlab import paths
from bnlab.store import remove as remove_file
from bnlab.store import rename, write_aside


def save(run: Path, state: dict) -> None:
    """Write `state` (tensors and plain values) as the newest checkpoint; the newest so far becomes the previous one."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    newest = paths.checkpoint(run)
    if _read(newest) is not None:  # a damaged one must not take the place of a good one
        rename(newest, paths.previous_checkpoint(run))
    write_aside(newest, _sum(content) + b"\n" + content)


def load(run: Path, fits: Callable[[dict], bool] = lambda state: True) -> tuple[dict | None, str]:
    """The newest whole checkpoint that `fits`, or None, and a line that names what was damaged (empty if nothing)."""
    damaged: list[str] = []
    for path in (paths.checkpoint(run), paths.previous_checkpoint(run)):
        content = _read(path)
        state = None if content is None else torch.load(io.BytesIO(content), weights_only=True)
        if state is not None and fits(state):
            return state, _told(damaged, "went back to the checkpoint before")
        if state is not None:
            damaged.append(f"the rows recorded before {path.name} are damaged")
        elif path.exists():
            damaged.append(f"{path.name} is damaged")
    return None, _told(damaged, "nothing older is left, so the run starts again")


def _told(damaged: list[str], then: str) -> str:
    return f"{' and '.join(damaged)}; {then}" if damaged else ""


def remove(run: Path) -> None:
    """Errors: EnvironmentFault."""
    for path in (paths.checkpoint(run), paths.previous_checkpoint(run)):
        remove_file(path)


def _read(path: Path) -> bytes | None:
    """The saved bytes; None where there is no file, or none that can be read and fits its sum."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if _sum(content) == digest else None


def _sum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
