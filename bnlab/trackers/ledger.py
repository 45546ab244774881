"""What a tracker was sent: kept in its folder, so that whoever comes later knows without asking a service."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path

from bnlab.errors import EnvironmentFault
from bnlab.store import write_aside


def ledger_file(folder: Path) -> Path:
    """The key of the run, what has arrived where, and why mirroring stopped early if it did."""
    return folder / "mirror.json"


class Ledger:
    """`sent[target]` is what that place is known to hold; it is written after the place has confirmed it."""

    def __init__(self, folder: Path) -> None:
        self._path = ledger_file(folder)
        try:
            known = json.loads(self._path.read_text())
            self.key, self.sent, self.problem = known["key"], dict(known["sent"]), str(known["problem"])
        except (OSError, ValueError, KeyError, TypeError):
            self.key, self.sent, self.problem = secrets.token_hex(8), {}, ""
        if _agents_key() not in ("", self.key):
            self.key, self.sent = _agents_key(), {}

    def save(self, problem: str = "") -> None:
        self.problem = problem
        write_aside(self._path, json.dumps({"key": self.key, "sent": self.sent, "problem": problem}).encode())

    def fail(self, error: Exception) -> str:
        """Keep what went wrong, in one line, and return it."""
        text = " ".join(str(error).split())[:100]
        self.problem = f"{type(error).__name__}: {text}" if text else type(error).__name__
        with contextlib.suppress(EnvironmentFault):
            self.save(self.problem)
        return self.problem

    def holds(self, target: str, content: dict) -> bool:
        """Whether all of this is there already; `rows` only counts, and is not compared."""
        held = self.sent.get(target, {})
        return bool(held) and all(held.get(key) == value for key, value in content.items())

    def confirm(self, target: str, rows: int, **content: object) -> None:
        before = self.sent.get(target, {}).get("rows", 0)
        self.sent[target] = {**content, "rows": before + rows}
        self.save()

    def rows(self, target: str) -> int:
        return self.sent.get(target, {}).get("rows", 0)


def _agents_key() -> str:
    """The run that a W&B sweep agent waits for, where this process works for one."""
    return os.environ.get("WANDB_RUN_ID", "") if os.environ.get("WANDB_SWEEP_ID") else ""
