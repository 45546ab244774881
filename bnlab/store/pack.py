"""The compact form of a setting that lives in git: its finished runs, joined without loss."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from bnlab import paths
from bnlab.errors import Incomplete
from bnlab.store.files import make_folder, write_aside, write_json
from bnlab.store.records import parquet_bytes
from bnlab.store.runs import Address, Planned, addresses_of, gather, index_entry, read_index, read_packed
from bnlab.store.status import finished


def write_pack(setting: Path, planned: Iterable[Planned]) -> Path:
    """Join the finished runs of a plan into `pack/`; the index is written last. Errors: Incomplete, IntegrityError."""
    addresses = addresses_of(planned)
    present = [a for a in addresses if finished(paths.run_dir(setting, a.variant, a.id))]
    if not present:
        raise Incomplete(f"{setting}: no finished run to pack; run the experiment first")
    pack = paths.pack_dir(setting)
    make_folder(pack)
    _refuse_to_lose(pack, addresses, present)
    contents = {
        paths.metrics_parquet(pack): parquet_bytes(gather(setting, present, paths.metrics_parquet)),
        paths.distributions_parquet(pack): parquet_bytes(gather(setting, present, paths.distributions_parquet)),
    }
    for path, content in contents.items():
        write_aside(path, content)
    sums = {path.name: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    write_json(paths.pack_index(pack), {"sha256": sums, "runs": [index_entry(setting, a) for a in present]})
    return pack


def _refuse_to_lose(pack: Path, planned: list[Address], present: list[Address]) -> None:
    """A pack may be all that is left of some runs: it is replaced only by one that has them too."""
    if not paths.pack_index(pack).exists():
        return
    held = {f"{entry['variant']}/{entry['id']}" for entry in read_index(pack)}
    lost = held & {a.key for a in planned} - {a.key for a in present}
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
