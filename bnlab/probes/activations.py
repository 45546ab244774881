"""How the hidden activations of the training batch are distributed: Goerner's bands, maxima and saturated fractions.

Each quantity is taken per layer and, as in his panels, over all chosen layers pooled. It comes from the very forward
pass that trains on the batch, with that pass's dropout and noise.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bnlab.config import RunConfig
from bnlab.probes.bands import SEPTILES, batch_maxima, fraction, mean_sd_skew, quantiles, thinned, unit_moments
from bnlab.probes.histograms import histogram
from bnlab.probes.probe import Measurement, Moment, Probe, Tap, due_steps, to_floats
from bnlab.probes.taps import chosen_layers
from bnlab.store import Histogram

PERCENTILES = (0.15, 0.50, 0.85)  # of the inputs, as in fig. 1 of Ioffe and Szegedy 2015
UNIT = 0  # the one fixed unit of each layer (Santurkar et al. 2018, fig. 2; Ioffe and Szegedy 2015, fig. 1)
LINEAR = 2.0  # a sigmoid is close to its tangent for inputs within +-2

Group = tuple[str, list[Tensor], list[Tensor]]  # name of the layer or "pooled", inputs and outputs of the activation


def measure(moment: Moment) -> Measurement:
    """Yields `activations/<quantity>/<layer>`; which steps give numbers and which histograms is a cadence each."""
    chosen = moment.config.probe.activations
    numbers: dict[str, Tensor] = {}
    histograms: dict[str, Histogram | None] = {}
    for name, inputs, outputs in _groups(moment):
        maxima = torch.cat([batch_maxima(t) for t in outputs])
        if moment.is_due(chosen.cadence):
            found = {
                **output_bands(outputs),
                **maxima_numbers(maxima),
                **input_numbers(inputs),
                **fractions(moment.config.model.activation, inputs, outputs, maxima),
            }
            if chosen.unit_percentiles and name != "pooled":
                found |= percentiles([inputs[0][:, UNIT]], "unit")
            numbers |= {f"activations/{quantity}/{name}": value for quantity, value in found.items()}
        if moment.is_due(chosen.histograms):
            histograms[f"activations/hist_output/{name}"] = histogram(thinned(outputs))
            histograms[f"activations/hist_input/{name}"] = histogram(thinned(inputs))
            histograms[f"activations/hist_max/{name}"] = histogram(thinned([maxima]))
            if chosen.unit and name != "pooled":
                histograms[f"activations/hist_unit/{name}"] = histogram(thinned([inputs[0][:, UNIT]]))
    yield None
    yield to_floats(numbers) | {key: h for key, h in histograms.items() if h is not None}


def output_bands(outputs: list[Tensor]) -> dict[str, Tensor]:
    """b0 … b7: the boundaries of the seven bands."""
    return {f"b{k}": q for k, q in enumerate(quantiles(thinned(outputs), SEPTILES))}


def maxima_numbers(maxima: Tensor) -> dict[str, Tensor]:
    """m0 … m7, the septile boundaries of the maxima, and their mean, standard deviation and skewness."""
    numbers = {f"m{k}": q for k, q in enumerate(quantiles(thinned([maxima]), SEPTILES))}
    return numbers | dict(zip(("max_mean", "max_sd", "max_skew"), mean_sd_skew(maxima)))


def input_numbers(inputs: list[Tensor]) -> dict[str, Tensor]:
    """Percentiles of what goes into the activation; mean over units of |mean| and of the standard deviation."""
    means, variances = (torch.cat(parts) for parts in zip(*(unit_moments(t) for t in inputs)))
    return {
        **percentiles(inputs, "input"),
        "input_mean_abs": means.abs().mean(),
        "input_sd": variances.sqrt().mean(),
    }


def percentiles(inputs: list[Tensor], of: str) -> dict[str, Tensor]:
    found = quantiles(thinned(inputs), PERCENTILES)
    return {f"{of}_p{100 * q:.0f}": value for q, value in zip(PERCENTILES, found)}


def fractions(activation: str, inputs: list[Tensor], outputs: list[Tensor], maxima: Tensor) -> dict[str, Tensor]:
    """Saturated (sigmoid outside [0.05, 0.95], tanh beyond +-0.9), linear (sigmoid inputs within +-2), zero and dead.

    Zero counts the outputs of a relu that are 0, dead its neurons whose largest output over the batch is 0.
    """
    if activation == "sigmoid":
        return {
            "saturated": fraction(outputs, lambda a: (a < 0.05) | (a > 0.95)),
            "input_linear": fraction(inputs, lambda z: z.abs() < LINEAR),
        }
    if activation == "tanh":
        return {"saturated": fraction(outputs, lambda a: a.abs() > 0.9)}
    if activation == "linear":
        return {}
    return {"zero": fraction(outputs, lambda a: a == 0), "dead": fraction([maxima], lambda m: m == 0)}


def _groups(moment: Moment) -> Iterator[Group]:
    layers = _layers(moment.config, len(moment.model.blocks))
    inputs = [moment.tapped[layer, "normed"] for layer in layers]
    outputs = [moment.tapped[layer, "activation"] for layer in layers]
    for layer, z, a in zip(layers, inputs, outputs):
        yield f"{layer:02d}", [z], [a]
    if moment.config.probe.activations.pooled:
        yield "pooled", inputs, outputs


def _due(config: RunConfig, steps_per_epoch: int) -> frozenset[int]:
    chosen = config.probe.activations
    numbers = due_steps(chosen.cadence, config.steps, steps_per_epoch)
    return numbers | due_steps(chosen.histograms, config.steps, steps_per_epoch)


def _layers(config: RunConfig, blocks: int) -> tuple[int, ...]:
    return chosen_layers(config.probe.activations.layers, blocks, "probe.activations.layers")


def _taps(config: RunConfig, blocks: int) -> frozenset[Tap]:
    return frozenset((layer, name) for layer in _layers(config, blocks) for name in ("normed", "activation"))


ACTIVATIONS = Probe("activations", _due, measure, _taps, runs_net=lambda moment: False)
