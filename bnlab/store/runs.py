"""The runs of a setting, read back: from their directories or from the pack, never from both."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bnlab import paths
from bnlab.config import from_dict
from bnlab.errors import BadInput, Incomplete, IntegrityError
from bnlab.store.directories import (
    FROM_GIT,
    Address,
    Measurements,
    Planned,
    addresses_of,
    read_directories,
    unreadable,
)
from bnlab.store.frames import rows_frame, runs_frame
from bnlab.store.status import finished

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class Runs:
    """Finished runs of one setting.

    `table`: a row per run, indexed by `variant/id`; columns are the dotted configuration keys, variant, seed, state
    (done or diverged), steps_done, diverged_at (NaN where it did not). `metrics`: run, metric, step, value.
    `distributions`: run, metric, step, lo, hi, counts (array of 64).
    """

    experiment: str
    data: str
    scale: str
    source: str
    planned: int
    table: pd.DataFrame
    metrics: pd.DataFrame
    distributions: pd.DataFrame

    @property
    def n(self) -> int:
        return len(self.table)

    def select(self, **where: object) -> Runs:
        """The runs whose columns have these values; a list admits any of its values."""
        kept = self.table
        for key, value in where.items():
            if key not in kept.columns:
                raise KeyError(f"{key}: no such column of a run")
            kept = kept[kept[key].isin(value)] if isinstance(value, (list, tuple)) else kept[kept[key] == value]
        return dataclasses.replace(
            self,
            table=kept,
            metrics=self.metrics[self.metrics["run"].isin(kept.index)],
            distributions=self.distributions[self.distributions["run"].isin(kept.index)],
        )

    def series(self, metric: str) -> pd.DataFrame:
        """Index step, a column per seed in rising order; NaN where a run has no record, as after it diverged.

        Errors: ValueError when two of the runs share a seed, that is when the selection mixes configurations.
        """
        if self.table["seed"].duplicated().any():
            raise ValueError(f"{metric}: several selected runs share a seed; select one configuration first")
        rows = self.metrics[self.metrics["metric"] == metric]
        seeds = rows["run"].map(self.table["seed"]).astype(int)
        wide = rows.assign(seed=seeds).pivot(index="step", columns="seed", values="value")
        return wide.reindex(columns=sorted(self.table["seed"]))

    def outcome(self, column: str) -> dict[int, float]:
        """A number of each run that is no measurement of a probe, as `seconds` or `steps_done`, by seed."""
        return {int(seed): float(value) for seed, value in zip(self.table["seed"], self.table[column])}

    def histograms(self, metric: str) -> pd.DataFrame:
        """The rows of `distributions` with this metric, with the seed of each, by seed and step."""
        import numpy as np
        import pandas as pd

        rows = self.distributions[self.distributions["metric"] == metric]
        seeds = rows["run"].map(self.table["seed"]).astype(int)
        counts = pd.Series([np.asarray(row) for row in rows["counts"]], rows.index, object)
        return rows.assign(seed=seeds, counts=counts).sort_values(["seed", "step"])


def load_runs(setting: Path, planned: Iterable[Planned], source: str = "auto") -> Runs:
    """Read the finished runs of a plan: their directories if any is finished, else the pack.

    `source` = "runs" or "pack" insists on one. Errors: Incomplete when there is nothing to read, IntegrityError.
    """
    addresses = addresses_of(planned)
    if source not in ("auto", "runs", "pack"):
        raise BadInput(f"--from {source}: no such source; there are runs and pack")
    read = read_directories(setting, addresses) if source != "pack" else None
    if read is not None:
        return _assemble(setting, "runs", len(addresses), read)
    if source != "runs" and paths.pack_index(paths.pack_dir(setting)).exists():
        return _assemble(setting, "pack", len(addresses), _read_pack(setting, addresses))
    data, _, scale = setting.name.rpartition("-")
    command = f"bnlab run {setting.parent.name} data={data} scale={scale}"
    others = sum(finished(run) for run in paths.runs_dir(setting).glob("*/*"))
    besides = f" of its plan ({others} that it does not name lie there)" if others else ""
    raise Incomplete(f"{setting}: no finished run{besides}; type `{command}` first")


def read_index(pack: Path) -> list[dict]:
    """The entries of a pack's index, each with variant, id, overrides, config and status. Errors: IntegrityError."""
    path = paths.pack_index(pack)
    try:
        entries = json.loads(path.read_text())["runs"]
        for entry in entries:
            from_dict(entry["config"])
            if not {"variant", "id", "overrides", "state", "step"} <= {*entry, *entry["status"]}:
                raise KeyError("status")
    except (OSError, ValueError, KeyError, TypeError, BadInput) as error:
        raise unreadable(path, error, FROM_GIT) from error
    return entries


def read_packed(pack: Path) -> tuple[pa.Table, pa.Table]:
    """Metrics and distributions of a pack, after their sums. Errors: IntegrityError, with both sums."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for path in (paths.metrics_parquet(pack), paths.distributions_parquet(pack)):
        try:
            content = path.read_bytes()
            expected = json.loads(paths.pack_index(pack).read_text())["sha256"][path.name]
            found = hashlib.sha256(content).hexdigest()
            if found != expected:
                raise IntegrityError(f"{path}: expected sha256 {expected[:16]}..., found {found[:16]}...; {FROM_GIT}")
            tables.append(pq.read_table(pa.BufferReader(content)))
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise unreadable(path, error, FROM_GIT) from error
    return tables[0], tables[1]


def _read_pack(setting: Path, addresses: list[Address]) -> Measurements:
    import pyarrow as pa
    import pyarrow.compute as pc

    pack = paths.pack_dir(setting)
    wanted = {a.key: position for position, a in enumerate(addresses)}
    entries = [e for e in read_index(pack) if f"{e['variant']}/{e['id']}" in wanted]
    entries.sort(key=lambda e: wanted[f"{e['variant']}/{e['id']}"])
    if not entries:
        raise Incomplete(f"{pack}: holds no run of the plan as it is now; run the experiment, or restore its plan")
    tables = read_packed(pack)
    keys = pa.array(list(wanted))
    return Measurements(entries, *(table.filter(pc.is_in(table["run"], keys)) for table in tables))


def _assemble(setting: Path, source: str, planned: int, read: Measurements) -> Runs:
    data, _, scale = setting.name.rpartition("-")
    table = runs_frame(read.entries)
    frames = (rows_frame(rows, list(table.index)) for rows in (read.metrics, read.distributions))
    return Runs(setting.parent.name, data, scale, source, planned, table, *frames)
