"""One measurement: how it is rounded, written as a line while a run trains, and kept as columns afterwards."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path

from bnlab.store.files import write_aside

BINS = 64
LARGEST_COUNT = 255
SIGNIFICANT_DIGITS = 4


@dataclass(frozen=True)
class Histogram:
    """`BINS` counts over equal bins of [lo, hi]."""

    lo: float
    hi: float
    counts: tuple[int, ...]


Value = float | Histogram


def quantise(value: float) -> float:
    """Round to four significant digits: what is stored is what every later picture is drawn from."""
    return float(f"{float(value):.{SIGNIFICANT_DIGITS}g}")


def scale_counts(counts: list[int]) -> tuple[int, ...]:
    """Shrink counts in proportion so that the largest fits one byte; smaller histograms stay as they are."""
    largest = max(counts)
    if largest <= LARGEST_COUNT:
        return tuple(int(c) for c in counts)
    return tuple(int(round(c * LARGEST_COUNT / largest)) for c in counts)


def to_line(step: int, values: dict[str, Value]) -> str:
    """One JSON line: `{"step": …, "values": {metric: number}, "histograms": {metric: {lo, hi, counts}}}`."""
    scalars = {m: v for m, v in values.items() if not isinstance(v, Histogram)}
    record: dict[str, object] = {"step": step, "values": scalars}
    histograms = {m: dataclasses.asdict(v) for m, v in values.items() if isinstance(v, Histogram)}
    if histograms:
        record["histograms"] = histograms
    return json.dumps(record) + "\n"


def digest_line(step: int, digests: dict[str, str]) -> str:
    """One JSON line: `{"step": …, "digests": {tensor: hex digits}}`."""
    return json.dumps({"step": step, "digests": digests}) + "\n"


def read_lines(path: Path) -> list[dict]:
    """All whole lines of a metrics file; a torn last line (the process died while writing it) is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            records.append(json.loads(line))
        except ValueError:
            break  # a torn line in the middle can only be followed by lines of a later attempt, which rewrote the file
    return records


def lines_before(path: Path, step: int) -> bytes:
    """The whole lines of a metrics file whose step is before `step`, as they are, up to the first damaged one."""
    records = read_lines(path)
    lines = path.read_bytes().split(b"\n") if records else []
    return b"".join(line + b"\n" for line, record in zip(lines, records) if record["step"] < step)


def write_columns(records: list[dict], metrics_path: Path, distributions_path: Path) -> None:
    """Turn the lines of a finished run into its two parquet files."""
    scalars = [(m, r["step"], v) for r in records for m, v in r["values"].items()]
    histograms = [
        (m, r["step"], h["lo"], h["hi"], h["counts"]) for r in records for m, h in r.get("histograms", {}).items()
    ]
    scalars.sort(key=lambda row: row[:2])
    histograms.sort(key=lambda row: row[:2])
    _write(metrics_path, scalar_table(scalars))
    _write(distributions_path, histogram_table(histograms))


def scalar_table(rows: list[tuple]):
    """Arrow table (metric, step, value) from tuples in that order."""
    import pyarrow as pa

    metric, step, value = zip(*rows) if rows else ((), (), ())
    return pa.table(
        {
            "metric": pa.array(metric, pa.string()),
            "step": pa.array(step, pa.int32()),
            "value": pa.array([_number(v) for v in value], pa.float32()),
        }
    )


def histogram_table(rows: list[tuple]):
    """Arrow table (metric, step, lo, hi, counts[BINS]) from tuples in that order."""
    import pyarrow as pa

    metric, step, lo, hi, counts = zip(*rows) if rows else ((), (), (), (), ())
    flat = pa.array([c for row in counts for c in row], pa.uint8())
    return pa.table(
        {
            "metric": pa.array(metric, pa.string()),
            "step": pa.array(step, pa.int32()),
            "lo": pa.array(lo, pa.float32()),
            "hi": pa.array(hi, pa.float32()),
            "counts": pa.FixedSizeListArray.from_arrays(flat, BINS),
        }
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _write(path: Path, table) -> None:
    write_aside(path, parquet_bytes(table, page_sums=True))


def parquet_bytes(table, page_sums: bool = False) -> bytes:
    """The table as a parquet file: zstd, bytes of floats split by place, steps as differences.

    With `page_sums` every page carries its own sum, which readers check.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = [f.name for f in table.schema if pa.types.is_string(f.type)]
    encoding = {f.name: "BYTE_STREAM_SPLIT" for f in table.schema if pa.types.is_float32(f.type)}
    encoding |= {f.name: "DELTA_BINARY_PACKED" for f in table.schema if pa.types.is_int32(f.type)}
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=19,
        use_dictionary=words,
        column_encoding=encoding,
        write_page_checksum=page_sums,
    )
    return buffer.getvalue()
