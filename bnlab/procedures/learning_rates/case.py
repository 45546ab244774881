"""A random net of ReLU layers without biases in float64, with or without batch normalisation (eps = 0)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from bnlab.norms.batch import batch_norm

Tensor = torch.Tensor


@dataclass(frozen=True)
class Case:
    """`x` (m, inputs), `weights` of three hidden layers and the output (units, inputs), `g` (m, outputs).

    `scale` is what the inputs are multiplied by, 10 to 1,000; `rate` the learning rate, 0.1 to 1. `g` stands for the
    gradient from above, and for targets where the loss is the squared error.
    """

    x: Tensor
    weights: tuple[Tensor, ...]
    g: Tensor
    scale: float
    rate: float


@dataclass(frozen=True)
class Passed:
    """Pre-activations of the hidden layers, and the output."""

    preactivations: tuple[Tensor, ...]
    output: Tensor


def draw_case(draw: torch.Generator) -> Case:
    """16 to 64 inputs of 6 to 12 features, layers of 6 to 12 units with He's normal weights."""
    sizes = torch.randint(6, 13, (5,), generator=draw).tolist()
    m = int(torch.randint(16, 65, (), generator=draw))
    weights = [(2 / i) ** 0.5 * normal(draw, o, i) for i, o in zip(sizes, sizes[1:])]
    scale, rate = 10 ** (torch.rand(2, generator=draw, dtype=torch.float64) * torch.tensor([2.0, 1.0])).numpy()
    return Case(normal(draw, m, sizes[0]), tuple(weights), normal(draw, m, sizes[-1]), 10 * scale, 0.1 * rate)


def normal(draw: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def standardised(x: Tensor) -> Tensor:
    return batch_norm(x, None, None, None, None, True, 0.0, 0.0)


def forward(x: Tensor, weights: tuple[Tensor, ...], normalised: int = 0) -> Passed:
    """The net on x; its first `normalised` hidden layers standardise their pre-activations over the batch."""
    preactivations = []
    for layer, weight in enumerate(weights[:-1]):
        preactivations.append(x @ weight.T)
        x = torch.relu(standardised(preactivations[-1]) if layer < normalised else preactivations[-1])
    return Passed(tuple(preactivations), x @ weights[-1].T)


def tracked(weights: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Copies that record their gradients."""
    return tuple(weight.clone().requires_grad_() for weight in weights)


def miss(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest number compared."""
    size = max(float(found.abs().max()), float(wanted.abs().max()), 1e-300)
    return float((found - wanted).abs().max()) / size
