"""A random case in float32, which Keras's batch normalisation computes in on torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bnlab.procedures.identities.case import bn, gradient, miss

__all__ = ["Case", "bn", "draw_case", "gradient", "miss", "normal", "uniform"]

Tensor = torch.Tensor
INPUTS = 5  # of the article's dense program


@dataclass(frozen=True)
class Case:
    """A batch `x` (m, units) with gamma, beta and a gradient `g` from above; more is drawn from `draw`."""

    x: Tensor
    gamma: Tensor
    beta: Tensor
    g: Tensor
    eps: float
    draw: torch.Generator

    @property
    def m(self) -> int:
        return self.x.shape[0]


def draw_case(draw: torch.Generator) -> Case:
    """Batches of 16 to 64, 2 to 12 units, scale 0.1 to 10, means of up to 3 spreads, eps 1e-5 to 1e-2."""
    m, units = (int(torch.randint(low, high + 1, (), generator=draw)) for low, high in ((16, 64), (2, 12)))
    x = 10 ** uniform(draw, -1, 1) * (uniform(draw, -3, 3) + normal(draw, m, units))
    eps = 10 ** uniform(draw, -5, -2)
    return Case(x, normal(draw, units), normal(draw, units), normal(draw, m, units), eps, draw)


def uniform(draw: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=draw))


def normal(draw: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=draw)
