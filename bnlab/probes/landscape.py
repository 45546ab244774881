"""How the loss and its gradient change along the way that a step takes (Santurkar, Tsipras, Ilyas and Madry 2018,
section 3.2, figures 4, 10 and 11).

From parameters w with gradient g, the loss and the gradient are taken at w - a g for step lengths a that are multiples
of the learning rate: how far the loss varies, how far the gradient moves (gradient predictiveness), and the largest
||g(w - a g) - g|| / (a ||g||), the effective beta-smoothness. All points see the same batch in training mode, with the
same noise. Gradients are over all parameters. A random direction of the length of g is a switch: the paper says,
without a figure, that it behaves alike.

The multiples are of the configured `lr`, not of its schedule, so that all records of a run have one grid. One
measurement costs 1 forward and backward pass at w, and 1 of each for every factor and direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bnlab.config import RunConfig
from bnlab.probes.objective import Loss, Parameters, loss_and_gradient, norm, objective, parameters_of
from bnlab.probes.probe import Measurement, Moment, Probe, due_steps, to_floats


@dataclass(frozen=True)
class Start:
    """Where lines begin: the parameters, and the loss and gradient there."""

    parameters: Parameters
    loss: Tensor
    gradient: Parameters


@dataclass(frozen=True)
class Line:
    """Along w - a d, one entry for each step length a, float64: the loss (A,), that less the loss at the start (A,),
    the distance ||g(w - a d) - g|| of its gradient from that at the start (A,), and that divided by a ||d|| (A,)."""

    losses: Tensor
    rises: Tensor
    changes: Tensor
    smoothness: Tensor


def measure(moment: Moment) -> Measurement:
    """Yields `landscape/<quantity>` and `landscape/<quantity>/<factor>`; `random_` before those of a random line."""
    chosen, lr = moment.config.probe.landscape, moment.config.lr
    lengths = [factor * lr for factor in chosen.factors]
    loss = objective(moment)
    start = start_at(loss, parameters_of(moment.model))
    numbers = {"loss": start.loss, "gradient_norm": norm(start.gradient.values())}
    numbers |= line_numbers(walk(loss, start, start.gradient, lengths), chosen.factors)
    if chosen.random_direction:
        random = walk(loss, start, random_direction(start.gradient, (moment.config.seed, moment.step)), lengths)
        numbers |= {f"random_{quantity}": value for quantity, value in line_numbers(random, chosen.factors).items()}
    yield None
    yield to_floats({f"landscape/{quantity}": value.double() for quantity, value in numbers.items()})


def start_at(loss: Loss, parameters: Parameters) -> Start:
    return Start(parameters, *loss_and_gradient(loss, parameters, parameters.keys()))


def walk(loss: Loss, start: Start, direction: Parameters, lengths: Sequence[float]) -> Line:
    """What lies along `start.parameters - length * direction`; one forward and backward pass for each length."""
    losses, changes = [], []
    for length in lengths:
        point = {name: torch.sub(p, direction[name], alpha=length) for name, p in start.parameters.items()}
        value, gradient = loss_and_gradient(loss, point, point.keys())
        losses.append(value.double())
        changes.append(norm(gradient[name] - g for name, g in start.gradient.items()))
    there, moved = torch.stack(losses), torch.stack(changes)
    distances = moved.new_tensor(lengths) * norm(direction.values())
    return Line(there, there - start.loss.double(), moved, moved / distances)


def random_direction(like: Parameters, seed: tuple[int, ...]) -> Parameters:
    """A direction uniform on the sphere whose radius is the norm of `like`; the seed alone determines it."""
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint32)[0]))
    drawn = {name: torch.randn(p.shape, generator=generator).to(p) for name, p in like.items()}
    scale = norm(like.values()) / norm(drawn.values())
    return {name: (scale * p).to(p.dtype) for name, p in drawn.items()}


def line_numbers(line: Line, factors: Sequence[float]) -> dict[str, Tensor]:
    """Every point, the extremes over the points, and at which factor beta is attained: a maximum at the smallest one
    says how short the shortest step is, not how smooth the loss. A loss is given as its change, which may be far
    smaller than the digits of the loss that are kept."""
    found: dict[str, Tensor] = {}
    each = {"loss_change": line.rises, "gradient_change": line.changes, "beta_smoothness": line.smoothness}
    for quantity, values in each.items():
        found |= {f"{quantity}/{factor:g}": value for factor, value in zip(factors, values, strict=True)}
    for quantity, values in {"loss": line.losses, "gradient_change": line.changes}.items():
        found |= {f"{quantity}_min": values.min(), f"{quantity}_max": values.max()}
    beta, place = line.smoothness.max(0)
    return found | {"beta_smoothness": beta, "beta_factor": beta.new_tensor(factors)[place] + 0 * beta}


def _due(config: RunConfig, steps_per_epoch: int) -> frozenset[int]:
    return due_steps(config.probe.landscape.cadence, config.steps, steps_per_epoch)


LANDSCAPE = Probe("landscape", _due, measure)
