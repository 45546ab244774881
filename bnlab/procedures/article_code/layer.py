"""Keras's layer on a random batch: what torch's does with the same numbers, and batch renormalisation."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from bnlab.procedures.article_code.case import Case, Tensor, gradient, miss, normal, uniform
from bnlab.procedures.article_code.keras_on_torch import load_keras

RENORM_STEPS = 3


def keras_layer(c: Case, **arguments: object) -> Any:
    """A layer of Keras with the gamma, beta and eps of the case."""
    layer = load_keras().layers.BatchNormalization(epsilon=c.eps, **arguments)
    layer.build(c.x.shape)
    layer.gamma.assign(c.gamma)
    layer.beta.assign(c.beta)
    return layer


def torch_layer(c: Case, **arguments: object) -> torch.nn.BatchNorm1d:
    """The same layer of torch."""
    layer = torch.nn.BatchNorm1d(c.x.shape[1], eps=c.eps, **arguments)
    layer.weight.data.copy_(c.gamma)
    layer.bias.data.copy_(c.beta)
    return layer


def frameworks_output(c: Case) -> float:
    return miss(keras_layer(c)(c.x, training=True).detach(), torch_layer(c)(c.x).detach())


def frameworks_input_gradient(c: Case) -> float:
    found, wanted = (c.x.clone().requires_grad_() for _ in range(2))
    return miss(
        gradient(keras_layer(c)(found, training=True), c.g, found), gradient(torch_layer(c)(wanted), c.g, wanted)
    )


def frameworks_parameter_gradients(c: Case) -> float:
    keras, ours = keras_layer(c), torch_layer(c)
    found = _gradients(keras(c.x, training=True), c.g, (keras.gamma.value, keras.beta.value))
    return miss(found, _gradients(ours(c.x), c.g, (ours.weight, ours.bias)))


def _gradients(y: Tensor, g: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
    return torch.cat(torch.autograd.grad((y * g).sum(), parameters))


def _after_a_step(c: Case, kept: float, new: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Moving mean and variance of Keras with momentum `kept`, then those of torch with momentum `new`."""
    keras, ours = keras_layer(c, momentum=kept), torch_layer(c, momentum=new)
    keras(c.x, training=True)
    ours(c.x)
    found = (keras.moving_mean.value, keras.moving_variance.value, ours.running_mean, ours.running_var)
    return tuple(tensor.detach() for tensor in found)


def frameworks_moving_mean(c: Case) -> float:
    """Keras's momentum is how much of the old average stays, torch's how much of the new batch comes."""
    keras_mean, _, torch_mean, _ = _after_a_step(c, 0.9, 0.1)
    return miss(keras_mean, torch_mean)


def frameworks_moving_variance(c: Case) -> float:
    """Keras averages the biased variance of the batch, torch the unbiased one, m/(m - 1) times as large."""
    _, keras_variance, _, torch_variance = _after_a_step(c, 0.0, 1.0)
    return miss(keras_variance, torch_variance)


def frameworks_moving_variance_over_m(c: Case) -> float:
    _, keras_variance, _, torch_variance = _after_a_step(c, 0.0, 1.0)
    return miss(keras_variance, torch_variance * (c.m - 1) / c.m)


def frameworks_same_momentum(c: Case) -> float:
    """The same number for momentum means opposite things."""
    keras_mean, _, torch_mean, _ = _after_a_step(c, 0.9, 0.9)
    return miss(keras_mean, torch_mean)


def frameworks_evaluation(c: Case) -> float:
    """From the same averages, evaluation gives the same."""
    keras, ours = keras_layer(c), torch_layer(c)
    mean, variance = normal(c.draw, *c.gamma.shape), normal(c.draw, *c.gamma.shape).square()
    keras.moving_mean.assign(mean)
    keras.moving_variance.assign(variance)
    ours.running_mean.copy_(mean)
    ours.running_var.copy_(variance)
    return miss(keras(c.x, training=False).detach(), ours.eval()(c.x).detach())


def frameworks_large_mean(c: Case) -> float:
    """A mean 1,000 times the spread: Keras takes the variance as E[x^2] - E[x]^2, of which float32 keeps little."""
    case = dataclasses.replace(c, x=1000 + normal(c.draw, *c.x.shape))
    return miss(keras_layer(case)(case.x, training=True).detach(), torch_layer(case)(case.x).detach())


def renorm_formula(c: Case) -> float:
    """Ioffe 2017, algorithm 1, with limits that the case draws; r and d come from the averages before the batch."""
    high, most = (uniform(c.draw, 1, 2) for _ in range(2))
    low = 1 / high
    layer = keras_layer(c, renorm=True, renorm_clipping={"rmin": low, "rmax": high, "dmax": most}, renorm_momentum=0.8)
    mean, std = torch.zeros_like(c.gamma), torch.ones_like(c.gamma)
    worst = 0.0
    for _ in range(RENORM_STEPS):
        x = c.x.mean() + c.x.std() * normal(c.draw, *c.x.shape)
        batch_mean, batch_std = x.mean(0), (x.var(0, correction=0) + c.eps).sqrt()
        r, d = (batch_std / std).clamp(low, high), ((batch_mean - mean) / std).clamp(-most, most)
        wanted = c.gamma * ((x - batch_mean) / batch_std * r + d) + c.beta
        worst = max(worst, miss(layer(x, training=True).detach(), wanted))
        mean, std = 0.8 * mean + 0.2 * batch_mean, 0.8 * std + 0.2 * batch_std
    return worst


def renorm_r_unlimited_below(c: Case) -> float:
    """With `rmax` alone, a batch of a small spread gets an r below the 1/rmax of the paper: nothing is corrected up."""
    layer = keras_layer(c, renorm=True, renorm_clipping={"rmax": 3.0, "dmax": 0.0})
    x = 0.01 * normal(c.draw, *c.x.shape)
    return miss(layer(x, training=True).detach(), c.gamma * (x - x.mean(0)) + c.beta)


PRINTED = ()
FACTS = (
    frameworks_output,
    frameworks_input_gradient,
    frameworks_parameter_gradients,
    frameworks_moving_mean,
    frameworks_moving_variance,
    frameworks_moving_variance_over_m,
    frameworks_same_momentum,
    frameworks_evaluation,
    frameworks_large_mean,
    renorm_formula,
    renorm_r_unlimited_below,
)
