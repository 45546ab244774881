"""The only code that knows the format of a results folder: the write side and the read side meet here."""

from bnlab.store.files import make_folder, remove, rename, write_aside, write_changed, write_json
from bnlab.store.kept import drop_kept, keep
from bnlab.store.listing import RunListing
from bnlab.store.measurements import Histograms, RunSeries, Tail, read_finished, read_pack
from bnlab.store.pack import unpack, write_pack
from bnlab.store.recorded import Recorded, as_stored, read_recorded, runs_named
from bnlab.store.records import BINS, Histogram, Value, quantise, read_lines, scale_counts
from bnlab.store.runs import Runs, load_runs
from bnlab.store.status import (
    FINISHED,
    Status,
    StoredRun,
    add_notes,
    all_runs,
    finished,
    is_owned,
    owning,
    read_status,
    write_status,
)
from bnlab.store.writer import RunWriter, create_run, recorded_before

__all__ = [
    "BINS",
    "FINISHED",
    "Histogram",
    "Histograms",
    "Recorded",
    "RunListing",
    "RunSeries",
    "RunWriter",
    "Runs",
    "Status",
    "StoredRun",
    "Tail",
    "Value",
    "add_notes",
    "all_runs",
    "as_stored",
    "create_run",
    "drop_kept",
    "finished",
    "is_owned",
    "keep",
    "load_runs",
    "make_folder",
    "owning",
    "quantise",
    "read_finished",
    "read_lines",
    "read_pack",
    "read_recorded",
    "read_status",
    "recorded_before",
    "remove",
    "rename",
    "runs_named",
    "scale_counts",
    "unpack",
    "write_aside",
    "write_changed",
    "write_json",
    "write_pack",
    "write_status",
]
