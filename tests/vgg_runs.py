"""Runs of `ics_vgg` made of given numbers, for tests of its claims and figures that train nothing."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pandas as pd

from bnlab.config import flatten
from bnlab.store import Runs
from bnlab.sweeping.plan import make_plan

RECORDS = 31
# Accuracy of the first fifth and of the rest of a run, as the article says, and what the input moments move by.
ARTICLE = {"plain": (0.40, 0.90), "bn": (0.70, 0.95), "bn_noise": (0.65, 0.94), "plain_noise": (0.10, 0.10)}
SPREAD = dict.fromkeys(ARTICLE, 1.0)  # variance of every layer's input
CHANGE = {"plain": 0.03, "bn": 0.002, "bn_noise": 1 / 3, "plain_noise": 1 / 3}


def vgg_runs(
    data="digits", scale="laptop", accuracy=ARTICLE, change=CHANGE, spread=SPREAD, keep=lambda row: True, diverge=None
) -> Runs:
    """Every planned run that `keep` admits; `diverge(row)` gives the step at which a run diverged, or None."""
    plan = _plan(data, scale)
    rows, metrics, distributions = [], [], []
    for number, run in enumerate(plan.complete):
        row = flatten(run.config) | {"run": f"{run.config.variant}/{run.id}", "state": "done", "diverged_at": np.nan}
        ended = diverge(row) if diverge else None
        if ended is not None:
            row |= {"state": "diverged", "diverged_at": float(ended)}
        row |= {"steps_done": row["steps"], "seconds": 1.0}
        if keep(row):
            rows.append(row)
            _record(row, np.random.default_rng(number), accuracy, change, spread, metrics, distributions)
    table = pd.DataFrame(rows).set_index("run")
    joined = (pd.concat(frames, ignore_index=True) for frames in (metrics, distributions))
    return Runs("ics_vgg", data, scale, "runs", len(plan.complete), table, *joined)


@functools.cache
def _plan(data: str, scale: str):
    return make_plan("ics_vgg", [f"data={data}", f"scale={scale}"])


def _record(row, rng, accuracy, change, spread, metrics, distributions) -> None:
    steps = np.unique(np.linspace(0, row["steps"], RECORDS).astype(int))
    steps = steps[~(steps >= row["diverged_at"])]
    early, late = accuracy[row["variant"]]
    curve = np.where(steps <= row["steps"] / 5, early, late) + rng.normal(0, 0.002)
    names = ("train_accuracy", "test_accuracy", "test_accuracy_recalibrated")
    found = {f"curves/{name}": curve for name in names}
    for layer in row["probe.moments.layers"]:
        for moment in ("mean", "var"):
            moved = change[row["variant"]] * np.exp(rng.normal(0, 0.05))
            found[f"moments/{moment}_change/{layer:02d}"] = np.full(len(steps), moved)
        found[f"moments/var/{layer:02d}"] = np.full(len(steps), spread[row["variant"]])
        shape = np.exp(-(np.linspace(-3, 3, 64) ** 2) / 2)
        counts = [np.round(1000 * shape).astype(int) for _ in steps]
        frame = pd.DataFrame({"run": row["run"], "metric": f"activations/hist_unit/{layer:02d}", "step": steps})
        distributions.append(frame.assign(lo=-3.0, hi=3.0, counts=counts))
    metrics += [pd.DataFrame({"run": row["run"], "metric": m, "step": steps, "value": v}) for m, v in found.items()]


def relabelled(runs: Runs, names: dict[str, str]) -> Runs:
    """The runs with their variants under other names (an exchange, or one arm under several)."""
    table = runs.table.assign(variant=runs.table["variant"].replace(names))
    return dataclasses.replace(runs, table=table)


def standing_for(runs: Runs, arm: str, also: tuple[str, ...]) -> Runs:
    """One arm in its own place and in the places of others."""
    kept = [runs.select(variant=arm)]
    for name in also:
        copy = kept[0]
        kept.append(
            dataclasses.replace(
                copy,
                table=copy.table.assign(variant=name).rename(index=lambda key, name=name: f"{name}:{key}"),
                metrics=copy.metrics.assign(run=name + ":" + copy.metrics["run"]),
                distributions=copy.distributions.assign(run=name + ":" + copy.distributions["run"]),
            )
        )
    parts = {f: pd.concat([getattr(k, f) for k in kept]) for f in ("table", "metrics", "distributions")}
    return dataclasses.replace(runs, **parts)
