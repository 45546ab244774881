"""From the runs of one arm to one number per seed, and from two arms to a paired effect: what claims are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnlab.claims import Measured
from bnlab.errors import Incomplete
from bnlab.stats import excess_kurtosis, paired_difference, window_mean

if TYPE_CHECKING:
    import pandas as pd

    from bnlab.store import Runs

Effects = dict[int, float]

# Windows as shares of a run's steps: fixed for every claim, so that no window is chosen after looking.
START = (0.0, 0.0)  # before the first update
LATE = (0.8, 1.0)


def seeds_of(runs: Runs) -> list[int]:
    return sorted(int(seed) for seed in runs.table["seed"])


def over_window(runs: Runs, metric: str, window: tuple[float, float] = LATE, chance: float | None = None) -> Effects:
    """Mean of a metric over a window of the run, per seed; NaN where nothing was recorded there.

    A run that diverged before the end of the window counts at `chance`, or without that with its last record, so that
    survivors alone are never averaged.
    """
    values: Effects = {seed: math.nan for seed in seeds_of(runs)}
    if not values:
        return values
    series = runs.series(metric)
    low, high = _steps(runs, window)
    for seed, mean in zip(series.columns, window_mean(series.index.to_numpy(), series.to_numpy(), low, high)):
        values[int(seed)] = float(mean)
    for seed in _diverged(runs, high):
        records = series[seed].dropna()
        values[seed] = chance if chance is not None else float(records.iloc[-1]) if len(records) else math.nan
    return values


def layer_metrics(runs: Runs, name: str) -> list[str]:
    """The metrics of one quantity, a layer each."""
    return sorted(m for m in runs.metrics["metric"].unique() if m.startswith(f"{name}/"))


def mean_of_layers(runs: Runs, name: str) -> pd.DataFrame:
    """A quantity averaged over layers; index step, a column per seed."""
    found = [runs.series(metric) for metric in layer_metrics(runs, name)]
    return sum(found[1:], found[0]) / len(found) if found else runs.series(f"{name}/01")


def kurtosis_over_window(runs: Runs, metric: str, window: tuple[float, float] = LATE) -> Effects:
    """Mean excess kurtosis of the histograms recorded in a window, per seed; NaN where there is none.

    A run that diverged before the end of the window counts with its last histogram.
    """
    values: Effects = {seed: math.nan for seed in seeds_of(runs)}
    if not values:
        return values
    low, high = _steps(runs, window)
    broken = _diverged(runs, high)
    for seed, rows in runs.histograms(metric).groupby("seed"):
        chosen = rows.iloc[-1:] if seed in broken else rows[(rows["step"] >= low) & (rows["step"] <= high)]
        found = [excess_kurtosis(*histogram) for histogram in zip(chosen["lo"], chosen["hi"], chosen["counts"])]
        values[int(seed)] = sum(found) / len(found) if found else math.nan
    return values


def _diverged(runs: Runs, before: float) -> list[int]:
    table = runs.table
    return [int(s) for s in table.loc[(table["state"] == "diverged") & (table["diverged_at"] <= before), "seed"]]


def _steps(runs: Runs, window: tuple[float, float]) -> tuple[float, float]:
    return tuple(share * int(runs.table["steps"].max()) for share in window)


@dataclass(frozen=True)
class Arm:
    """One net at one rate, in runs of the length planned for it: the same net in shorter ones belongs to a sweep.

    `seeds` and `steps` map a setting (`mnist-laptop`) to the number of seeds and of steps that its plan has.
    """

    model: str
    activation: str
    variant: str
    lr: float
    batch_size: int
    seeds: Mapping[str, int]
    steps: Mapping[str, int]

    @property
    def name(self) -> str:
        return f"{self.variant} at {self.lr:g}"

    @property
    def keys(self) -> dict[str, object]:
        return {
            "model.name": self.model,
            "model.activation": self.activation,
            "variant": self.variant,
            "lr": self.lr,
            "batch_size": self.batch_size,
        }

    def of(self, runs: Runs) -> Runs:
        return runs.select(**self.keys, steps=self.length(runs))

    def length(self, runs: Runs) -> int:
        """Steps of the runs that are meant."""
        return planned_steps(runs.select(**{"model.name": self.model}), self.steps)

    def planned(self, runs: Runs, found: int) -> int:
        return planned_seeds(runs, self.seeds, found)


def planned_seeds(runs: Runs, seeds: Mapping[str, int], found: int) -> int:
    """The planned number of seeds; those found in a setting that has no plan, or where a command asked for more."""
    return max(seeds.get(f"{runs.data}-{runs.scale}", found), found)


def planned_steps(runs: Runs, steps: Mapping[str, int]) -> int:
    """The planned number of steps; that of the longest of these runs in a setting that has no plan.

    Never the longest run present where there is a plan: a sweep may have finished its shorter runs first.
    """
    longest = int(runs.table["steps"].max()) if runs.n else 0
    return steps.get(f"{runs.data}-{runs.scale}", longest)


def need(found: bool, runs: Runs, what: str) -> None:
    """For figures: raises Incomplete when there is nothing at all to draw, so that no empty panels are written."""
    if not found:
        command = f"bnlab run {runs.experiment} data={runs.data} scale={runs.scale}"
        raise Incomplete(f"nothing to draw: no finished run of {what}; type `{command}` first")


Measure = Callable[["Runs", Arm], Effects]


def metric(name: str, window: tuple[float, float] = LATE, chance: float | None = None) -> Measure:
    return lambda runs, arm: over_window(arm.of(runs), name, window, chance)


def kurtosis(name: str, window: tuple[float, float] = LATE) -> Measure:
    return lambda runs, arm: kurtosis_over_window(arm.of(runs), name, window)


def size(measure: Measure) -> Measure:
    return lambda runs, arm: {seed: abs(value) for seed, value in measure(runs, arm).items()}


def level(arm: Arm, measure: Measure, effect: Callable[[float], float], what: str) -> Callable[[Runs], Measured]:
    """One arm against a threshold: `effect` turns a seed's value into an oriented effect; `what` names it."""

    def measured(runs: Runs) -> Measured:
        values = measure(runs, arm)
        effects = {seed: effect(v) for seed, v in values.items()}
        return Measured(effects, arm.planned(runs, len(values)), mean_note(what, values.values()), lost_seeds(values))

    return measured


