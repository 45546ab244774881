"""A deep sigmoid net on standardised inputs: how distributions differ across its depth, and how they change over time.

The 2015 paper's internal covariate shift is the change of a layer's input while parameters change, so the same net is
looked at twice with frozen weights, and again after it has been trained.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from scipy.stats import wasserstein_distance
from torch import nn

from bnlab.procedures.covariate_shift.streams import stream

Tensor = torch.Tensor
INPUTS, WIDTH, LAYERS = 4, 64, 10  # four inputs as in the article
TRAINING_STEPS, RATE = 50, 1e-2
EPS = 1e-5


def compare(seed: int, count: int) -> dict[int, dict[str, float]]:
    """Mean and spread by depth for `count` inputs, and the distances across depth and over time; all at step 0."""
    draw = stream(seed, 1)
    x = standardised(torch.randn(count, INPUTS, generator=draw, dtype=torch.float64))
    weights = draw_weights(draw)
    values: dict[str, float] = {}
    for net, normalise in (("plain", nn.Identity()), ("bn", standardised)):
        for layer, u in enumerate(layer_values(x, weights, normalise)):
            values[f"mean/{net}/{layer:02}"] = float(u.mean())
            values[f"spread/{net}/{layer:02}"] = float(u.std(0, correction=0).mean())
    return {0: values | _distances(x, weights)}


def standardised(x: Tensor) -> Tensor:
    """Each unit's mean over the batch 0, its spread 1 up to EPS; batch normalisation as it starts out."""
    return nn.functional.batch_norm(x, None, None, training=True, eps=EPS)


def draw_weights(draw: torch.Generator) -> list[Tensor]:
    """Normal weights (inputs, units) of variance 1 / inputs."""
    sizes = [INPUTS, *[WIDTH] * LAYERS]
    return [
        torch.randn(inputs, units, generator=draw, dtype=torch.float64) / inputs**0.5
        for inputs, units in zip(sizes, sizes[1:])
    ]


def layer_values(x: Tensor, weights: list[Tensor], normalise: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The inputs and the outputs of every layer, LAYERS + 1 in all."""
    values = [x]
    for weight in weights:
        values.append(torch.sigmoid(normalise(values[-1] @ weight)))
    return values


def _distances(x: Tensor, weights: list[Tensor]) -> dict[str, float]:
    now = layer_values(x, weights, nn.Identity())
    depth = mean_distance([x] * (LAYERS - 1), now[1:LAYERS])
    frozen = mean_distance(now[1:LAYERS], layer_values(x, weights, nn.Identity())[1:LAYERS])
    later = layer_values(x, trained(x, weights), nn.Identity())
    return {
        "across_depth": depth,
        "over_time/frozen": frozen,
        "over_time/trained": mean_distance(now[1:LAYERS], later[1:LAYERS]),
        "depth_not_time": depth - frozen,
    }


def mean_distance(before: list[Tensor], after: list[Tensor]) -> float:
    """Mean over layers of the 1-Wasserstein distance between all values of one and all values of the other."""
    each = [wasserstein_distance(a.flatten().numpy(), b.flatten().numpy()) for a, b in zip(before, after, strict=True)]
    return float(sum(each) / len(each))


def trained(x: Tensor, weights: list[Tensor]) -> list[Tensor]:
    """The weights after Adam on the squared error of the product of the first two inputs."""
    weights = [weight.clone().requires_grad_() for weight in weights]
    head = torch.zeros(WIDTH, dtype=torch.float64, requires_grad=True)
    target = x[:, 0] * x[:, 1]
    optimiser = torch.optim.Adam([*weights, head], lr=RATE)
    for _ in range(TRAINING_STEPS):
        optimiser.zero_grad()
        ((layer_values(x, weights, nn.Identity())[-1] @ head - target) ** 2).mean().backward()
        optimiser.step()
    return [weight.detach() for weight in weights]
