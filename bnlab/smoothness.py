"""Loss and gradient along lines through the weights, as `landscape` recorded them: what Santurkar et al. 2018, section
3.2, measure there, and two arms compared in it.

A series has the index step and a column per seed; NaN where a loss along the line overflowed. `factors` are step
lengths in units of the learning rate, `line` is `gradient` or `random`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from bnlab.claims import Measured, Part, Published
from bnlab.comparisons import LEARNING, BySeed, Cell, geometric_note, medians, paired_log_ratio, when_learning
from bnlab.measures import lost_seeds

if TYPE_CHECKING:
    import pandas as pd

    from bnlab.store import Runs

LINES = {"gradient": "", "random": "random_"}  # and how their metrics begin
Factors = tuple[float, ...]


def along(arm: Runs, quantity: str, factors: Factors, line: str = "gradient") -> list[pd.DataFrame]:
    """The series of a quantity at each step length."""
    return [arm.series(f"landscape/{LINES[line]}{quantity}/{factor:g}") for factor in factors]


def loss_range(arm: Runs, factors: Factors, line: str = "gradient") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Smallest and largest loss over the step lengths (figure 4a)."""
    loss, rises = arm.series("landscape/loss"), along(arm, "loss_change", factors, line)
    return loss + reduce(np.minimum, rises), loss + reduce(np.maximum, rises)


def change_range(arm: Runs, factors: Factors, line: str = "gradient") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Smallest and largest distance of a gradient over the step lengths from that at the start (figure 4b)."""
    changes = along(arm, "gradient_change", factors, line)
    return reduce(np.minimum, changes), reduce(np.maximum, changes)


def width(arm: Runs, factors: Factors, line: str = "gradient") -> pd.DataFrame:
    """Largest less smallest loss over the step lengths, in nats."""
    rises = along(arm, "loss_change", factors, line)
    return reduce(np.maximum, rises) - reduce(np.minimum, rises)


def change(arm: Runs, factors: Factors, line: str = "gradient") -> pd.DataFrame:
    """Largest distance of a gradient over the step lengths from that at the start."""
    return change_range(arm, factors, line)[1]


def relative(arm: Runs, factors: Factors, line: str = "gradient") -> pd.DataFrame:
    """The same in units of the gradient at the start."""
    return change(arm, factors, line) / arm.series("landscape/gradient_norm")


def beta(arm: Runs, factors: Factors, line: str = "gradient") -> pd.DataFrame:
    """Largest ||g(w - a d) - g|| / (a ||d||) over the step lengths (figure 4c)."""
    return reduce(np.maximum, along(arm, "beta_smoothness", factors, line))


Quantity = Callable[..., "pd.DataFrame"]
NAMES = {width: "loss width", change: "gradient change", relative: "gradient change for its norm", beta: "beta"}


@dataclass(frozen=True)
class Window:
    """Records of a run: those within a share of its steps, or without a share those of a net that is learning."""

    words: str
    share: tuple[float, float] | None = None

    def medians(self, arm: Runs, series: pd.DataFrame) -> BySeed:
        """Median per seed over the window; NaN without a record in it."""
        if self.share is None:
            return medians(when_learning(arm, series))
        last = float(arm.table["steps"].max()) if arm.n else 0.0
        low, high = (share * last for share in self.share)
        return medians(series[(series.index >= low) & (series.index <= high)])


LEARN = Window(f"training accuracy between {LEARNING[0]:g} and {LEARNING[1]:g}")


@dataclass(frozen=True)
class Comparison:
    """A net without and one with batch normalisation in one quantity: medians over a window, per seed."""

    plain: Cell
    bn: Cell
    quantity: Quantity
    factors: Factors
    window: Window = LEARN
    line: str = "gradient"

    def sides(self, runs: Runs) -> tuple[BySeed, BySeed]:
        arms = self.plain.of(runs), self.bn.of(runs)
        return tuple(self.window.medians(arm, self.quantity(arm, self.factors, self.line)) for arm in arms)

    def __call__(self, runs: Runs) -> Measured:
        """log10 of plain over bn: positive where bn has less."""
        plain, bn = self.sides(runs)
        return paired_log_ratio(plain, bn, self.bn.planned(runs, len(bn)), geometric_note({"plain": plain, "bn": bn}))


def smaller(
    sides: Comparison, margin: float, where: str = "", told: Published | None = None, beside: bool = False
) -> Part:
    """The statement that the net with batch normalisation has less of the quantity by more than `margin`, in log10."""
    return Part(
        ", ".join(filter(None, (f"smaller with bn: {NAMES[sides.quantity]}", where))),
        f"{sides.quantity.__doc__.splitlines()[0].rstrip('.')}; median, per seed",
        "plain / bn > 1",
        "log10 of plain / bn",
        margin,
        sides,
        sides.window.words,
        beside=beside,
        published=told,
    )


def settles(runs: Runs, cell: Cell, rate: float, factors: Factors, window: Window, within: float) -> Measured:
    """How much nearer the median of beta is to 2 / rate than `within`, both in log10."""
    arm = cell.of(runs)
    found = {seed: value * rate for seed, value in window.medians(arm, beta(arm, factors)).items()}
    effects = {seed: within - abs(math.log10(v / 2)) if v > 0 else math.nan for seed, v in found.items()}
    return Measured(effects, cell.planned(runs, len(found)), geometric_note({"beta lr": found}), lost_seeds(found))


def profile(arm: Runs, quantity: str, factors: Factors, window: Window, line: str = "gradient") -> pd.DataFrame:
    """Medians over a window at each step length: index the factor, a column per seed."""
    import pandas as pd

    rows = {f: window.medians(arm, *along(arm, quantity, (f,), line)) for f in factors}
    return pd.DataFrame(rows).T.rename_axis("step")
