"""Runs made of given numbers, by default of `activation_histograms`, for tests that train nothing."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pandas as pd

from bnlab.config import flatten
from bnlab.store import Runs
from bnlab.sweeping.plan import make_plan

Values = Callable[[dict, np.ndarray, np.random.Generator], dict[str, np.ndarray]]


def made_runs(
    values: Values,
    words: tuple[str, ...] = ("data=digits", "scale=laptop"),
    keep=lambda row: True,
    experiment: str = "activation_histograms",
) -> Runs:
    """Every planned run that `keep` admits; `values(config, steps, rng)` gives its metrics over its recorded steps.

    A metric named `hist_...` is an array (steps, 64) of counts over [-5, 5] or, for outputs, [0, 1].
    """
    plan = planned(words, experiment)
    rows, metrics, distributions = [], [], []
    for number, run in enumerate(plan.complete):
        row = flatten(run.config) | {"run": f"{run.config.variant}/{run.id}", "state": "done"}
        row |= {"steps_done": row["steps"], "diverged_at": np.nan, "seconds": 1.0}
        if not keep(row):
            continue
        rows.append(row)
        steps = np.unique(np.round(np.linspace(0, row["steps"], 11)).astype(int))
        for name, series in values(row, steps, np.random.default_rng(number)).items():
            if series.ndim == 2:
                lo, hi = (0.0, 1.0) if "output" in name else (-5.0, 5.0)
                distributions += [(row["run"], name, s, lo, hi, counts) for s, counts in zip(steps, series)]
            else:
                metrics += [(row["run"], name, s, value) for s, value in zip(steps, series)]
    return Runs(
        experiment=plan.experiment,
        data=plan.data,
        scale=plan.scale,
        source="runs",
        planned=len(plan.complete),
        table=pd.DataFrame(rows).set_index("run"),
        metrics=pd.DataFrame(metrics, columns=["run", "metric", "step", "value"]),
        distributions=pd.DataFrame(distributions, columns=["run", "metric", "step", "lo", "hi", "counts"]),
    )


@functools.cache
def planned(words: tuple[str, ...], experiment: str = "activation_histograms"):
    return make_plan(experiment, list(words))


def without(runs: Runs, key: str, value: object) -> Runs:
    """The runs of a sweep in which those with this value are not there yet."""
    kept = runs.table[runs.table[key] != value]
    metrics = runs.metrics[runs.metrics["run"].isin(kept.index)]
    distributions = runs.distributions[runs.distributions["run"].isin(kept.index)]
    return dataclasses.replace(runs, table=kept, metrics=metrics, distributions=distributions)


def as_the_talk_says(row: dict, steps: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Numbers for which every sentence of the talk holds, with a little noise per run."""
    from bnlab.stats import standardised_max

    bn, fast = row["variant"] == "bn", row["lr"] > 0.01
    one, noise = np.ones(len(steps)), rng.normal(0, 0.002)
    found = {"curves/test_accuracy": one * ((0.985 if bn else 0.96) + noise), "curves/train_accuracy": one * 0.99}
    if row["model.activation"] == "sigmoid":
        spread = np.arange(8) / 7 if bn else np.array([0, 0, 0, 0, 1, 1, 1, 1])
        found |= {f"activations/b{k}/pooled": one * (spread[k] + noise) for k in range(8)}
        found["activations/saturated/pooled"] = one * ((0.1 if bn else 0.9 if fast else 0.5) + noise)
        found["activations/input_mean_abs/pooled"] = one * (0.3 + noise)
        found["activations/input_linear/pooled"] = one * (0.9 + noise)
        found["activations/hist_output/pooled"] = np.tile(_bell(0.5, 0.1, 0, 1), (len(steps), 1))
    else:
        centre = standardised_max(row["batch_size"]) + 0.1 + noise if bn else 8.0 + noise
        found["activations/max_mean/pooled"] = one * centre
        found["activations/max_skew/pooled"] = one * ((0.5 if bn else 2.5) + noise)
        found["activations/dead/pooled"] = one * ((0.01 if bn else 0.5) + noise)
        found["activations/zero/pooled"] = one * (0.4602 + noise)
        found |= {f"activations/m{k}/pooled": one * (centre - 0.7 + 0.2 * k) for k in range(8)}
        found |= {f"activations/b{k}/pooled": one * max(0.0, 0.3 * (k - 3)) for k in range(8)}
        found |= {f"activations/max_mean/{layer:02d}": one * centre for layer in (1, 2, 3, 4)}
        found["activations/hist_output/pooled"] = np.tile(_bell(0.3, 0.1, 0, 1), (len(steps), 1))
        found["activations/hist_max/pooled"] = np.tile(_bell(2.5, 0.4, -5, 5), (len(steps), 1))
    found["activations/hist_input/pooled"] = np.tile(_bell(0, 1, -5, 5), (len(steps), 1))
    return found


def _bell(mean: float, sd: float, lo: float, hi: float) -> np.ndarray:
    centres = np.linspace(lo, hi, 129)[1::2]
    return 60_000 * np.exp(-(((centres - mean) / sd) ** 2) / 2)
