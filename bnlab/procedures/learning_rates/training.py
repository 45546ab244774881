"""The same net trained at every learning rate of a grid, with and without batch normalisation, on raw pixels too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from bnlab import data
from bnlab.config import NormConfig, RunConfig
from bnlab.data.batches import Batches
from bnlab.models import Net, build

RATES = tuple(10.0 ** (k / 4) for k in range(-8, 9))
STEP = RATES[1] / RATES[0]
WIDE = 255.0  # what the inputs of a `_wide` arm are multiplied by: pixels from 0 to 255 instead of 0 to 1
TRAINS = 0.8  # training accuracy over the last quarter of the steps at which training counts as working
REACHED, RUNNING = 0.9, 10  # training accuracy that is to be reached, as the mean over so many batches

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Trained:
    """`accuracy` (steps,) of every training batch, chance from a divergence on; `first_gradient` before any update.

    `growth`: norm of all hidden weights at the end over that at the start. `spread`: largest over smallest norm of the
    weight vectors of hidden units, median over layers. Both NaN after a divergence.
    """

    accuracy: np.ndarray
    first_gradient: float
    growth: float
    spread: float

    @property
    def late(self) -> float:
        return float(self.accuracy[-max(1, len(self.accuracy) // 4) :].mean())

    @property
    def steps(self) -> int:
        """Steps until REACHED; one more than there are where it is not."""
        means = np.convolve(self.accuracy, np.full(RUNNING, 1 / RUNNING), "valid")
        reached = np.flatnonzero(means >= REACHED - 1e-9)
        return int(reached[0]) + RUNNING if len(reached) else len(self.accuracy) + 1


def compare(config: RunConfig, norms: dict[str, NormConfig], steps: int) -> dict[int, dict[str, float]]:
    """Rows by place in RATES; what a seed's arms came to stands at row 0."""
    sets = data.load(config.data)
    order = Batches(sets.train, config.batch_size, torch.Generator().manual_seed(_seed(config, 0)))
    batches = [order.next() for _ in range(steps)]
    rows = {place: {"rate": rate} for place, rate in enumerate(RATES)}
    found = {}
    for arm, norm in norms.items():
        for name, scale in ((arm, 1.0), (f"{arm}_wide", WIDE)):
            own = [(scale * x, labels) for x, labels in batches]
            found[name] = [train(_net(config, norm, sets.train.shape, sets.classes), own, rate) for rate in RATES]
    for name, trained in found.items():
        for place, one in enumerate(trained):
            rows[place][f"late_accuracy/{name}"] = one.late
        rows[0] |= _came_to(name, trained)
    rows[0] |= _matched(found)
    return rows


def _seed(config: RunConfig, stream: int) -> int:
    return int(np.random.SeedSequence([config.seed, stream]).generate_state(1)[0])


def _net(config: RunConfig, norm: NormConfig, shape: tuple[int, int, int], classes: int) -> Net:
    weights, noise = (torch.Generator().manual_seed(_seed(config, stream)) for stream in (1, 2))
    return build(config.model, norm, shape, classes, weights, noise)


def train(net: Net, batches: list[Batch], rate: float) -> Trained:
    """Plain stochastic gradient descent, a step per batch, until it is over or the loss is not finite."""
    start, first = _norms(net), math.nan
    optimiser = torch.optim.SGD(net.parameters(), lr=rate)
    accuracy = np.full(len(batches), 1 / net.output.out_features)
    for step, (x, labels) in enumerate(batches):
        logits = net(x)
        loss = cross_entropy(logits, labels)
        if not torch.isfinite(loss):
            return Trained(accuracy, first, math.nan, math.nan)
        accuracy[step] = float((logits.argmax(1) == labels).float().mean())
        optimiser.zero_grad()
        loss.backward()
        first = float(net.blocks[0].linear.weight.grad.norm()) if step == 0 else first
        optimiser.step()
    end = _norms(net)
    sizes = [float(torch.cat(norms).norm()) for norms in (end, start)]
    spread = float(np.median([float(norms.max() / norms.min()) for norms in end]))
    return Trained(accuracy, first, sizes[0] / sizes[1], spread)


def _norms(net: Net) -> list[torch.Tensor]:
    """Norms of the weight vectors of the units of every hidden layer."""
    return [block.linear.weight.detach().norm(dim=1) for block in net.blocks]


def _came_to(name: str, trained: list[Trained]) -> dict[str, float]:
    """The largest rate is one step below the grid where none works."""
    working = [rate for rate, one in zip(RATES, trained) if one.late > TRAINS]
    return {
        f"largest_rate/{name}": max(working, default=RATES[0] / STEP),
        f"working_decades/{name}": len(working) * math.log10(STEP),
        f"fewest_steps/{name}": min(one.steps for one in trained),
        f"first_gradient/{name}": trained[0].first_gradient,
        f"weight_growth/{name}": _fastest(trained).growth,
    }


def _fastest(trained: list[Trained]) -> Trained:
    """At the smallest of the rates that need the fewest steps."""
    return min(trained, key=lambda one: one.steps)


def _matched(found: dict[str, list[Trained]]) -> dict[str, float]:
    """Both arms at the rate at which the plain net is fastest."""
    place = found["plain"].index(_fastest(found["plain"]))
    values = {"plains_rate": RATES[place]}
    for arm in ("plain", "bn"):
        one = found[arm][place]
        values[f"steps_at_plains_rate/{arm}"] = one.steps
        values[f"weight_growth_at_plains_rate/{arm}"] = one.growth
        values[f"weight_spread_at_plains_rate/{arm}"] = one.spread
    return values
