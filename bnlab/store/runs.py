"""The runs of a setting, read back: from their directories or from the pack, never from both."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bnlab import paths
from bnlab.config import RunConfig, flatten, from_dict
from bnlab.errors import BadInput, Incomplete, IntegrityError
from bnlab.store.status import finished, read_status

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Planned(Protocol):
    """What the store needs to know of a planned run."""

    @property
    def config(self) -> RunConfig: ...

    @property
    def id(self) -> str: ...


# What mends a damaged file of a pack, and of a run.
FROM_GIT, AGAIN = "restore it from git", "delete its folder and run again"


@dataclass(frozen=True)
class Address:
    """Where a run of a setting lies: `key` is `variant/id`, the same in directories and in packs."""

    variant: str
    id: str

    @property
    def key(self) -> str:
        return f"{self.variant}/{self.id}"


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

    def histograms(self, metric: str) -> pd.DataFrame:
        """The rows of `distributions` with this metric, with the seed of each, by seed and step."""
        rows = self.distributions[self.distributions["metric"] == metric]
        return rows.assign(seed=rows["run"].map(self.table["seed"]).astype(int)).sort_values(["seed", "step"])


def addresses_of(planned: Iterable[Planned]) -> list[Address]:
    return [Address(run.config.variant, run.id) for run in planned]


def load_runs(setting: Path, planned: Iterable[Planned], source: str = "auto") -> Runs:
    """Read the finished runs of a plan: their directories if any is finished, else the pack.

    `source` = "runs" or "pack" insists on one. Errors: Incomplete when there is nothing to read, IntegrityError.
    """
    addresses = addresses_of(planned)
    if source not in ("auto", "runs", "pack"):
        raise BadInput(f"--from {source}: no such source; there are runs and pack")
    present = [a for a in addresses if finished(paths.run_dir(setting, a.variant, a.id))] if source != "pack" else []
    if present:
        return _assemble(setting, "runs", len(addresses), *_read_directories(setting, present))
    if source != "runs" and paths.pack_index(paths.pack_dir(setting)).exists():
        return _assemble(setting, "pack", len(addresses), *_read_pack(setting, addresses))
    data, _, scale = setting.name.rpartition("-")
    command = f"bnlab run {setting.parent.name} data={data} scale={scale}"
    raise Incomplete(f"{setting}: no finished run; type `{command}` first")


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


def index_entry(setting: Path, address: Address) -> dict:
    """What a pack keeps of a run besides its measurements."""
    run = paths.run_dir(setting, address.variant, address.id)
    stored = read_config(run)
    return {
        "variant": address.variant,
        "id": address.id,
        "overrides": stored["overrides"],
        "config": stored["config"],
        "status": dataclasses.asdict(read_status(run)),
    }


def read_config(run: Path) -> dict:
    """The stored configuration of a run, with its id and overrides. Errors: IntegrityError."""
    path = paths.config_json(run)
    try:
        stored = json.loads(path.read_text())
        from_dict(stored["config"])
        return {key: stored[key] for key in ("id", "overrides", "config")}
    except (OSError, ValueError, KeyError, TypeError, BadInput) as error:
        raise unreadable(path, error, AGAIN) from error


def _read_directories(setting: Path, present: list[Address]) -> tuple[list[dict], pa.Table, pa.Table]:
    files = (paths.metrics_parquet, paths.distributions_parquet)
    return [index_entry(setting, a) for a in present], *(gather(setting, present, file_of) for file_of in files)


def gather(setting: Path, present: list[Address], file_of) -> pa.Table:
    """One table of the same file of several runs, in the order given, with the run's key as first column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for address in present:
        path = file_of(paths.run_dir(setting, address.variant, address.id))
        try:
            table = pq.read_table(path, partitioning=None, page_checksum_verification=True)
            tables.append(table.add_column(0, "run", pa.array([address.key] * len(table), pa.string())))
            if tables[-1].schema != tables[0].schema:
                raise pa.ArrowInvalid("other columns than those of a run")
        except (OSError, pa.ArrowException) as error:
            raise unreadable(path, error, AGAIN) from error
    return pa.concat_tables(tables)


def _read_pack(setting: Path, addresses: list[Address]) -> tuple[list[dict], pa.Table, pa.Table]:
    import pyarrow as pa
    import pyarrow.compute as pc

    pack = paths.pack_dir(setting)
    wanted = {a.key: position for position, a in enumerate(addresses)}
    entries = [e for e in read_index(pack) if f"{e['variant']}/{e['id']}" in wanted]
    entries.sort(key=lambda e: wanted[f"{e['variant']}/{e['id']}"])
    if not entries:
        raise Incomplete(f"{pack}: holds no run of the plan as it is now; run the experiment, or restore its plan")
    tables = read_packed(pack)
    return entries, *(table.filter(pc.is_in(table["run"], pa.array(list(wanted)))) for table in tables)


def unreadable(path: Path, error: Exception, remedy: str) -> IntegrityError:
    """The one line for a file that is absent or damaged."""
    return IntegrityError(f"{path}: cannot be read ({type(error).__name__}); {remedy}")


def _assemble(setting: Path, source: str, planned: int, entries, metrics, distributions) -> Runs:
    data, _, scale = setting.name.rpartition("-")
    table = _table(entries)
    frames = (_frame(metrics, table), _frame(distributions, table))
    return Runs(setting.parent.name, data, scale, source, planned, table, *frames)


def _table(entries: list[dict]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for entry in entries:
        status = entry["status"]
        rows.append(
            {
                **flatten(from_dict(entry["config"])),
                "run": f"{entry['variant']}/{entry['id']}",
                "state": status["state"],
                "steps_done": status["step"],
                "diverged_at": float("nan") if status["diverged_at"] is None else float(status["diverged_at"]),
                "seconds": status["seconds"],
            }
        )
    return pd.DataFrame(rows).set_index("run")


def _frame(table: pa.Table, order: pd.DataFrame) -> pd.DataFrame:
    """As a data frame in the order of the plan, so that a picture does not depend on where its numbers lay.

    Runs and metrics are categories: a million rows are then selected in milliseconds.
    """
    import pandas as pd

    frame = table.to_pandas()
    frame["run"] = pd.Categorical(frame["run"], categories=list(order.index))
    frame["metric"] = pd.Categorical(frame["metric"], categories=sorted(frame["metric"].unique()))
    return frame.sort_values(["run", "metric", "step"], kind="stable", ignore_index=True)
