"""This project's layer with Keras's arguments beside Keras's own, both as article S1's call says."""

from __future__ import annotations

from typing import Any

import torch

from bnlab.norms.keras_arguments import KerasArguments
from bnlab.norms.keras_surface import KerasBatchNorm
from bnlab.procedures.article_code.case import Case, Tensor, miss, normal
from bnlab.procedures.article_code.keras_on_torch import load_keras
from bnlab.procedures.article_code.programs import call_arguments

STEPS = 2
MOMENTUM = 0.7  # the call's 0.99 would leave averages of so few batches next to where they start


def _both(c: Case) -> tuple[KerasBatchNorm, Any]:
    """The two layers with gamma and beta of the case, with renorm in every other case, after some batches."""
    changes = {"renorm": c.m % 2 == 0, "momentum": MOMENTUM, "renorm_momentum": MOMENTUM}
    arguments = call_arguments() | changes
    ours = KerasBatchNorm(c.x.shape[1], KerasArguments(**arguments))
    theirs = load_keras().layers.BatchNormalization(**arguments)
    theirs.build(c.x.shape)
    for name in ("gamma", "beta"):
        getattr(ours, name).data.copy_(getattr(c, name))
        getattr(theirs, name).assign(getattr(c, name))
    for _ in range(STEPS):
        x = c.x.mean() + c.x.std() * normal(c.draw, *c.x.shape)
        ours(x)
        theirs(x, training=True)
    return ours, theirs


def surface_output(c: Case) -> float:
    ours, theirs = _both(c)
    in_training = miss(ours(c.x).detach(), theirs(c.x, training=True).detach())
    return max(in_training, miss(ours.eval()(c.x).detach(), theirs(c.x, training=False).detach()))


def surface_gradients(c: Case) -> float:
    """With respect to x, and to gamma and beta together."""
    ours, theirs = _both(c)
    x, same = (c.x.clone().requires_grad_() for _ in range(2))
    found = _gradients(ours(x), c.g, (x, ours.gamma, ours.beta))
    wanted = _gradients(theirs(same, training=True), c.g, (same, theirs.gamma.value, theirs.beta.value))
    return max(map(miss, found, wanted))


def _gradients(y: Tensor, g: Tensor, of: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    x, *parameters = torch.autograd.grad((y * g).sum(), of)
    return x, torch.cat(parameters)


def surface_averages(c: Case) -> float:
    ours, theirs = _both(c)
    return max(miss(value, getattr(theirs, name).value.detach()) for name, value in ours.named_buffers())


PRINTED = ()
FACTS = (surface_output, surface_gradients, surface_averages)
