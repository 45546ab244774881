"""Writing a run directory while its run trains."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from bnlab import paths
from bnlab.config import RunConfig, from_dict, to_dict
from bnlab.errors import BnlabError, IntegrityError
from bnlab.store.files import disk_fault, make_folder, remove_asides, write_aside, write_json
from bnlab.store.records import Value, lines_before, read_lines, to_line, write_columns

WRITTEN_ASIDE = (
    paths.config_json,
    paths.status_json,
    paths.metrics_jsonl,
    paths.metrics_parquet,
    paths.distributions_parquet,
    paths.checkpoint,
)


def create_run(run: Path, config: RunConfig, run_id: str, overrides: dict) -> None:
    """Make the directory with its configuration, or check that the one stored there is the same.

    The stored configuration is completed with today's defaults first, so a field added since then does not count.
    Errors: IntegrityError when the address holds a different configuration, EnvironmentFault.
    """
    make_folder(run)
    for file_of in WRITTEN_ASIDE:
        remove_asides(file_of(run))
    path = paths.config_json(run)
    if path.exists() and _stored_config(path) != _comparable(config):
        raise IntegrityError(f"{run}: holds another configuration under this id; move that folder away")
    write_json(path, {"id": run_id, "overrides": overrides, "config": to_dict(config)})


def _stored_config(path: Path) -> dict | None:
    try:
        return _comparable(from_dict(json.loads(path.read_text())["config"]))
    except (ValueError, KeyError, BnlabError):
        return None


def _comparable(config: RunConfig) -> dict:
    """The configuration without what does not change the run: where it runs and who watches."""
    values = to_dict(config)
    for key in ("device", "threads", "tracker", "checkpoint"):
        del values[key]
    return values


def recorded_before(run: Path, step: int) -> str:
    """The sum over the rows of steps before `step`, as `RunWriter.sync` gave it when they were all there were."""
    return hashlib.sha256(lines_before(paths.metrics_jsonl(run), step)).hexdigest()


class RunWriter:
    """The measurements of one run: appended line by line, turned into columns at the end."""

    def __init__(self, run: Path, resume_at: int = 0) -> None:
        """Continue after the rows of steps before `resume_at`; later rows belong to lost work and are replaced."""
        self._run = run
        path = paths.metrics_jsonl(run)
        kept = lines_before(path, resume_at)
        write_aside(path, kept)
        with _refusals(path):
            self._file = open(path, "ab", buffering=0)
        self._digest = hashlib.sha256(kept)

    def record(self, step: int, values: dict[str, Value]) -> None:
        line = to_line(step, values).encode()
        self._digest.update(line)
        with _refusals(paths.metrics_jsonl(self._run)):
            while line:
                line = line[self._file.write(line) :]  # a disk that is almost full takes a part

    def sync(self) -> str:
        """Bring all rows to the disk; returns the sum over them, to be kept with the checkpoint that relies on them."""
        with _refusals(paths.metrics_jsonl(self._run)):
            os.fsync(self._file.fileno())
        return self._digest.hexdigest()

    def finish(self) -> None:
        """Write the parquet files of the whole run; the lines stay until both are in place.

        Errors: IntegrityError when the lines are not those that were written.
        """
        self._file.close()
        path = paths.metrics_jsonl(self._run)
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != self._digest.hexdigest():
            raise IntegrityError(f"{path}: was changed or removed while the run trained; run the command again")
        write_columns(read_lines(path), paths.metrics_parquet(self._run), paths.distributions_parquet(self._run))

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """A write that the machine refuses, as EnvironmentFault."""
    try:
        yield
    except OSError as error:
        raise disk_fault(error, path) from error
