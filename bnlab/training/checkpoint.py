"""The whole state of a run in one file, written aside, named by its sum, and the one before it."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import torch

from bnlab import paths
from bnlab.store import write_aside


def save(run: Path, state: dict) -> None:
    """Write `state` (tensors and plain values) as the newest checkpoint; the newest so far becomes the previous one."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    newest = paths.checkpoint(run)
    if newest.exists():
        newest.replace(paths.previous_checkpoint(run))
    write_aside(newest, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def load(run: Path) -> tuple[dict | None, str]:
    """The newest whole checkpoint, or None, and a line that names what was damaged (empty when nothing was)."""
    damaged = ""
    for path in (paths.checkpoint(run), paths.previous_checkpoint(run)):
        if not path.exists():
            continue
        digest, _, content = path.read_bytes().partition(b"\n")
        if hashlib.sha256(content).hexdigest().encode() == digest:
            return torch.load(io.BytesIO(content), weights_only=True), damaged
        damaged = f"{path.name} is damaged; used the one before it, or the start"
    return None, damaged


def remove(run: Path) -> None:
    for path in (paths.checkpoint(run), paths.previous_checkpoint(run)):
        path.unlink(missing_ok=True)
