"""A random case, and what every fact compares with: torch's kernel, and relative errors."""

from __future__ import annotations

from dataclasses import dataclass

import torch

Tensor = torch.Tensor
SMALL = 1e-300


@dataclass(frozen=True)
class Case:
    """A batch `x` (m, units) with gamma, beta and a gradient `g` from above; `u` (m, inputs) and `w` give x = u w^T."""

    x: Tensor
    gamma: Tensor
    beta: Tensor
    g: Tensor
    u: Tensor
    w: Tensor
    b: Tensor
    eps: float
    draw: torch.Generator

    @property
    def m(self) -> int:
        return self.x.shape[0]


def draw_case(draw: torch.Generator) -> Case:
    """Batches of 3 to 64, 2 to 12 units, values of any scale between 1e-2 and 1e2, eps between 1e-6 and 1e-2."""
    m, units, inputs = (_whole(draw, low, high) for low, high in ((3, 64), (2, 12), (2, 12)))
    scale, shift = 10 ** _uniform(draw, -2, 2), _uniform(draw, -3, 3)
    u = scale * (shift + normal(draw, m, inputs))
    w, b = normal(draw, units, inputs), normal(draw, units)
    eps = 10 ** _uniform(draw, -6, -2)
    return Case(u @ w.T, normal(draw, units), normal(draw, units), normal(draw, m, units), u, w, b, eps, draw)


def _whole(draw: torch.Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, (), generator=draw))


def _uniform(draw: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=draw, dtype=torch.float64))


def normal(draw: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def bn(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, eps: float = 0.0) -> Tensor:
    """torch's kernel in training mode; its Python wrapper refuses eps = 0."""
    return torch.batch_norm(x, gamma, beta, None, None, True, 0.0, eps, False)


def spread(x: Tensor) -> Tensor:
    """Standard deviation of each unit over the batch, with 1/m."""
    return x.std(0, correction=0)


def miss(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest number compared."""
    size = max(float(found.abs().max()), float(wanted.abs().max()), SMALL)
    return float((found - wanted).abs().max()) / size


def relative(number: Tensor, size: Tensor) -> float:
    """The largest of `number`, which should be 0, relative to what it is a sum of."""
    return float((number.abs() / size.abs().clamp_min(SMALL)).max())


def gradient(y: Tensor, g: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad((y * g).sum(), of)[0]
