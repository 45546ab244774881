"""The compact form of a setting that lives in git: its finished runs, joined without loss."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bnlab import paths
from bnlab.errors import Incomplete
from bnlab.store.directories import Address, Planned, addresses_of, read_directories
from bnlab.store.files import make_folder, write_aside, write_json
from bnlab.store.records import parquet_bytes
from bnlab.store.runs import read_index, read_packed
from bnlab.store.status import finished

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = ("run", "metric")


def write_pack(setting: Path, planned: Iterable[Planned]) -> Path:
    """Join the finished runs of a plan into `pack/`; the index is written last. Errors: Incomplete, IntegrityError."""
    addresses = addresses_of(planned)
    found = read_directories(setting, addresses)
    if found is None:
        raise Incomplete(f"{setting}: no finished run to pack; run the experiment first")
    pack = paths.pack_dir(setting)
    make_folder(pack)
    _refuse_to_lose(pack, addresses, found.entries)
    sums = {}
    for path, rows in (
        (paths.metrics_parquet(pack), found.metrics),
        (paths.distributions_parquet(pack), found.distributions),
    ):
        content = parquet_bytes(_spelt_out(rows))
        write_aside(path, content)
        sums[path.name] = hashlib.sha256(content).hexdigest()
    write_json(paths.pack_index(pack), {"sha256": sums, "runs": found.entries})
    return pack


def _spelt_out(rows: pa.Table) -> pa.Table:
    """With run and metric as text in every row, which is how packs have always been written; run by run, since a
    column of text in one piece ends at 2 GiB."""
    import pyarrow as pa

    schema = pa.schema([field.with_type(pa.string()) if field.name in TEXT else field for field in rows.schema])
    return pa.Table.from_batches([batch.cast(schema) for batch in rows.to_batches()], schema)


def _refuse_to_lose(pack: Path, planned: list[Address], present: list[dict]) -> None:
    """A pack may be all that is left of some runs: it is replaced only by one that has them too."""
    if not paths.pack_index(pack).exists():
        return
    held, here = ({f"{entry['variant']}/{entry['id']}" for entry in entries} for entries in (read_index(pack), present))
    lost = held & {a.key for a in planned} - here
    if lost:
        experiment = pack.parent.parent.name
        raise Incomplete(f"{pack}: holds {len(lost)} runs that are not here; `bnlab unpack {experiment}` first")


def unpack(setting: Path) -> int:
    """Lay the runs of a pack out as run directories, so that a sweep goes on from it; returns how many were new."""
    import pyarrow.compute as pc

    pack = paths.pack_dir(setting)
    if not paths.pack_index(pack).exists():
        raise Incomplete(f"{pack}: there is no pack to unpack")
    entries = read_index(pack)
    metrics, distributions = read_packed(pack)
    new = 0
    for entry in entries:
        run = paths.run_dir(setting, entry["variant"], entry["id"])
        if finished(run):
            continue
        make_folder(run)
        key = f"{entry['variant']}/{entry['id']}"
        for table, path in ((metrics, paths.metrics_parquet(run)), (distributions, paths.distributions_parquet(run))):
            write_aside(path, parquet_bytes(table.filter(pc.equal(table["run"], key)).drop_columns("run")))
        write_json(paths.config_json(run), {k: entry[k] for k in ("id", "overrides", "config")})
        write_json(paths.status_json(run), entry["status"])
        new += 1
    return new
