"""Where measurements go besides the run's own files: a registry of trackers, and `start`."""

from __future__ import annotations

from pathlib import Path

from bnlab.trackers.side_process import Handle, launch
from bnlab.trackers.tracker import OpenSink, ledger_file
from bnlab.trackers.wandb_tracker import open_wandb

TRACKERS: dict[str, OpenSink | None] = {"none": None, "wandb": open_wandb}

__all__ = ["TRACKERS", "Handle", "forget", "start"]


def start(name: str, run_dir: Path, config: dict) -> Handle | None:
    """Begin to mirror a run into the tracker `name`; None where that is no tracker at all.

    `config` is the nested form of the run's `RunConfig` (`bnlab.config.to_dict`). Returns at once and never raises:
    whatever goes wrong, now or later, is the one line that `Handle.finish` returns.
    """
    return None if TRACKERS[name] is None else launch(name, run_dir, config)


def forget(run_dir: Path) -> None:
    """Let the next attempt at this run appear as a new one, from its first row: for a run that is made again."""
    ledger_file(run_dir).unlink(missing_ok=True)
