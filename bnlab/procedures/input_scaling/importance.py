"""How much a fitted linear model makes of each feature, and whether that depends on the features' units."""

from __future__ import annotations

import numpy as np

from bnlab.procedures.input_scaling.case import Array, Case, Regression, miss
from bnlab.procedures.input_scaling.descent import quadratic
from bnlab.procedures.input_scaling.scalings import SCALED, scale

WEIGHTS = 1000  # random weights per feature
DESCENT_STEPS = 100


def least_squares(x: Array, y: Array) -> Array:
    """Weights of the features and of the constant (features + 1,)."""
    return np.linalg.lstsq(np.column_stack([x, np.ones(len(y))]), y, rcond=None)[0]


def ridge(x: Array, y: Array, penalty: float) -> Array:
    """As above, with penalty * |weights|^2 added to the summed squares; the constant is not penalised."""
    centred = x - x.mean(0)
    weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(x.shape[1]), centred.T @ (y - y.mean()))
    return np.append(weights, y.mean() - x.mean(0) @ weights)


def predict(weights: Array, x: Array) -> Array:
    return x @ weights[:-1] + weights[-1]


def inflation(problem: Regression, scaling: str, weights: Array) -> float:
    """Importance of the kilometres over that of the ages, relative to the least-squares fit.

    The importance of a feature is |weight| times the feature's standard deviation: what it adds to the predictions.
    """
    x = scale(scaling, problem.x)
    ages, kilometres = np.abs(weights[:-1] / least_squares(x, problem.y)[:-1])
    return float(kilometres / ages)


def _penalised(c: Case, scaling: str) -> float:
    """With a penalty that halves the weight of an age: n times its variance."""
    x = scale(scaling, c.cars.x)
    return inflation(c.cars, scaling, ridge(x, c.cars.y, len(x) * x[:, 0].var()))


def _descended(c: Case, scaling: str) -> float:
    """After some steps of the size that damps every direction: 1 over the highest eigenvalue."""
    problem = quadratic(c.cars, scaling)
    decay = np.linalg.matrix_power(np.eye(3) - problem.hessian / problem.highest, DESCENT_STEPS)
    return inflation(c.cars, scaling, problem.minimum - decay @ problem.minimum)


def least_squares_moves(c: Case) -> float:
    """How far the least-squares predictions move with the scaling of the features, at most, on fresh data."""
    fresh = c.draw.uniform(size=(50, 2)) * np.ptp(c.cars.x, axis=0)
    raw = predict(least_squares(c.cars.x, c.cars.y), fresh)
    moved = [
        predict(least_squares(scale(name, c.cars.x), c.cars.y), scale(name, fresh, like=c.cars.x)) for name in SCALED
    ]
    return max(miss(found, raw) for found in moved)


def ridge_inflates(c: Case) -> float:
    return _penalised(c, "raw")


def descent_inflates(c: Case) -> float:
    return _descended(c, "raw")


def scaled_ridge_inflates(c: Case) -> float:
    """By what factor, up or down, the importance is off after z-scoring; 1 would be none."""
    return max(_penalised(c, "z_score"), 1 / _penalised(c, "z_score")) - 1


def scaled_descent_inflates(c: Case) -> float:
    return max(_descended(c, "z_score"), 1 / _descended(c, "z_score")) - 1


def contributions_apart(c: Case) -> float:
    """Spread of w A over that of v B for weights w, v from one normal distribution: about the ratio of their sizes."""
    weights = c.draw.standard_normal((WEIGHTS, 2))
    spread = np.sqrt((c.ab.x**2).mean(0)) * np.sqrt((weights**2).mean(0))
    return float(spread[0] / spread[1])


def sum_over_signs(c: Case) -> float:
    """The mean square of w A + v B over weights that are s or -s alike is s^2 (A^2 + B^2): the larger one rules."""
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    return miss(((c.ab.x @ signs.T) ** 2).mean(1), (c.ab.x**2).sum(1))


FACTS = (
    least_squares_moves,
    ridge_inflates,
    descent_inflates,
    scaled_ridge_inflates,
    scaled_descent_inflates,
    contributions_apart,
    sum_over_signs,
)
