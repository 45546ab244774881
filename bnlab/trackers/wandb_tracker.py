"""Weights & Biases as a mirror of a run: the only file that imports wandb, and only in the side process."""

from __future__ import annotations

import os
import typing

import numpy as np

from bnlab.trackers.tracker import Sink, Watched

if typing.TYPE_CHECKING:
    import wandb

FAILED_STATES = ("failed", "damaged")


class WandbSink:
    """Scalars under their metric names, distributions as histograms whose bins are already counted."""

    def __init__(self, run: wandb.Run) -> None:
        self._run = run

    def record(self, step: int, values: dict[str, float], histograms: dict[str, dict]) -> None:
        import wandb

        drawn = {m: wandb.Histogram(np_histogram=_counts_and_edges(h)) for m, h in histograms.items()}
        self._run.log({**values, **drawn}, step=step)

    def close(self, state: str) -> None:
        self._run.summary["state"] = state
        self._run.finish(exit_code=1 if state in FAILED_STATES else 0)


def open_wandb(watched: Watched) -> Sink:
    """Offline unless the environment says otherwise (`WANDB_MODE=online`); the files lie in the run directory.

    The runs of an experiment are one group, its variants are job types, and variant and seed are tags. Errors: any that
    wandb raises, with ModuleNotFoundError where it is not installed.
    """
    import wandb

    config = watched.config
    experiment, variant, seed = config["experiment"], config["variant"], config["seed"]
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "bnlab"),
        mode=os.environ.get("WANDB_MODE", "offline"),
        dir=watched.directory,
        id=watched.key,
        resume="allow",
        group=experiment,
        job_type=variant,
        name=f"{variant}/{watched.directory.name}",
        tags=[variant, f"seed-{seed}"],
        config=config,
        settings=wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True),
    )
    return WandbSink(run)


def _counts_and_edges(histogram: dict) -> tuple[np.ndarray, np.ndarray]:
    counts = np.asarray(histogram["counts"])
    return counts, np.linspace(histogram["lo"], histogram["hi"], len(counts) + 1)
