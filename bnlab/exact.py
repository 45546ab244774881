"""Verdicts on statements that are exactly true or false: errors over many random cases, not intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bnlab.claims import REFUTED, SUPPORTED, UNDECIDED, Claim, Part, Verdict, combine

if TYPE_CHECKING:
    from bnlab.store import Runs

ROUNDING = 1e-9  # relative errors of float64 arithmetic stay below, with room for a few thousand additions


@dataclass(frozen=True)
class Identity:
    """A statement that holds in every case: `metric` is how far it misses, a relative error of float64 arithmetic.

    The effect of its verdict is the largest error of all, as a negative number: errors speak against a sentence.
    """

    label: str
    metric: str
    tolerance: float = ROUNDING
    beside: bool = False
    unit: str = "largest error"

    @property
    def limit(self) -> float:
        return self.tolerance

    def judge(self, runs: Runs) -> Verdict:
        """supported: the largest error of all cases is within the tolerance. refuted: some case misses."""
        errors = cases(runs, self.metric)
        if not errors:
            return self._verdict(UNDECIDED, None, 0, runs)
        worst = max(errors, key=lambda error: math.inf if math.isnan(error) else error)
        word = SUPPORTED if worst <= self.tolerance else REFUTED
        return self._verdict(word, worst, len(errors), runs)

    def _verdict(self, word: str, effect: float | None, n: int, runs: Runs) -> Verdict:
        shown = None if effect is None or not math.isfinite(effect) else 0.0 - effect
        return _as_part(
            Verdict(word, shown, self.unit, None, n, planned_cases(runs, n), label=self.label, margin=self.tolerance),
            self.beside,
        )


@dataclass(frozen=True)
class _Bounded:
    """A statement on the least and the largest of a metric over all cases; `margin`, in `unit`, is fixed beforehand."""

    label: str
    metric: str
    margin: float
    unit: str
    beside: bool = False

    @property
    def limit(self) -> float:
        return self.margin

    def judge(self, runs: Runs) -> Verdict:
        found = cases(runs, self.metric)
        planned = planned_cases(runs, len(found))
        blank = Verdict(UNDECIDED, None, self.unit, n=len(found), planned=planned, label=self.label, margin=self.margin)
        if found and not any(math.isnan(value) for value in found):
            blank = self._decide(blank, min(found), max(found))
        return _as_part(blank, self.beside)

    def _decide(self, blank: Verdict, least: float, most: float) -> Verdict:
        raise NotImplementedError


@dataclass(frozen=True)
class Counterexample(_Bounded):
    """A statement that fails: `metric` is how far the article's form lies from the truth, in `unit`.

    refuted: in every case it misses by more than `margin`, fixed beforehand. supported: it misses in none.
    """

    def _decide(self, blank: Verdict, least: float, most: float) -> Verdict:
        word = REFUTED if least > self.margin else SUPPORTED if most <= self.margin else UNDECIDED
        return replace(blank, verdict=word, effect=-least, note=f"misses by {least:.3g} to {most:.3g}")


@dataclass(frozen=True)
class Exceeds(_Bounded):
    """A statement that something is large: `metric` lies above `margin`, fixed beforehand, in every case.

    supported: in every case. refuted: in none. The effect is how far the nearest case lies beyond the margin.
    """

    def _decide(self, blank: Verdict, least: float, most: float) -> Verdict:
        blank = replace(blank, note=f"lies between {least:.3g} and {most:.3g}")
        if least > self.margin:
            return replace(blank, verdict=SUPPORTED, effect=least - self.margin)
        return replace(blank, verdict=REFUTED, effect=most - self.margin) if most <= self.margin else blank


@dataclass(frozen=True)
class Documented:
    """A statement about what a source or a library says, checked by reading: `where` names the place."""

    label: str
    where: str
    holds: bool = True
    beside: bool = False

    def judge(self, runs: Runs) -> Verdict:
        word = SUPPORTED if self.holds else REFUTED
        return _as_part(
            Verdict(word, None, n=1, planned=1, label=self.label, note=f"read in {self.where}"), self.beside
        )


Statement = Identity | Counterexample | Exceeds | Documented | Part


@dataclass(frozen=True)
class AllOf:
    """The test of a claim that says all of these in turn."""

    statements: tuple[Statement, ...]

    def __call__(self, runs: Runs) -> Verdict:
        return combine(statement.judge(runs) for statement in self.statements)


def measured_statements(claims: Iterable[Claim]) -> list[Identity | Counterexample]:
    """Every statement of these claims that has a number, once, in the order of the claims."""
    found = {}
    for claim in claims:
        for statement in claim.test.statements:
            if not isinstance(statement, Documented):
                found.setdefault(statement.metric, statement)
    return list(found.values())


def cases(runs: Runs, metric: str) -> list[float]:
    """The values of a metric in every case of every run."""
    return [float(value) for value in runs.metrics.loc[runs.metrics["metric"] == metric, "value"]]


def planned_cases(runs: Runs, found: int) -> int:
    """Cases that the planned runs have together; those found where fewer rows than steps are recorded."""
    if not runs.n:
        return found
    whole = found / runs.n * runs.planned
    return max(round(whole), found)


def _as_part(verdict: Verdict, beside: bool) -> Verdict:
    return replace(verdict, beside=(verdict,)) if beside else verdict
