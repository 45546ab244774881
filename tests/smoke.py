"""The smoke plan of an experiment, or part of it, trained in this process and read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bnlab import paths
from bnlab.config import RunConfig
from bnlab.running import run_one
from bnlab.store import Runs, load_runs
from bnlab.sweeping.plan import make_plan


def smoke_runs(experiment: str, root: Path, keep: Callable[[RunConfig], bool] = lambda config: True) -> Runs:
    plan = make_plan(experiment, ["scale=smoke"])
    setting = paths.setting_dir(root, experiment, plan.data, plan.scale)
    for run in plan.complete:
        if keep(run.config):
            assert run_one(run.config, paths.run_dir(setting, run.config.variant, run.id), {}) == "done"
    return load_runs(setting, plan.complete, "runs")
