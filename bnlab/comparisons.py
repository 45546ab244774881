"""Comparing two arms seed by seed (moments, steps needed), and our curves with published ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bnlab.claims import MEASURED, Measured, Verdict
from bnlab.measures import lost_seeds, planned_seeds
from bnlab.stats import paired_difference, steps_text, steps_to

if TYPE_CHECKING:
    import pandas as pd

    from bnlab.store import Runs

SMALLEST = 1e-6  # a smaller value counts as this in a ratio, so that its logarithm exists
LEARNING = (0.3, 0.9)  # training accuracy, of ten classes: off the plateau at chance, and not yet at the end
SMOOTH = 5  # records of a single mini-batch each, averaged

BySeed = dict[int, float]


@dataclass(frozen=True)
class Cell:
    """The runs with these values, such as one optimiser of several; it stands wherever a measure takes an `Arm`.

    `seeds` maps a setting (`mnist-laptop`) to the number of seeds that its plan has.
    """

    name: str
    keys: Mapping[str, object]
    seeds: Mapping[str, int]

    def of(self, runs: Runs) -> Runs:
        return runs.select(**self.keys)

    def planned(self, runs: Runs, found: int) -> int:
        return planned_seeds(runs, self.seeds, found)


def median_over_run(arm: Runs, metric: str) -> BySeed:
    """Median of all records of a metric per seed; NaN for a run without any, as one that diverged before its first."""
    return medians(arm.series(metric))


def while_learning(arm: Runs, metric: str) -> BySeed:
    """Median per seed over the records at which the training accuracy lies within LEARNING; NaN without any."""
    return medians(when_learning(arm, arm.series(metric)))


def when_learning(arm: Runs, series: pd.DataFrame) -> pd.DataFrame:
    """The records of a series (index step, a column per seed) whose seed is learning then; NaN for all others."""
    accuracy = arm.series("curves/train_accuracy").rolling(SMOOTH, center=True, min_periods=1).mean()
    there = accuracy.reindex(series.index, method="nearest")
    return series.where((there >= LEARNING[0]) & (there <= LEARNING[1]))


def medians(series: pd.DataFrame) -> BySeed:
    """Median per seed of the records that there are; NaN without any."""
    return {int(seed): float(series[seed].median()) for seed in series.columns}


def median_relative(arm: Runs, change: str, variance: str, power: float) -> BySeed:
    """Median per seed of a change over the layer's own variance to a power: 1/2 for its mean, 1 for its variance.

    A net whose inputs grow moves more in absolute terms though its distributions may look the same.
    """
    moved, spread = arm.series(change), arm.series(variance)
    return medians(moved / spread.reindex(moved.index).clip(lower=SMALLEST**2) ** power)


def log_ratio(above: BySeed, below: BySeed) -> BySeed:
    """log10(above / below) per seed; NaN where either side is missing."""
    return paired_difference(_logs(above), _logs(below))


def _logs(values: BySeed, least: float = SMALLEST) -> BySeed:
    counted = {seed: math.nan if math.isnan(v) else max(v, least) for seed, v in values.items()}
    return {seed: math.log10(v) if v > 0 else math.nan for seed, v in counted.items()}


def paired_log_ratio(above: BySeed, below: BySeed, planned: int, note: str = "") -> Measured:
    """The log ratio as a measurement, with the seeds whose finished runs have no value on either side."""
    return Measured(log_ratio(above, below), planned, note, lost_seeds(above, below))


def geometric_note(sides: Mapping[str, BySeed], least: float = SMALLEST) -> str:
    """The geometric mean of each side, for a note: their log ratio is the mean of the log ratios per seed.

    A smaller value counts as `least`, as it does in `log_ratio`; 0 where an effect counts it as it is.
    """
    logs = {name: [v for v in _logs(values, least).values() if math.isfinite(v)] for name, values in sides.items()}
    means = [f"{name} {10 ** (sum(found) / len(found)):.4g}" for name, found in logs.items() if found]
    return f"geometric means: {', '.join(means)}" if means else ""


def mean_measured(every: list[Measured], planned: int) -> Measured:
    """Mean of several measurements per seed; a seed that one of them has lost is lost."""
    lost = frozenset().union(*(measured.lost for measured in every))
    return Measured(mean_of([measured.effects for measured in every]), planned, lost=lost)


def mean_of(every: list[BySeed]) -> BySeed:
    """Mean of several effects per seed; NaN for a seed that lacks any of them."""
    seeds = sorted({seed for effects in every for seed in effects})
    return {seed: sum(effects.get(seed, math.nan) for effects in every) / len(every) for seed in seeds}


def steps_to_reach(arm: Runs, metric: str, threshold: float, records: int = 5) -> BySeed:
    """First step per seed at which the running median over so many records is at the threshold, infinite if never."""
    series = arm.series(metric)
    smooth = {int(s): series[s].dropna().rolling(records, center=True).median() for s in series.columns}
    return {seed: steps_to(line.index.to_numpy(), line.to_numpy(), threshold) for seed, line in smooth.items()}


def steps_saved(
    faster: tuple[str, Runs], slower: tuple[str, Runs], planned: int, reach: Callable[[Runs], BySeed]
) -> Measured:
    """Steps that the faster of two named arms saves; never counts as all steps, which understates the difference."""
    found = {name: reach(arm) for name, arm in (faster, slower)}
    lasts = [int(arm.table["steps"].max()) for _, arm in (faster, slower) if arm.n]
    if len(lasts) < 2:
        return Measured({}, planned, "an arm has no run")
    last = max(lasts)
    words = [f"{name} {', '.join(steps_text(step, last) for step in steps.values())}" for name, steps in found.items()]
    quick, slow = ({seed: min(step, last) for seed, step in found[name].items()} for name, _ in (faster, slower))
    note = "steps per seed: " + "; ".join(words)
    return Measured(paired_difference(slow, quick), planned, note, lost_seeds(slow, quick))


@dataclass(frozen=True)
class Distance:
    """How far the mean of our seeds lies from a published curve, in the unit of both.

    `absolute` is the mean of |ours - theirs| and `signed` the mean of ours - theirs over the published points; both are
    NaN without a common step. `first` and `last` are the outermost steps compared.
    """

    absolute: float
    signed: float
    points: int
    first: float = math.nan
    last: float = math.nan


def distance(ours: pd.DataFrame, steps: np.ndarray, values: np.ndarray) -> Distance:
    """From our curve (index step, a column per seed) to a published one, at those of its points that ours reaches.

    Ours is the mean over all seeds, linear between its records; a record that some seed lacks is left out, so that
    survivors alone are never averaged.
    """
    mean = ours.mean(axis=1, skipna=False).dropna()
    if mean.empty:
        return Distance(math.nan, math.nan, 0)
    own = mean.index.to_numpy(dtype=float)
    common = (steps >= own[0]) & (steps <= own[-1])
    if not common.any():
        return Distance(math.nan, math.nan, 0)
    apart = np.interp(steps[common], own, mean.to_numpy()) - values[common]
    reached = steps[common]
    return Distance(
        float(np.abs(apart).mean()), float(apart.mean()), len(apart), float(reached.min()), float(reached.max())
    )


def distance_beside(
    label: str, unit: str, ours: pd.DataFrame, published: tuple[np.ndarray, np.ndarray], planned: int, over: str = ""
) -> Verdict:
    """The distance as a number beside a claim: the effect is the mean absolute difference, the note has the signed one.

    `over` says what the points are where they are not training steps.
    """
    found = distance(ours, *published)
    blank = Verdict(MEASURED, None, unit, n=ours.shape[1], planned=planned, label=label)
    if not found.points:
        return replace(blank, note="no step in common")
    where = f"on average, {found.points} published points, {over or f'steps {found.first:g} to {found.last:g}'}"
    note = f"ours - published {found.signed:+.4g} {where if found.points > 1 else f'at step {found.first:g}'}"
    return replace(blank, effect=found.absolute, note=note)
