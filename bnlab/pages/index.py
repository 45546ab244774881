"""What lies in a results folder, kept in memory: every name that a page may ask for is looked up here.

No word of a request is ever made into a path: paths come from listing folders, and are found by the names listed.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from bnlab import paths
from bnlab.errors import IntegrityError
from bnlab.pages.documents import printable
from bnlab.store import RunListing, Status, StoredRun
from bnlab.store.status import folders

FRESH = 0.5  # seconds for which a look at the folder is good
FORMATS = ("pdf", "svg", "png", "csv")

RunKey = tuple[str, str, str, str]  # experiment, setting, variant, id


@dataclass(frozen=True)
class Entry:
    """A run: in a directory of its own, or in the pack of its setting (`directory` is None).

    `changed`: when its state last changed, or its pack was written; seconds since the epoch.
    """

    key: RunKey
    run: StoredRun
    directory: Path | None
    changed: float

    @property
    def source(self) -> str:
        return "pack" if self.directory is None else "runs"


@dataclass
class SettingFiles:
    """What a setting holds besides its runs. `problem` says which of its files cannot be read.

    `judged` and `drawn`: when verdicts and figures were written, in seconds since the epoch; infinite before they were
    written and for what was made just now.
    """

    experiment: str
    name: str
    directory: Path
    figures: dict[str, dict[str, Path]] = field(default_factory=dict)
    claims: list[dict] = field(default_factory=list)
    packed: dict[RunKey, Entry] = field(default_factory=dict)
    configs: dict[RunKey, dict] = field(default_factory=dict)  # of packed runs
    problem: str = ""
    stamp: tuple = ()
    judged: float = math.inf
    drawn: float = math.inf


class Index:
    """The runs and settings of a results folder as they are now; `version` counts the changes seen."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.version = 0
        self.settings: dict[tuple[str, str], SettingFiles] = {}
        self.runs: dict[RunKey, Entry] = {}
        self._listing = RunListing(root)
        self._lock = threading.Lock()
        self._looked = -FRESH

    def refresh(self) -> None:
        """Look at the folder again, unless that was done just now."""
        with self._lock:
            if time.monotonic() - self._looked < FRESH:
                return
            settings = {key: self._setting(*key, path) for key, path in _settings(self.root).items()}
            if self._listing.look() or settings != self.settings or not self.version:
                self.runs, self.settings, self.version = self._all(settings), settings, self.version + 1
            self._looked = time.monotonic()

    def _all(self, settings: dict[tuple[str, str], SettingFiles]) -> dict[RunKey, Entry]:
        """The packed runs, and in the place of those that lie there too, the directories."""
        runs = {key: entry for found in settings.values() for key, entry in found.packed.items()}
        for directory, run in self._listing.runs().items():
            runs[key_of(run)] = Entry(key_of(run), run, directory, self._listing.changed(directory))
        return runs

    def overrides(self, entry: Entry) -> dict:
        """What a run differs in from the others of its plan."""
        if entry.directory is None:
            return entry.run.overrides
        with self._lock:
            return self._listing.overrides(entry.directory)

    def of_setting(self, experiment: str, setting: str) -> list[Entry]:
        return [entry for key, entry in self.runs.items() if key[:2] == (experiment, setting)]

    def by_setting(self) -> dict[tuple[str, str], list[Entry]]:
        """The runs of every setting that has any."""
        found: dict[tuple[str, str], list[Entry]] = {}
        for key, entry in self.runs.items():
            found.setdefault(key[:2], []).append(entry)
        return found

    def _setting(self, experiment: str, name: str, directory: Path) -> SettingFiles:
        """As it was found before, where none of its files changed."""
        stamp = _stamps(directory)
        known = self.settings.get((experiment, name))
        if known is not None and known.stamp == stamp:
            return known
        found = SettingFiles(experiment, name, directory, _figures(directory), stamp=stamp)
        packed_at, _, found.judged, found.drawn = (_seconds(one) for one in stamp)
        try:
            found.packed, found.configs = _packed(directory, experiment, name, packed_at)
            found.claims = _claims(directory)
        except (IntegrityError, OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            found.problem = printable(str(error)) or type(error).__name__
        return found


def key_of(run: StoredRun) -> RunKey:
    return printable(run.experiment), printable(f"{run.data}-{run.scale}"), printable(run.variant), printable(run.id)


def _settings(root: Path) -> dict[tuple[str, str], Path]:
    return {(printable(e), printable(s)): root / e / s for e in folders(root) for s in folders(root / e)}


def _stamps(setting: Path) -> tuple:
    """Times and sizes of what `SettingFiles` is made from."""
    pack, figures = paths.pack_dir(setting), paths.figures_dir(setting)
    watched = (paths.pack_index(pack), paths.metrics_parquet(pack), paths.claims_json(setting), figures)
    return tuple(_stamp(path) for path in watched)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _seconds(stamp: tuple[int, int] | None) -> float:
    return stamp[0] / 1e9 if stamp else math.inf


def _figures(setting: Path) -> dict[str, dict[str, Path]]:
    """Name -> format -> file, of plain files only: what is a link is not served."""
    found: dict[str, dict[str, Path]] = {}
    try:
        with os.scandir(paths.figures_dir(setting)) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                stem, _, ending = entry.name.rpartition(".")
                if stem and ending in FORMATS and entry.is_file(follow_symlinks=False):
                    found.setdefault(printable(stem), {})[ending] = Path(entry.path)
    except OSError:
        return {}
    return found


def _packed(
    directory: Path, experiment: str, setting: str, written: float
) -> tuple[dict[RunKey, Entry], dict[RunKey, dict]]:
    """The runs of a pack and their configurations. Errors: IntegrityError."""
    from bnlab.store.runs import read_index

    pack = paths.pack_dir(directory)
    if not paths.pack_index(pack).exists():
        return {}, {}
    data, _, scale = setting.rpartition("-")
    entries, configs = {}, {}
    for said in read_index(pack):
        key = (experiment, setting, str(said["variant"]), str(said["id"]))
        status = Status(**{**said["status"], "notes": tuple(said["status"].get("notes", ()))})
        run = StoredRun(
            experiment, data, scale, key[2], key[3], said["config"].get("seed", 0), said["overrides"], status
        )
        entries[key], configs[key] = Entry(key, run, None, written), said["config"]
    return entries, configs


def _claims(directory: Path) -> list[dict]:
    """The rows of claims.json; none where it is absent. Errors: ValueError, TypeError."""
    path = paths.claims_json(directory)
    remedy = f"`bnlab claims {directory.parent.name}` writes it again"
    try:
        with open(path, "rb") as file:
            rows = json.loads(file.read())
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise ValueError(
            f"{path.name}: cannot be read; `bnlab claims {directory.parent.name}` writes it again"
        ) from error
    if not isinstance(rows, list) or not all(isinstance(r, dict) and _texts(r) for r in rows):
        raise TypeError(f"{path.name}: holds no verdicts; {remedy}")
    return rows


def _texts(row: dict) -> bool:
    return all(isinstance(row.get(key), str) for key in ("id", "verdict", "data", "scale"))
