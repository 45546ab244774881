"""What the articles say about scaling the inputs of a model: exact facts on random cases, and small nets.

Every random case gives a row with an error per fact, and the condition number and steps of gradient descent under each
scaling. Two things are recorded by training step instead, in rows of the same numbers: the excess loss of the seed's
first regressions (up to 200,000 steps), and the nets, which train for twenty steps per case.
"""

from __future__ import annotations

import numpy as np

from bnlab.config import RunConfig
from bnlab.procedures import Rows
from bnlab.procedures.input_scaling import association, importance, nets, shape
from bnlab.procedures.input_scaling.case import Case, draw_case
from bnlab.procedures.input_scaling.descent import MOST, descents, excess_curve, quadratic
from bnlab.procedures.input_scaling.scalings import SCALINGS

FACTS = {fact.__name__: fact for subject in (association, shape, importance) for fact in subject.FACTS}
CURVE_STEPS = tuple(sorted({0, *(round(MOST ** (k / 60)) for k in range(61))}))
NET_STEPS_PER_CASE = 20
LOWEST = 1e-12  # an excess below this is rounding


def measure(config: RunConfig) -> Rows:
    """`config.steps` cases. All metrics begin with `scaling/`."""
    draw = np.random.default_rng([config.seed, 0])
    cases = [draw_case(draw) for _ in range(config.steps)]
    rows = {step: _values(case) for step, case in enumerate(cases)}
    for more in (_curves(cases[0]), nets.compare(config.seed, NET_STEPS_PER_CASE * config.steps)):
        for step, values in more.items():
            rows.setdefault(step, {}).update(values)
    for step, values in sorted(rows.items()):
        yield step, {f"scaling/{name}": value for name, value in values.items()}


def _values(case: Case) -> dict[str, float]:
    return {name: fact(case) for name, fact in FACTS.items()} | descents(case)


def _curves(case: Case) -> dict[int, dict[str, float]]:
    """`excess/<problem>/<scaling>` by training step, until nothing is left of it."""
    rows: dict[int, dict[str, float]] = {}
    for problem in ("ab", "cars"):
        for scaling in SCALINGS:
            curve = excess_curve(quadratic(getattr(case, problem), scaling), CURVE_STEPS)
            for step, excess in curve.items():
                if excess > LOWEST:
                    rows.setdefault(step, {})[f"excess/{problem}/{scaling}"] = excess
    return rows
