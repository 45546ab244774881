"""The loss that a step of training descends, as a function of the parameters alone, and its gradient anywhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call

from bnlab.losses import LOSSES
from bnlab.norms import Noise
from bnlab.probes.probe import Moment
from bnlab.probes.undisturbed import undisturbed

if TYPE_CHECKING:
    from bnlab.models import Net

Parameters = dict[str, Tensor]  # by their names in the net
Loss = Callable[[Parameters], Tensor]


def parameters_of(model: Net) -> Parameters:
    """Copies of all parameters, which stay what they are when the net is updated."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def objective(moment: Moment) -> Loss:
    """The configured loss on the moment's batch, plus weight decay / 2 times the sum of squares of all parameters.

    This is what an optimiser with an L2 penalty descends; without one it is the loss of the training step. Each
    evaluation is a pass in training mode that starts from the same running statistics and draws the same noise and
    the same dropout, so that two of them differ by their parameters only. The net keeps all its own: parameters and
    running statistics are handed to the pass as copies.
    """
    model, decay = moment.model, moment.config.optim.weight_decay
    of_batch = LOSSES[moment.config.loss].of_batch
    generators = {module.generator for module in model.modules() if isinstance(module, Noise)}

    def loss(parameters: Parameters) -> Tensor:
        with undisturbed(model, generators):
            model.train()
            buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
            data_loss = of_batch(functional_call(model, (parameters, buffers), moment.x), moment.y)
        if not decay:
            return data_loss
        return data_loss + decay / 2 * sum(p.square().sum() for p in parameters.values())

    return loss


def loss_and_gradient(loss: Loss, at: Mapping[str, Tensor], wanted: Collection[str]) -> tuple[Tensor, Parameters]:
    """The loss at these parameters, detached, and its gradient with respect to the `wanted` ones.

    One forward pass, and one backward pass down to the lowest of them. Neither `at` nor any `.grad` is touched.
    """
    point = {name: p.detach().requires_grad_(name in wanted) for name, p in at.items()}
    with torch.enable_grad():
        value = loss(point)
        gradients = torch.autograd.grad(value, [point[name] for name in wanted])
    return value.detach(), dict(zip(wanted, gradients))


def norm(tensors: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm over all entries of all tensors, as a float64 scalar."""
    return torch.linalg.vector_norm(
        torch.stack([torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in tensors])
    )
