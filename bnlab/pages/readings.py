"""The series of runs that pages ask for, kept in memory while their files stay as they are."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path

from bnlab import paths
from bnlab.errors import IntegrityError
from bnlab.pages.documents import printable
from bnlab.pages.index import Entry, Index
from bnlab.store import FINISHED, RunSeries, Tail, read_finished, read_pack
from bnlab.store.measurements import NOTHING

PACKS, RUNS = 4, 400  # kept at a time: a large pack takes some 80 MB, a run some 200 kB


class Readings:
    """`of(entry)` gives what a run has recorded by now, and what is wrong with its files, if anything is."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._packs: OrderedDict = OrderedDict()
        self._runs: OrderedDict = OrderedDict()
        self._tails: OrderedDict = OrderedDict()
        self._lock = threading.Lock()

    def of(self, entry: Entry) -> tuple[RunSeries, str]:
        with self._lock:
            try:
                return self._read(entry), ""
            except IntegrityError as error:
                return NOTHING, printable(str(error))

    def _read(self, entry: Entry) -> RunSeries:
        if entry.directory is None:
            setting = self._index.settings[entry.key[:2]]
            pack = paths.pack_dir(setting.directory)
            packed = _kept(self._packs, PACKS, (pack, setting.stamp), lambda: read_pack(pack))
            return packed.get("/".join(entry.key[2:]), NOTHING)
        run = entry.directory
        if entry.run.status.state in FINISHED:
            return _kept(self._runs, RUNS, (run, entry.run.status.attempts, _changed(run)), lambda: read_finished(run))
        return _kept(self._tails, RUNS, run, lambda: Tail(run)).look()


def _kept(store: OrderedDict, most: int, key: Hashable, read: Callable):
    """What is under this key, read when it is not there; the one not asked for longest makes room."""
    if key not in store:
        store[key] = read()
        while len(store) > most:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]


def _changed(run: Path) -> int:
    try:
        return paths.metrics_parquet(run).stat().st_mtime_ns
    except OSError:
        return 0
