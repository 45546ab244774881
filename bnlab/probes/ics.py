"""Internal covariate shift as the change of a layer's gradient when the layers below it are updated (Santurkar,
Tsipras, Ilyas and Madry 2018, definition 2.1 and figure 3).

G is the gradient with respect to the weights of layer i at the parameters before the update, G' the same with those of
layers 1 to i-1 replaced by what the update made of them; both on the batch of the update. The weights are those of the
layer's linear map, which nets with and without normalisation have; everything else of a layer below (bias, gamma, beta)
moves with it. Layer 1 has nothing below it, so its shift is exactly 0.

One measurement costs 1 forward and backward pass for G of all layers, and 1 more of each for every layer's G'.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from bnlab.cadence import Cadence
from bnlab.config import RunConfig
from bnlab.probes.objective import Loss, Parameters, loss_and_gradient, norm, objective, parameters_of
from bnlab.probes.probe import Measurement, Moment, Probe, to_floats
from bnlab.probes.taps import chosen_layers

if TYPE_CHECKING:
    from bnlab.models import Net


def measure(moment: Moment) -> Measurement:
    """Yields `ics/{l2,cosine,relative}/<layer>`; a layer whose G is 0 has no cosine and no relative shift."""
    model = moment.model
    old = parameters_of(model)
    yield None
    layers = chosen_layers(moment.config.probe.ics.layers, len(model.blocks), "probe.ics.layers")
    below = {_weight(layer): _below(model, layer) for layer in layers}
    found = gradients(objective(moment), old, parameters_of(model), below)
    numbers: dict[str, Tensor] = {}
    for layer in layers:
        for quantity, value in shift(*found[_weight(layer)]).items():
            numbers[f"ics/{quantity}/{layer:02d}"] = value
    yield to_floats(numbers)


def gradients(
    loss: Loss, old: Parameters, new: Parameters, below: Mapping[str, Collection[str]]
) -> dict[str, tuple[Tensor, Tensor]]:
    """(G, G') of each parameter that `below` names; its value names all parameters of the layers below."""
    _, before = loss_and_gradient(loss, old, below.keys())
    pairs = {}
    for weight, lower in below.items():
        _, after = loss_and_gradient(loss, old | {name: new[name] for name in lower}, [weight])
        pairs[weight] = before[weight], after[weight]
    return pairs


def shift(before: Tensor, after: Tensor) -> dict[str, Tensor]:
    """||G - G'||, the cosine of the angle between G and G', and ||G - G'|| / ||G||; float64 scalars."""
    before, after = before.double(), after.double()
    distance = norm([before - after])
    squares = before.square().sum() * after.square().sum()
    return {
        "l2": distance,
        "cosine": (before * after).sum() / squares.sqrt(),  # the root of the product: exactly 1 where G' is G
        "relative": distance / norm([before]),
    }


def _weight(layer: int) -> str:
    return f"blocks.{layer - 1}.linear.weight"


def _below(model: Net, layer: int) -> list[str]:
    """The names of all parameters of layers 1 to layer - 1."""
    return [f"blocks.{i}.{name}" for i in range(layer - 1) for name, _ in model.blocks[i].named_parameters()]


def _due(config: RunConfig, steps_per_epoch: int) -> frozenset[int]:
    """Only steps that update the net: nothing moves after the last one."""
    return Cadence.parse(config.probe.ics.cadence).steps(config.steps, steps_per_epoch)


ICS = Probe("ics", _due, measure)
