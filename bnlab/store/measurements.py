"""What single runs measured, finished or not: read in parts, for whoever looks at a few series of many runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bnlab import paths
from bnlab.store.directories import AGAIN, FROM_GIT, unreadable

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Histograms:
    """`counts` (records, BINS) over equal bins of [lo, hi], each with one entry per record."""

    steps: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class RunSeries:
    """The series of one run, by metric; a record is present at the steps at which it was made."""

    metrics: Mapping[str, tuple[np.ndarray, np.ndarray]]  # steps, values
    histograms: Mapping[str, Histograms]


NOTHING = RunSeries({}, {})


def read_finished(run: Path) -> RunSeries:
    """The columns of a finished run. Errors: IntegrityError."""
    metrics, distributions = (
        _table(path, AGAIN, page_checksum_verification=True)
        for path in (paths.metrics_parquet(run), paths.distributions_parquet(run))
    )
    whole = slice(0, len(metrics))
    rows = slice(0, len(distributions))
    return RunSeries(_ByMetric(_Scalars(metrics), whole), _ByMetric(_Binned(distributions), rows))


def read_pack(pack: Path) -> dict[str, RunSeries]:
    """The series of every run of a pack, by `variant/id`. Errors: IntegrityError."""
    scalars = _Scalars(_table(paths.metrics_parquet(pack), FROM_GIT))
    binned = _Binned(_table(paths.distributions_parquet(pack), FROM_GIT))
    metrics, rows = dict(scalars.stretches("run")), dict(binned.stretches("run"))
    nothing = slice(0, 0)
    return {
        run: RunSeries(_ByMetric(scalars, metrics.get(run, nothing)), _ByMetric(binned, rows.get(run, nothing)))
        for run in {**metrics, **rows}
    }


class Tail:
    """The lines of a run that is still written, read on from where the last look ended."""

    def __init__(self, run: Path) -> None:
        self._path = paths.metrics_jsonl(run)
        self._identity = 0
        self._read = 0
        self._metrics: dict[str, tuple[list[int], list[float]]] = {}
        self._histograms: dict[str, list[tuple[int, dict]]] = {}

    def look(self) -> RunSeries:
        """All that is there now; empty where there is nothing, and from the start again where the file is another."""
        try:
            with open(self._path, "rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._identity or found.st_size < self._read:
                    self.__init__(self._path.parent)
                    self._identity = found.st_ino
                file.seek(self._read)
                content = file.read()
        except OSError:
            return NOTHING
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._take(line)
        return self._series()

    def _take(self, line: bytes) -> None:
        """A damaged line is passed over: the run itself says so when it is resumed or finished."""
        try:
            record = json.loads(line)
            step = int(record["step"])
            for metric, value in record["values"].items():
                steps, values = self._metrics.setdefault(metric, ([], []))
                steps.append(step)
                values.append(np.nan if value is None else float(value))
            for metric, histogram in record.get("histograms", {}).items():
                self._histograms.setdefault(metric, []).append((step, histogram))
        except (ValueError, KeyError, TypeError, AttributeError):
            return

    def _series(self) -> RunSeries:
        metrics = {m: (np.array(steps), np.array(values)) for m, (steps, values) in self._metrics.items()}
        return RunSeries(metrics, {m: _joined(rows) for m, rows in self._histograms.items()})


def _joined(rows: list[tuple[int, dict]]) -> Histograms:
    steps, histograms = zip(*rows)
    lo, hi, counts = ([h[key] for h in histograms] for key in ("lo", "hi", "counts"))
    return Histograms(np.array(steps), np.array(lo), np.array(hi), np.array(counts))


class _Rows:
    """A table whose rows are sorted by run, metric and step; text columns are dictionaries."""

    def __init__(self, table: pa.Table) -> None:
        self._codes = {name: _encoded(table, name) for name in ("run", "metric") if name in table.column_names}
        self._steps = table["step"].to_numpy()

    def stretches(self, column: str, rows: slice = slice(None)) -> Iterator[tuple[str, slice]]:
        """Each value of a column with the rows it stands in."""
        codes, words = self._codes[column]
        start = rows.start or 0
        inside = codes[rows]
        edges = [0, *(np.flatnonzero(np.diff(inside)) + 1), len(inside)] if len(inside) else [0]
        for first, last in zip(edges, edges[1:]):
            yield words[inside[first]], slice(start + int(first), start + int(last))


class _Scalars(_Rows):
    def __init__(self, table: pa.Table) -> None:
        super().__init__(table)
        self._values = table["value"].to_numpy()

    def at(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        return self._steps[rows], self._values[rows]


class _Binned(_Rows):
    def __init__(self, table: pa.Table) -> None:
        super().__init__(table)
        self._lo, self._hi = table["lo"].to_numpy(), table["hi"].to_numpy()
        flat = table["counts"].combine_chunks().flatten().to_numpy()
        self._counts = flat.reshape(len(table), -1) if len(table) else flat.reshape(0, 0)

    def at(self, rows: slice) -> Histograms:
        return Histograms(self._steps[rows], self._lo[rows], self._hi[rows], self._counts[rows])


class _ByMetric(Mapping):
    """The series of one run's rows, cut out when asked for."""

    def __init__(self, table: _Scalars | _Binned, rows: slice) -> None:
        self._table = table
        self._places = dict(table.stretches("metric", rows))

    def __getitem__(self, metric: str):
        return self._table.at(self._places[metric])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _encoded(table: pa.Table, name: str) -> tuple[np.ndarray, list[str]]:
    import pyarrow as pa

    column = table[name].unify_dictionaries().combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    return column.indices.to_numpy(), column.dictionary.to_pylist()


def _table(path: Path, remedy: str, **options: object) -> pa.Table:
    """With run and metric as dictionaries: a million rows then take a tenth of a second. Errors: IntegrityError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(pa.BufferReader(path.read_bytes()), read_dictionary=["run", "metric"], **options)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error, remedy) from error
