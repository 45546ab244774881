"""The figures and verdicts of a setting, for trackers that can show them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from bnlab import paths
from bnlab.store import owning
from bnlab.trackers.ledger import Ledger
from bnlab.trackers.tracker import Tracker, Verdicts


def content_sum(setting: Path) -> str:
    """A sum over the claims and the figures of a setting; empty where no verdict is stored."""
    if not paths.claims_json(setting).exists():
        return ""
    files = [paths.claims_json(setting), *_figures(setting).values()]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def publish(tracker: Tracker, setting: Path, folder: Path, about: dict) -> str:
    """Send what is stored, if the place does not hold it; returns "" or, in one line, why that failed."""
    with owning(folder) as mine:
        if not mine:
            return "another process sends these verdicts already"
        ledger, target, content = Ledger(folder), tracker.target(), content_sum(setting)
        if ledger.holds(target, {"sum": content}):
            return ""
        try:
            ledger.save()
            claims = json.loads(paths.claims_json(setting).read_text())
            tracker.publish(Verdicts(folder, about, ledger.key, claims, _figures(setting)))
            ledger.confirm(target, rows=1, sum=content)
        except Exception as error:  # as with runs: what a tracker's library raises costs the mirror only
            return ledger.fail(error)
    return ""


def _figures(setting: Path) -> dict[str, Path]:
    return {file.stem: file for file in sorted(paths.figures_dir(setting).glob("*.png"))}
