"""The parts of `scaling.py` that it starts as processes of their own: writing many runs, and reading them back.

`python benchmarks/many_runs.py STEP FOLDER N`
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from scaling import EXPERIMENT, words

from bnlab import paths
from bnlab.config import to_dict
from bnlab.store import Runs, load_runs, write_pack
from bnlab.sweeping.plan import Plan, make_plan

COPIED = ("status.json", "metrics.parquet", "distributions.parquet")


def planned(runs: int) -> Plan:
    return make_plan(EXPERIMENT, words(runs))


def setting_of(root: Path, plan: Plan) -> Path:
    return paths.setting_dir(root, plan.experiment, plan.data, plan.scale)


def make(root: Path, runs: int) -> None:
    """Copy the run that lies in the results folder `template` beside `root` to the address of every planned run.

    Each has its own configuration. `metrics.jsonl`, which nothing opens that reads finished runs, is left out.
    """
    plan = planned(runs)
    (template,) = setting_of(root.with_name("template"), plan).glob("runs/*/*")
    for run in plan.runs:
        folder = paths.run_dir(setting_of(root, plan), run.config.variant, run.id)
        folder.mkdir(parents=True)
        said = {"id": run.id, "overrides": run.overrides, "config": to_dict(run.config)}
        paths.config_json(folder).write_text(json.dumps(said, indent=1) + "\n")
        for name in COPIED:
            shutil.copyfile(template / name, folder / name)


def plan(root: Path, runs: int) -> None:
    if len(planned(runs).runs) != runs:
        raise SystemExit(f"{' '.join(words(runs))}: {len(planned(runs).runs)} runs, not {runs}")


def read(root: Path, runs: int, source: str = "runs") -> Runs:
    plan = planned(runs)
    found = load_runs(setting_of(root, plan), plan.runs, source)
    if found.n != runs:
        raise SystemExit(f"{root}: {found.n} runs, not {runs}")
    return found


def read_pack(root: Path, runs: int) -> None:
    read(root, runs, "pack")


def collect(root: Path, runs: int) -> None:
    """Every verdict and one figure, from all runs."""
    from bnlab.claim_report import claim_rows
    from bnlab.experiment import load
    from bnlab.plots.drawing import save

    found, experiment = read(root, runs), load(EXPERIMENT)
    rows = claim_rows(experiment.claims, found)
    if not all(row["n"] for row in rows):
        raise SystemExit("a claim found no run to judge by")
    save(experiment.figures["accuracy"](found), root, "accuracy")


def pack(root: Path, runs: int) -> None:
    plan = planned(runs)
    write_pack(setting_of(root, plan), plan.runs)


STEPS: dict[str, Callable[[Path, int], object]] = {
    step.__name__: step for step in (make, plan, read, read_pack, collect, pack)
}


if __name__ == "__main__":
    STEPS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
