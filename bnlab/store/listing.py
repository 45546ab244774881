"""The runs of a results folder, looked at again and again: only what changed is read again."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from bnlab import paths
from bnlab.store.status import FINISHED, StoredRun, folders, overrides_of, stored_run

# A finished run changes only when it is run again; a folder's time of change is that of a clock with coarse ticks.
SECONDS_BETWEEN_CHECKS = 30.0
SECONDS_TO_SETTLE = 2.0

Stamp = tuple[int, int, int]


@dataclass
class _Seen:
    run: StoredRun | None
    stamp: Stamp | None
    checked: float


class RunListing:
    """Every run directory under a root, as it was at the last `look`. Not for several threads at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._inside: dict[Path, tuple[int, list[Path]]] = {}  # folder of runs: its time of change, the runs in it
        self._seen: dict[Path, _Seen] = {}
        self._overrides: dict[tuple[Path, str], dict] = {}

    def look(self) -> bool:
        """Read what is new or may have changed, forget what is gone; whether anything was other than before."""
        now = time.time()
        present = {run: self._checked(run, now) for place in self._places() for run in self._runs_in(place, now)}
        before, self._seen = self._seen, present
        return len(before) != len(present) or any(
            run not in before or (before[run] is not seen and before[run].run != seen.run)
            for run, seen in present.items()
        )

    def runs(self) -> dict[Path, StoredRun]:
        """By directory, in a stable order. Overrides are left empty: `overrides` reads them."""
        return {directory: seen.run for directory, seen in self._seen.items() if seen.run is not None}

    def changed(self, run: Path) -> float:
        """When the state of a listed run last changed, in seconds since the epoch; 0 where it has none."""
        stamp = self._seen[run].stamp
        return stamp[0] / 1e9 if stamp else 0.0

    def overrides(self, run: Path) -> dict:
        """What a run differs in from others of its plan, read once for all seeds: the hash in their names is equal."""
        key = (run.parent, run.name.rpartition("-s")[0] or run.name)
        if key not in self._overrides:
            found = overrides_of(run)
            if not found:
                return found
            self._overrides[key] = found
        return self._overrides[key]

    def _places(self) -> list[Path]:
        """The folders that hold runs, one for each variant of a setting."""
        settings = [
            self._root / name / setting for name in folders(self._root) for setting in folders(self._root / name)
        ]
        return [paths.runs_dir(s) / variant for s in settings for variant in folders(paths.runs_dir(s))]

    def _runs_in(self, place: Path, now: float) -> list[Path]:
        try:
            changed = os.stat(place).st_mtime_ns
        except OSError:
            return []
        known = self._inside.get(place)
        if known is None or known[0] != changed or now - changed / 1e9 < SECONDS_TO_SETTLE:
            known = self._inside[place] = changed, [place / name for name in folders(place)]
        return known[1]

    def _checked(self, run: Path, now: float) -> _Seen:
        seen = self._seen.get(run)
        final = seen is not None and seen.run is not None and seen.run.status.state in FINISHED
        if final and now - seen.checked < SECONDS_BETWEEN_CHECKS:
            return seen
        stamp = _stamp(paths.status_json(run))
        if final and seen.stamp == stamp:
            seen.checked = now
            return seen
        return _Seen(stored_run(run, {}), stamp, now)


def _stamp(path: Path) -> Stamp | None:
    """What tells a file from a later one of its name."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
