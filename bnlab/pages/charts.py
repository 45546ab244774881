"""Curves as documents: a line per run, or per group of runs that differ only in their seed, with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bnlab.pages.documents import numbers
from bnlab.pages.index import Entry
from bnlab.pages.meanings import caveat, limits
from bnlab.pages.readings import Readings
from bnlab.stats import band
from bnlab.store import RunSeries

POINTS = 400  # of a line, at most: every k-th record is sent where there are more
FIRST = ("train_accuracy", "train_loss", "test_accuracy", "test_loss", "full_accuracy", "full_loss")
BESIDE = ("test_accuracy_recalibrated", "full_accuracy_recalibrated")  # what tells how well a net with noise does


@dataclass(frozen=True)
class Group:
    """Runs that differ only in their seed, or one run; `look` names its colour, dash and marker."""

    label: str
    look: str
    entries: tuple[Entry, ...]


def chart(metric: str, groups: Sequence[Group], readings: Readings) -> dict:
    """A line for each group that recorded the metric, the range that it can have, and how it was evaluated."""
    recorded = {group.label: [readings.of(entry)[0] for entry in group.entries] for group in groups}
    found = [_line(group, list(zip(group.entries, recorded[group.label])), metric) for group in groups]
    lines = [line for line in found if line]
    values = (value for line in lines for value in line["values"])
    return {
        "metric": metric,
        "lines": lines,
        "limits": limits(metric, values),
        "caveat": caveat(metric, {line["label"]: recorded[line["label"]] for line in lines}),
    }


def metrics_of(groups: Iterable[Group], readings: Readings) -> list[str]:
    """Every metric that some run recorded, sorted."""
    return sorted({metric for group in groups for entry in group.entries for metric in readings.of(entry)[0].metrics})


def chosen_metrics(asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Those asked for that there are; without any the usual curves."""
    kept = [metric for metric in dict.fromkeys(asked) if metric in known]
    usual, beside = ([f"curves/{name}" for name in names if f"curves/{name}" in known] for names in (FIRST, BESIDE))
    return kept or usual[:4] + beside[:1]


def _line(group: Group, read: Sequence[tuple[Entry, RunSeries]], metric: str) -> dict | None:
    found = [(entry, *series.metrics[metric]) for entry, series in read if metric in series.metrics]
    if not found:
        return None
    steps = np.unique(np.concatenate([steps for _, steps, _ in found]))
    values = np.full((len(steps), len(found)), np.nan)
    for column, (_, at, series) in enumerate(found):
        values[np.searchsorted(steps, at), column] = series
    line = {"label": group.label, "look": group.look, "runs": len(found), "diverged": _divergences(found)}
    return line | (_mean(steps, values, line["diverged"]) if len(found) > 1 else _single(steps, values[:, 0]))


def _divergences(found: Sequence[tuple]) -> list[int]:
    at = [entry.run.status.diverged_at for entry, *_ in found]
    return sorted(step for step in at if step is not None)


def _single(steps: np.ndarray, values: np.ndarray) -> dict:
    kept = _thinned(len(steps))
    return {"steps": steps[kept].tolist(), "values": numbers(values[kept])}


def _mean(steps: np.ndarray, values: np.ndarray, diverged: Sequence[int]) -> dict:
    """Mean, limits and n at each step. It ends where a run diverges: survivors alone are not averaged."""
    if diverged:
        before = steps < diverged[0]
        steps, values = steps[before], values[before]
    present = np.isfinite(values).any(axis=1)
    steps, values = steps[present], values[present]
    kept = _thinned(len(steps))
    steps, values = steps[kept], values[kept]
    mean, low, high = band(values) if len(steps) else (np.array([]),) * 3
    counted = np.isfinite(values).sum(axis=1).tolist()
    shape = {"steps": steps.tolist(), "values": numbers(mean), "low": numbers(low), "high": numbers(high)}
    return shape | {"n": counted}


def _thinned(count: int) -> np.ndarray:
    """Positions of at most `POINTS` records and the last."""
    stride = max(1, -(-count // POINTS))
    kept = np.arange(0, count, stride)
    return np.append(kept, count - 1) if count and kept[-1] != count - 1 else kept


def group_by_seed(entries: Sequence[tuple[Entry, Mapping[str, object]]]) -> dict[tuple, list[Entry]]:
    """Runs by variant and overrides, in the order of their first."""
    groups: dict[tuple, list[Entry]] = {}
    for entry, overrides in entries:
        key = (entry.run.variant, tuple((name, str(value)) for name, value in overrides.items()))
        groups.setdefault(key, []).append(entry)
    return groups
