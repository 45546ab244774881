"""Two arms of stored runs under each other's names, and one arm under both, for whatever a part of a claim compares."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bnlab.claims import Part, Verdict, judge_part
from bnlab.store import Runs

OUTCOME = ["seed", "state", "steps_done", "diverged_at", "seconds"]  # columns that are no configuration


@dataclass(frozen=True)
class Watched(Runs):
    """Runs that note which runs and metrics are read, in a list that every selection from them shares."""

    seen: list[tuple[frozenset, str]] = field(default_factory=list)

    def series(self, metric):
        self.seen.append((frozenset(self.table.index), metric))
        return super().series(metric)

    def outcome(self, column):
        self.seen.append((frozenset(self.table.index), column))
        return super().outcome(column)

    def histograms(self, metric):
        self.seen.append((frozenset(self.table.index), metric))
        return super().histograms(metric)


@dataclass(frozen=True)
class Sides:
    """What a part compares: two sets of runs, or two pieces of metric names within the same runs.

    `pairs` are sets of runs of several cells, each of the first side with its counterpart on the second.
    """

    first: frozenset | str
    second: frozenset | str
    pairs: tuple[tuple[frozenset, frozenset], ...] = ()

    @property
    def turned(self) -> Sides:
        return Sides(self.second, self.first, tuple((two, one) for one, two in self.pairs))

    def exchanged(self, runs: Runs) -> Runs:
        """Each side under the name of the other."""
        if isinstance(self.first, str):
            return dataclasses.replace(
                runs,
                metrics=_renamed(runs.metrics, self.first, self.second, both=True),
                distributions=_renamed(runs.distributions, self.first, self.second, both=True),
            )
        other = {}  # a run of the configuration that each run gets
        for one, two in self.pairs or ((self.first, self.second),):
            other |= dict.fromkeys(one, min(two)) | dict.fromkeys(two, min(one))
        shown = [other.get(run, run) for run in runs.table.index]  # whose configuration each run now has
        changed = {c: runs.table[c].reindex(shown).to_numpy() for c in runs.table.columns if c not in OUTCOME}
        return dataclasses.replace(runs, table=runs.table.assign(**changed))

    def first_as_both(self, runs: Runs) -> Runs:
        """The first side in its own place and, copied, in that of the second."""
        if isinstance(self.first, str):
            return dataclasses.replace(
                runs,
                metrics=_copied(runs.metrics, self.first, self.second),
                distributions=_copied(runs.distributions, self.first, self.second),
            )
        rest = runs.table.drop(index=sorted(self.second))
        names = {run: f"copy-{run}" for run in self.first}
        copy = self.exchanged(runs).table.loc[sorted(self.first)].rename(index=names)
        frames = {name: _under_both(getattr(runs, name), names) for name in ("metrics", "distributions")}
        return dataclasses.replace(runs, table=pd.concat([rest, copy]), **frames)


def _under_both(rows: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    rows = rows.assign(run=rows["run"].astype(object))
    mine = rows[rows["run"].isin(names)]
    return pd.concat([rows, mine.assign(run=mine["run"].map(names))], ignore_index=True)


def _renamed(rows: pd.DataFrame, first: str, second: str, both: bool) -> pd.DataFrame:
    there, back = _have(rows, first), _have(rows, second)
    names = rows["metric"].to_numpy(dtype=object)
    new = [
        m.replace(first, second) if t else m.replace(second, first) if b and both else m
        for m, t, b in zip(names, there, back)
    ]
    return rows.assign(metric=new)


def _copied(rows: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    kept = rows[~_have(rows, second)]
    mine = kept[_have(kept, first)]
    return pd.concat([kept, _renamed(mine, first, second, both=False)], ignore_index=True)


def _have(rows: pd.DataFrame, piece: str) -> np.ndarray:
    """Which rows are of a metric that has the piece as whole words between its strokes."""
    return np.array([f"/{piece}/" in f"/{metric}/" for metric in rows["metric"]], dtype=bool)


@dataclass(frozen=True)
class Seen:
    """A part with its verdict, the runs cut down to the metrics it reads, and its sides (None: one arm)."""

    part: Part
    verdict: Verdict
    runs: Runs
    sides: Sides | None


def seen_by(part: Part, runs: Runs) -> Seen | None:
    """What a part compares, seen from what it reads; None where nothing could be measured.

    Errors: LookupError, with what to declare, where reading does not show it.
    """
    watched = Watched(**{f.name: getattr(runs, f.name) for f in dataclasses.fields(Runs)})
    verdict = judge_part(part, watched)
    if not verdict.n:
        return None
    read = {metric for _, metric in watched.seen}
    frames = {name: getattr(runs, name) for name in ("metrics", "distributions")}
    cut = {name: rows[rows["metric"].isin(read)] for name, rows in frames.items()}
    return Seen(part, verdict, dataclasses.replace(runs, **cut), _sides(part, watched))


def _counterparts(groups: list[frozenset], table: pd.DataFrame) -> list[tuple[frozenset, frozenset]]:
    """Sets of runs in pairs that differ by their variant only; none if one is left without a counterpart."""
    cells: dict[tuple, dict[str, frozenset]] = {}
    for group in groups:
        row = table.loc[min(group)]
        shared = tuple(repr(row[c]) for c in table.columns if c not in OUTCOME and not _of_variant(c))
        cells.setdefault(shared, {})[row["variant"]] = group
    names = list(dict.fromkeys(name for cell in cells.values() for name in cell))
    if len(names) != 2 or sum(map(len, cells.values())) != len(groups) or any(len(c) != 2 for c in cells.values()):
        return []
    return [(cell[names[0]], cell[names[1]]) for cell in cells.values()]


def _of_variant(column: str) -> bool:
    return column == "variant" or column.startswith("norm.")


def _sides(part: Part, watched: Watched) -> Sides | None:
    groups = list(dict.fromkeys(group for group, _ in watched.seen if group))
    metrics = list(dict.fromkeys(metric for _, metric in watched.seen))
    if len(part.arms) == 1 or (len(groups), len(metrics)) == (1, 1):
        return None
    if len(part.arms) == 2:
        return Sides(*part.arms)
    if len(groups) == 2 and not groups[0] & groups[1]:
        return Sides(*groups)
    if len(groups) == 1 and len(metrics) == 2:
        return Sides(*metrics)
    if pairs := _counterparts(groups, watched.table):
        firsts, seconds = (frozenset().union(*side) for side in zip(*pairs))
        return Sides(firsts, seconds, tuple(pairs))
    raise LookupError(
        f"{part.label}: reads {len(groups)} sets of runs and {len(metrics)} metrics, which does not tell what it "
        "compares; give the Part arms=(one name,) for one arm against a threshold, or the two pieces of its metrics' "
        "names that tell its arms apart"
    )
