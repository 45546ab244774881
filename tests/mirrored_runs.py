"""Runs as a training process writes them, for the tests of what follows them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bnlab import paths
from bnlab.config import RunConfig, run_id
from bnlab.store import Histogram, RunWriter, Status, create_run, write_status

CONFIG = RunConfig(experiment="ics_vgg", variant="bn", scale="smoke", seed=3)
HISTOGRAM = Histogram(-1.0, 3.0, (0, 0, *range(1, 60), 0, 0, 0))


def directory(root: Path, config: RunConfig = CONFIG) -> Path:
    setting = paths.setting_dir(root, config.experiment, config.data.name, config.scale)
    return paths.run_dir(setting, config.variant, run_id(config))


def train(run: Path, steps: range, state: str = "done", resume_at: int = 0, config: RunConfig = CONFIG) -> None:
    """Write what a training process writes; a row each step, with a histogram in every tenth."""
    create_run(run, config, run.name, {})
    writer = RunWriter(run, resume_at=resume_at)
    write_status(run, Status("running", steps.start, 100))
    for step in steps:
        values: dict = {"curves/train_loss": 2.0 - step / 100}
        writer.record(step, values | ({"activations/hist_output/01": HISTOGRAM} if step % 10 == 0 else {}))
    writer.finish() if state in ("done", "diverged") else writer.close()
    write_status(run, Status(state, steps.stop, 100))


def offline_rows(folder: Path) -> list[dict]:
    """The rows in all finished offline folders of a run, in their order, as wandb's own reader tells them."""
    return [record["history"]["item"] for record in offline_records(folder) if record["type"] == "history"]


def offline_records(folder: Path) -> list[dict]:
    pytest.importorskip("wandb")
    from wandb.util import get_core_path

    records = []
    for file in sorted(folder.glob("offline-run-*/*.wandb"), key=lambda file: file.stat().st_mtime_ns):
        command = [get_core_path(), "leet", "inspect", "-json", "-no-observability", "-run-file", str(file)]
        lines = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.splitlines()
        records += [json.loads(line) for line in lines]
    return records
