"""Linear regression by gradient descent with the best constant step: how many steps each scaling of its inputs needs.

The loss is a quadratic with Hessian H, so that t steps of size s multiply the error of the weights by (I - s H)^t. The
best constant step is 2/(lowest + highest eigenvalue); the excess loss then falls by ((k - 1)/(k + 1))^2 a step or
faster, with k the condition number (Boyd and Vandenberghe 2004, section 9.3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bnlab.procedures.input_scaling.case import Array, Case, Regression
from bnlab.procedures.input_scaling.scalings import SCALED, SCALINGS, scale

LEVEL = 1e-6  # of the excess loss, relative to that at the start
MOST = 200_000  # steps; a count above it stands for "not within so many"
DOUBLINGS = MOST.bit_length()


@dataclass(frozen=True)
class Quadratic:
    """Hessian (3, 3) of half the mean squared error over the weights of both features and the constant.

    `minimum` (3,): the best weights. Descent starts at weights 0, so the first error is -minimum.
    """

    hessian: Array
    minimum: Array
    lowest: float
    highest: float

    @property
    def condition(self) -> float:
        return self.highest / self.lowest

    @property
    def step(self) -> float:
        return 2 / (self.lowest + self.highest)

    def excess(self, error: Array) -> float:
        """Excess loss at minimum + error, relative to that at the start."""
        return float(error @ self.hessian @ error) / float(self.minimum @ self.hessian @ self.minimum)


def quadratic(problem: Regression, scaling: str) -> Quadratic:
    """Eigenvalues come from the singular values of the design, which keep the digits that its square would lose."""
    n = len(problem.y)
    design = np.column_stack([scale(scaling, problem.x), np.ones(n)])
    minimum = np.linalg.lstsq(design, problem.y, rcond=None)[0]
    eigenvalues = np.linalg.svd(design, compute_uv=False) ** 2 / n
    return Quadratic(design.T @ design / n, minimum, float(eigenvalues[-1]), float(eigenvalues[0]))


def steps_needed(problem: Quadratic, size: float | None = None) -> int:
    """Steps of this size, or of the best, until the excess loss is at LEVEL; MOST + 1 where it is not within MOST.

    The excess falls with every step, so the last step above LEVEL is found from powers of two of the step's matrix.
    """
    powers = [np.eye(3) - (size or problem.step) * problem.hessian]
    while len(powers) < DOUBLINGS:
        powers.append(powers[-1] @ powers[-1])
    error, taken = -problem.minimum, 0
    for k in reversed(range(DOUBLINGS)):
        ahead = powers[k] @ error
        if taken + 2**k <= MOST and problem.excess(ahead) > LEVEL:
            error, taken = ahead, taken + 2**k
    return taken + 1


def steps_bound(condition: float) -> float:
    """Steps after which the excess loss is at LEVEL whatever the target, from the rate above."""
    return math.log(LEVEL) / (2 * math.log((condition - 1) / (condition + 1)))


def excess_curve(problem: Quadratic, steps: Sequence[int]) -> dict[int, float]:
    """Relative excess loss after each of these numbers of steps."""
    matrix = np.eye(3) - problem.step * problem.hessian
    return {t: problem.excess(np.linalg.matrix_power(matrix, t) @ -problem.minimum) for t in steps}


def descents(c: Case) -> dict[str, float]:
    """Condition number and steps of both problems under each scaling, and what the claims compare of them."""
    values: dict[str, float] = {}
    late = 0.0
    for name in ("ab", "cars"):
        for scaling in SCALINGS:
            found = quadratic(getattr(c, name), scaling)
            steps = steps_needed(found)
            values[f"condition/{name}/{scaling}"] = found.condition
            values[f"steps/{name}/{scaling}"] = steps
            late = max(late, steps / math.ceil(min(steps_bound(found.condition), MOST + 1)) - 1)
        for scaling in SCALED:
            values[f"{name}_steps_over_{scaling}"] = values[f"steps/{name}/raw"] / values[f"steps/{name}/{scaling}"]
    values["later_than_the_bound"] = late
    values["condition_over_z_score"] = values["condition/ab/raw"] / values["condition/ab/z_score"]
    return values | {"raw_cars_arrive": _raw_cars_arrive(c)}


def _raw_cars_arrive(c: Case) -> float:
    """1 where some constant step reaches LEVEL within MOST on raw ages and kilometres: the best or the cautious one.

    The best step has the best rate in the end, but lets the steepest direction swing for a long time; 1/highest does
    not.
    """
    problem = quadratic(c.cars, "raw")
    return float(min(steps_needed(problem), steps_needed(problem, 1 / problem.highest)) <= MOST)
