"""One function per file of a results folder; the only place that knows their names."""

from __future__ import annotations

import os
from pathlib import Path


def results_root(chosen: str | None = None) -> Path:
    """The results folder: the one chosen, else `BNLAB_RESULTS`, else `./results`."""
    return Path(chosen or os.environ.get("BNLAB_RESULTS") or "results")


def setting_dir(root: Path, experiment: str, data: str, scale: str) -> Path:
    return root / experiment / f"{data}-{scale}"


def runs_dir(setting: Path) -> Path:
    return setting / "runs"


def run_dir(setting: Path, variant: str, run_id: str) -> Path:
    return runs_dir(setting) / variant / run_id


def pack_dir(setting: Path) -> Path:
    return setting / "pack"


def jobs_dir(setting: Path) -> Path:
    """What submitit keeps of a sweep's jobs: their scripts and logs."""
    return setting / "slurm"


def figures_dir(setting: Path) -> Path:
    return setting / "figures"


def claims_json(setting: Path) -> Path:
    return setting / "claims.json"


def claims_markdown(setting: Path) -> Path:
    return setting / "claims.md"


def run_lock(run: Path) -> Path:
    return run / ".lock"


def config_json(run: Path) -> Path:
    return run / "config.json"


def status_json(run: Path) -> Path:
    return run / "status.json"


def metrics_jsonl(run: Path) -> Path:
    return run / "metrics.jsonl"


def digests_jsonl(run: Path) -> Path:
    return run / "digests.jsonl"


def metrics_parquet(folder: Path) -> Path:
    return folder / "metrics.parquet"


def distributions_parquet(folder: Path) -> Path:
    return folder / "distributions.parquet"


def pack_index(pack: Path) -> Path:
    return pack / "runs.json"


def checkpoint(run: Path) -> Path:
    return run / "checkpoint.pt"


def previous_checkpoint(run: Path) -> Path:
    return run / "checkpoint.previous.pt"


def kept_run(run: Path) -> Path:
    """The finished run that is being made again, as a run directory of its own."""
    return run / ".kept"


def run_log(run: Path) -> Path:
    return run / "run.log"


# What a finished run is read from; the log and the checkpoint are beside it.
OF_A_RUN = (config_json, status_json, metrics_jsonl, digests_jsonl, metrics_parquet, distributions_parquet)
