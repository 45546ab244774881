"""White dogs, then dogs of another coat: what the new data alone do to hidden activations, and what updates do.

Images are drawn: a dog is a disc, light while dogs are white and dark afterwards; what is no dog is a cross of any
brightness. A net that has learnt on white dogs meets the others, with its weights frozen or while it goes on learning.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from bnlab.procedures.covariate_shift.streams import stream

Tensor = torch.Tensor
SIDE = 12
COATS = {"white": (0.8, 1.0), "other": (0.0, 0.3)}
BACKGROUND, NOISE = 0.5, 0.1
WIDTH, HIDDEN = 64, 3
RATE, BATCH = 0.1, 50
FIRST, SECOND = 500, 200  # steps of training on white dogs, and steps after that
RECORDED = (1, 2, 5, 10, 20, 50, 100, SECOND)


@dataclass(frozen=True)
class Images:
    """`x` (n, SIDE * SIDE), `y` (n,): 1 for a dog."""

    x: Tensor
    y: Tensor


Shift = dict[str, float]


def compare(seed: int, count: int) -> dict[int, dict[str, float]]:
    """Shifts of the hidden activations in every scenario, over `count` images; curves by step of the second training.

    The images of the two coats are the same but for the coat, so that no other difference is measured.
    """
    draw = stream(seed, 2)
    white, other = draw_coats(draw, count)
    fresh, _ = draw_coats(draw, count)
    net = make_net(draw)
    for _ in train(net, white, draw, FIRST):
        pass
    first = [activations(net, images.x) for images in (white, other)]
    rows = {0: _named(shift(first[0], first[1]), "frozen")}
    rows[0] |= _named(shift(first[0], activations(net, fresh.x)), "fresh")
    rows[0] |= _named(shift(first[0], activations(net, white.x)), "neither")
    rows[0] |= {f"dog_accuracy/{coat}": accuracy(net, images) for coat, images in zip(COATS, (white, other))}
    for scenarios in (_kept(net, white, first, draw), _swapped(net, other, first, draw)):
        for step, values in scenarios:
            rows.setdefault(step, {}).update({name.replace("/", "_after/"): value for name, value in values.items()})
            if step == SECOND:
                rows[0] |= values
    return rows


def _kept(net: nn.Sequential, white: Images, first: list[list[Tensor]], draw: torch.Generator) -> Iterator:
    """The data stay, the weights are updated."""
    net = copy.deepcopy(net)
    for step in train(net, white, draw, SECOND):
        if step in RECORDED:
            yield step, _named(shift(first[0], activations(net, white.x)), "kept")


def _swapped(net: nn.Sequential, other: Images, first: list[list[Tensor]], draw: torch.Generator) -> Iterator:
    """The data are swapped and the weights updated on them: all that changes, and what updates add on the new data."""
    net = copy.deepcopy(net)
    for step in train(net, other, draw, SECOND):
        if step in RECORDED:
            now = activations(net, other.x)
            yield step, _named(shift(first[0], now), "article") | _named(shift(first[1], now), "swapped")


def _named(found: Shift, scenario: str) -> Shift:
    return {f"{name}/{scenario}": value for name, value in found.items()}


def draw_coats(draw: torch.Generator, count: int) -> tuple[Images, Images]:
    """Images with white dogs, and the same with dogs of the other coat; every second image is a dog."""
    rows = torch.arange(SIDE).reshape(1, -1, 1)
    centre = torch.randint(4, SIDE - 4, (2, count, 1, 1), generator=draw)
    down, across = (rows - centre[0]).abs(), (rows.transpose(1, 2) - centre[1]).abs()
    dog = (torch.arange(count) % 2 == 1).reshape(-1, 1, 1)
    shape = torch.where(dog, down**2 + across**2 <= 9, (down * across == 0) & (down + across <= 4))
    base = BACKGROUND + NOISE * torch.randn(count, SIDE, SIDE, generator=draw)
    share, cross = torch.rand(2, count, 1, 1, generator=draw)
    images = []
    for low, high in COATS.values():
        brightness = torch.where(dog, low + (high - low) * share, cross)
        images.append(Images(torch.where(shape, brightness, base).flatten(1), dog.flatten().long()))
    return images[0], images[1]


def make_net(draw: torch.Generator) -> nn.Sequential:
    """HIDDEN layers of tanh units; Glorot's normal weights, biases 0."""
    sizes = [SIDE * SIDE, *[WIDTH] * HIDDEN, 2]
    layers: list[nn.Module] = []
    for inputs, units in zip(sizes, sizes[1:]):
        layers += [nn.Linear(inputs, units), nn.Tanh()]
        nn.init.xavier_normal_(layers[-2].weight, generator=draw)
        nn.init.zeros_(layers[-2].bias)
    return nn.Sequential(*layers[:-1])


def train(net: nn.Sequential, images: Images, draw: torch.Generator, steps: int) -> Iterator[int]:
    """Plain stochastic gradient descent on the cross-entropy; yields the number of every step done."""
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE)
    for step in range(1, steps + 1):
        batch = torch.randint(len(images.y), (BATCH,), generator=draw)
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(images.x[batch]), images.y[batch]).backward()
        optimiser.step()
        yield step


@torch.no_grad()
def activations(net: nn.Sequential, x: Tensor) -> list[Tensor]:
    """The outputs (n, WIDTH) of every hidden layer."""
    values = []
    for layer in net:
        x = layer(x)
        if isinstance(layer, nn.Tanh):
            values.append(x)
    return values


def shift(before: list[Tensor], after: list[Tensor]) -> Shift:
    """Mean over all hidden units of |change of mean| / standard deviation before, and of |ln(deviation after/before)|.

    Means and standard deviations of a unit are over the images.
    """
    a, b = (torch.cat(values, 1).double() for values in (before, after))
    deviation = a.std(0, correction=0)
    return {
        "mean_shift": float(((b.mean(0) - a.mean(0)).abs() / deviation).mean()),
        "spread_shift": float((b.std(0, correction=0) / deviation).log().abs().mean()),
    }


@torch.no_grad()
def accuracy(net: nn.Sequential, images: Images) -> float:
    return float((net(images.x).argmax(1) == images.y).double().mean())
