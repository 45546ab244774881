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
from bnlab.store.records import Value, digest_line, lines_before, read_lines, to_line, write_columns

WRITTEN_ASIDE = (*paths.OF_A_RUN, paths.checkpoint)


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


class _Lines:
    """A file that grows line by line, a step each."""

    def __init__(self, path: Path, resume_at: int) -> None:
        """Continue after the lines of steps before `resume_at`; later ones belong to lost work and are replaced."""
        self._path = path
        kept = lines_before(path, resume_at)
        write_aside(path, kept)
        with _refusals(path):
            self._file = open(path, "ab", buffering=0)
        self._digest = hashlib.sha256(kept)

    def append(self, text: str) -> None:
        line = text.encode()
        self._digest.update(line)
        with _refusals(self._path):
            while line:
                line = line[self._file.write(line) :]  # a disk that is almost full takes a part

    def sync(self) -> None:
        with _refusals(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    @property
    def sum(self) -> str:
        return self._digest.hexdigest()


class RunWriter:
    """What one run measures, and the digests of its tensors, line by line; at the end the former become columns.

    The digests have a file of their own, because a line of metrics is a measured step to whoever follows the run.
    """

    def __init__(self, run: Path, resume_at: int = 0) -> None:
        """Continue after the rows of steps before `resume_at`; later rows belong to lost work and are replaced."""
        self._run = run
        self._metrics = _Lines(paths.metrics_jsonl(run), resume_at)
        self._digests = _Lines(paths.digests_jsonl(run), resume_at)

    def record(self, step: int, values: dict[str, Value]) -> None:
        self._metrics.append(to_line(step, values))

    def record_digests(self, step: int, digests: dict[str, str]) -> None:
        """Keep the digest of every tensor after `step` updates."""
        self._digests.append(digest_line(step, digests))

    def sync(self) -> str:
        """Bring all rows to the disk; returns the sum over those measured, for the checkpoint that relies on them."""
        self._digests.sync()
        self._metrics.sync()
        return self._metrics.sum

    def finish(self) -> None:
        """Write the parquet files of the whole run; the lines stay until both are in place.

        Errors: IntegrityError when the lines are not those that were written.
        """
        self.close()
        path = paths.metrics_jsonl(self._run)
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != self._metrics.sum:
            raise IntegrityError(f"{path}: was changed or removed while the run trained; run the command again")
        write_columns(read_lines(path), paths.metrics_parquet(self._run), paths.distributions_parquet(self._run))

    def close(self) -> None:
        self._metrics.close()
        self._digests.close()


@contextlib.contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """A write that the machine refuses, as EnvironmentFault."""
    try:
        yield
    except OSError as error:
        raise disk_fault(error, path) from error
