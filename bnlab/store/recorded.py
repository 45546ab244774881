"""All that one finished run left behind, step by step, for whoever trains it again to compare with."""

from __future__ import annotations

import dataclasses
import glob
from dataclasses import dataclass
from pathlib import Path

from bnlab import paths
from bnlab.config import RunConfig, from_dict
from bnlab.errors import Incomplete
from bnlab.store.directories import AGAIN, read_config, unreadable
from bnlab.store.records import Histogram, Value, read_lines
from bnlab.store.status import FINISHED, Status, read_status


@dataclass(frozen=True)
class Recorded:
    """`values[step][metric]` as the parquet files hold them, `digests[step][tensor]`: empty for a run without them."""

    id: str
    config: RunConfig
    status: Status
    values: dict[int, dict[str, Value]]
    digests: dict[int, dict[str, str]]


def runs_named(root: Path, word: str) -> list[Path]:
    """The run directories whose id is `word`, or, where none is, those whose id begins with it."""
    found = [run for run in sorted(root.glob(f"*/*/runs/*/{glob.escape(word)}*")) if run.is_dir()]
    return [run for run in found if run.name == word] or found


def read_recorded(run: Path) -> Recorded:
    """Errors: Incomplete for a run that is not finished, IntegrityError for one that cannot be read."""
    stored = read_config(run)
    status = read_status(run)
    if status is None or status.state not in FINISHED:
        how = f"{status.state} at step {status.step} of {status.steps}" if status else "never started"
        raise Incomplete(f"{run}: not finished ({how}); the `bnlab run` that began it finishes it")
    values: dict[int, dict[str, Value]] = {}
    for row in _rows(paths.metrics_parquet(run), "value"):
        values.setdefault(row["step"], {})[row["metric"]] = row["value"]
    for row in _rows(paths.distributions_parquet(run), "lo", "hi", "counts"):
        values.setdefault(row["step"], {})[row["metric"]] = Histogram(row["lo"], row["hi"], tuple(row["counts"]))
    return Recorded(stored["id"], from_dict(stored["config"]), status, values, _digests(paths.digests_jsonl(run)))


def as_stored(value: Value) -> Value:
    """A measurement at the precision of the parquet files."""
    if isinstance(value, Histogram):
        return dataclasses.replace(value, lo=_single(value.lo), hi=_single(value.hi))
    return _single(value)


def _single(value: float) -> float:
    import numpy as np

    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _rows(path: Path, *columns: str) -> list[dict]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, partitioning=None, page_checksum_verification=True)
        return table.select(["metric", "step", *columns]).to_pylist()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise unreadable(path, error, AGAIN) from error


def _digests(path: Path) -> dict[int, dict[str, str]]:
    """None where the file is absent; a finished run leaves no line in parts."""
    try:
        rows = read_lines(path)
        if path.exists() and len(rows) != len(path.read_bytes().splitlines()):
            raise ValueError("a damaged line")
        return {row["step"]: row["digests"] for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable(path, error, AGAIN) from error