def gap(more: Arm, less: Arm, measure: Measure, of_less: Measure | None = None) -> Callable[[Runs], Measured]:
    """`more` minus `less`, paired by seed; the note gives the mean of each. `of_less` measures `less`, where given."""

    def measured(runs: Runs) -> Measured:
        first, second = measure(runs, more), (of_less or measure)(runs, less)
        note = mean_notes((more.name, first), (less.name, second))
        void = all_diverged((more.of(runs), first), (less.of(runs), second))
        effects = paired_difference(first, second)
        return Measured(effects, more.planned(runs, len(first)), note, lost_seeds(first, second), void)

    return measured


def lost_seeds(*sides: Effects) -> frozenset[int]:
    """The seeds for which a finished run of some side yielded no value."""
    return frozenset(seed for side in sides for seed, value in side.items() if not math.isfinite(value))


def all_diverged(*sides: tuple[Runs, Effects]) -> str:
    """Words for sides whose every run diverged and counts the same, as wholly at chance; else empty.

    Their difference is exactly 0 for want of anything to compare, which must not be read as "no difference".
    """
    broken = all((runs.table["state"] == "diverged").all() for runs, _ in sides)
    values = {value for _, effects in sides for value in effects.values()}
    return "every run diverged and counts the same: nothing is compared" if broken and len(values) == 1 else ""


def mean_notes(*sides: tuple[str, Effects]) -> str:
    """The mean of each side, for a note; a side without a value is left out."""
    return ", ".join(filter(None, (mean_note(what, values.values()) for what, values in sides)))


def mean_note(what: str, values: Iterable[float]) -> str:
    found = [v for v in values if math.isfinite(v)]
    return f"{what} {sum(found) / len(found):.4g}" if found else ""
