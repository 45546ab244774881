"""How far the statistics of a batch scatter, and what dropout does to a variance: exact facts, a row per random case.

Expectations are sums over every possible batch, so nothing is sampled. Batches of m draw each value from the three
nodes of Gauss-Hermite quadrature, mean - sqrt(3) sd, mean and mean + sqrt(3) sd with weights 1/6, 2/3 and 1/6. These
have the moments of a normal distribution up to the fifth, and no expectation here needs more than the fourth, so that
what holds of them holds of normal values. The layer meets all 3^m batches at once, one in each of its units.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import torch
from torch.nn.functional import dropout

from bnlab.config import NormConfig, RunConfig
from bnlab.norms import make_norm
from bnlab.procedures import Rows

Tensor = torch.Tensor

GAUSSIAN = ((-(3**0.5), 0.0, 3**0.5), (1 / 6, 2 / 3, 1 / 6))


@dataclass(frozen=True)
class Case:
    """Batches of `m` values, three `nodes` with `weights` to draw them from, and a share `keep` of units kept."""

    m: int
    mean: float
    sd: float
    nodes: Tensor
    weights: Tensor
    keep: float


def measure(config: RunConfig) -> Rows:
    """`noise/<fact>`: its error in each of `config.steps` cases."""
    draw = torch.Generator().manual_seed(config.seed)
    for step in range(config.steps):
        case = draw_case(draw)
        yield step, {f"noise/{fact.__name__}": fact(case) for fact in FACTS}


def draw_case(draw: torch.Generator) -> Case:
    """Batches of 2 to 7, means within +-3, spreads from 0.1 to 10, any weights, between 5 and 95 % of units kept."""
    m = int(torch.randint(2, 8, (), generator=draw))
    mean, sd, keep = torch.rand(3, generator=draw, dtype=torch.float64).tolist()
    nodes = torch.randn(3, generator=draw, dtype=torch.float64)
    weights = 0.1 + torch.rand(3, generator=draw, dtype=torch.float64)
    return Case(m, 6 * mean - 3, 10 ** (2 * sd - 1), nodes, weights / weights.sum(), 0.05 + 0.9 * keep)


def mean_scatter(c: Case) -> float:
    """The mean of a batch has the variance sd^2 / m."""
    means, _, weights = _statistics(c, *_gaussian(c))
    return _miss(_variance(means, weights), c.sd**2 / c.m)


def variance_scatter(c: Case) -> float:
    """The unbiased variance of a batch of normal values has the variance 2 sd^4 / (m - 1)."""
    _, variances, weights = _statistics(c, *_gaussian(c))
    return _miss(_variance(variances, weights), 2 * c.sd**4 / (c.m - 1))


def variance_scatter_any(c: Case) -> float:
    """That of any values with kurtosis k has the variance sd^4 ((k - 1) + 2 / (m - 1)) / m."""
    _, variances, weights = _statistics(c, c.nodes, c.weights)
    square = _variance(c.nodes, c.weights)
    fourth = (c.weights * (c.nodes - (c.weights * c.nodes).sum()) ** 4).sum()
    wanted = square**2 * (fourth / square**2 - 1 + 2 / (c.m - 1)) / c.m
    return _miss(_variance(variances, weights), float(wanted))


def dropout_shift(c: Case) -> float:
    """Dropout makes the variance of values with mean 0 larger by 1 / keep in training than in evaluation.

    Li et al. 2018 (arXiv 1801.05134): batch normalisation behind it remembers the one and meets the other.
    """
    values = dropout(torch.ones(10_000, dtype=torch.float64), 1 - c.keep).unique()
    nodes, weights = (torch.tensor(numbers, dtype=torch.float64) for numbers in GAUSSIAN)
    dropped = (values[:, None] * nodes).flatten()
    chances = torch.outer(torch.tensor([1 - c.keep, c.keep], dtype=torch.float64), weights).flatten()
    return _miss(_variance(dropped, chances) / _variance(nodes, weights), 1 / c.keep)


FACTS = (mean_scatter, variance_scatter, variance_scatter_any, dropout_shift)


def _gaussian(c: Case) -> tuple[Tensor, Tensor]:
    nodes, weights = (torch.tensor(numbers, dtype=torch.float64) for numbers in GAUSSIAN)
    return c.mean + c.sd * nodes, weights


def _statistics(c: Case, nodes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and unbiased variance that the layer finds in each of the 3^m batches, and the chance of that batch."""
    chosen = _batches(c.m)
    layer = make_norm(NormConfig(name="batch", momentum=1.0), chosen.shape[1], False, None).double()
    with torch.no_grad():
        layer(nodes[chosen])
    return layer.running_mean, layer.running_var, weights[chosen].prod(0)


@functools.cache
def _batches(m: int) -> Tensor:
    """(m, 3^m): every batch, as the nodes that its values are."""
    return torch.tensor(list(itertools.product(range(3), repeat=m))).T


def _variance(values: Tensor, weights: Tensor) -> Tensor:
    return (weights * (values - (weights * values).sum()) ** 2).sum()


def _miss(found: Tensor, wanted: float) -> float:
    return abs(float(found) / wanted - 1)
