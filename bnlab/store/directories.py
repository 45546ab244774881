"""Reading the finished runs of a setting from their directories."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bnlab import paths
from bnlab.config import RunConfig, from_dict
from bnlab.errors import BadInput, IntegrityError
from bnlab.store.status import FINISHED, Status, finished, is_owned, read_status

if TYPE_CHECKING:
    import pyarrow as pa

# What mends a damaged file of a pack, and of a run.
FROM_GIT, AGAIN = "restore it from git", "delete its folder and run again"


class Planned(Protocol):
    """What the store needs to know of a planned run."""

    @property
    def config(self) -> RunConfig: ...

    @property
    def id(self) -> str: ...


@dataclass(frozen=True)
class Address:
    """Where a run of a setting lies: `key` is `variant/id`, the same in directories and in packs."""

    variant: str
    id: str

    @property
    def key(self) -> str:
        return f"{self.variant}/{self.id}"

    def directory(self, setting: Path) -> Path:
        return paths.run_dir(setting, self.variant, self.id)


@dataclass(frozen=True)
class Measurements:
    """Finished runs: an entry per run, as a pack's index keeps it, and their rows under the run's key."""

    entries: list[dict]
    metrics: pa.Table
    distributions: pa.Table


def addresses_of(planned: Iterable[Planned]) -> list[Address]:
    return [Address(run.config.variant, run.id) for run in planned]


def read_directories(setting: Path, addresses: Iterable[Address]) -> Measurements | None:
    """The finished runs among these, in the order given; None where there is none. Errors: IntegrityError."""
    kept: list[Address] = []
    entries: list[dict] = []
    metrics: list[pa.Table] = []
    distributions: list[pa.Table] = []
    for address in addresses:
        read = _finished(address, setting)
        if read is None:
            continue
        kept.append(address)
        for rows, one in zip((entries, metrics, distributions), read):
            rows.append(one)
    if not kept:
        return None
    runs = [(address.key, address.directory(setting)) for address in kept]
    return Measurements(
        entries,
        _joined(runs, metrics, paths.metrics_parquet),
        _joined(runs, distributions, paths.distributions_parquet),
    )


def read_config(run: Path) -> dict:
    """The stored configuration of a run, with its id and overrides. Errors: IntegrityError."""
    path = paths.config_json(run)
    try:
        stored = json.loads(path.read_bytes())
        from_dict(stored["config"])
        return {key: stored[key] for key in ("id", "overrides", "config")}
    except (OSError, ValueError, KeyError, TypeError, BadInput) as error:
        raise unreadable(path, error, AGAIN) from error


def unreadable(path: Path, error: Exception, remedy: str) -> IntegrityError:
    if isinstance(error, BadInput):  # most likely a run of an extension that this process was not shown
        told = str(error).partition(";")[0]
        return IntegrityError(f"{path}: {told}; set BNLAB_EXTENSIONS to where it is declared, or {remedy}")
    return IntegrityError(f"{path}: cannot be read ({type(error).__name__}); {remedy}")


def _finished(address: Address, setting: Path) -> tuple[dict, pa.Table, pa.Table] | None:
    """The finished run of this address, or the one that it was before, while it is made again."""
    run = address.directory(setting)
    read = _read(address, run)
    if read is None and paths.kept_run(run).exists():
        read = _read(address, paths.kept_run(run)) or _read(address, run)  # it may be done between the looks
    return read


def _read(address: Address, run: Path) -> tuple[dict, pa.Table, pa.Table] | None:
    """None for a run that is not finished. Errors: IntegrityError."""
    status = read_status(run)
    if status is None or status.state not in FINISHED:
        return None
    try:
        tables = (_rows(run, file_of) for file_of in (paths.metrics_parquet, paths.distributions_parquet))
        return _entry(run, address, status), *tables
    except IntegrityError:
        if is_owned(run) or not finished(run):
            return None  # a sweep began it again between the two looks
        raise


def _entry(run: Path, address: Address, status: Status) -> dict:
    """What a pack keeps of a run besides its measurements."""
    stored = read_config(run)
    return {
        "variant": address.variant,
        "id": address.id,
        "overrides": stored["overrides"],
        "config": stored["config"],
        "status": dataclasses.asdict(status),
    }


def _rows(run: Path, file_of: Callable[[Path], Path]) -> pa.Table:
    """One parquet file of a run. Small files are read fastest whole and by one thread."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = file_of(run)
    try:
        file = pq.ParquetFile(
            pa.BufferReader(path.read_bytes()), page_checksum_verification=True, read_dictionary=["metric"]
        )
        return file.read(use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error, AGAIN) from error


def _joined(runs: list[tuple[str, Path]], tables: list[pa.Table], file_of: Callable[[Path], Path]) -> pa.Table:
    """The rows of several runs in one table, a chunk per run, whose first column is the run's key, stored once."""
    import numpy as np
    import pyarrow as pa

    for (_, run), table in zip(runs, tables):
        if table.schema != tables[0].schema:
            raise unreadable(file_of(run), pa.ArrowInvalid("other columns than those of a run"), AGAIN)
    places = np.repeat(np.arange(len(tables), dtype=np.int32), [len(table) for table in tables])
    keys = pa.DictionaryArray.from_arrays(places, [key for key, _ in runs])
    return pa.concat_tables(tables).unify_dictionaries().add_column(0, "run", keys)
