"""Batch normalisation over a batch that several processes share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributed import _functional_collectives as collectives
from torch.nn.modules._functions import SyncBatchNorm

from bnlab.norms.batch import BatchNorm


class SynchronisedBatchNorm(BatchNorm):
    """Standardises by the statistics of all the shares together, as one process would that had the whole batch.

    Only a training pass inside `together` talks to the other processes, and then all of them have to make it, and its
    backward pass. Any other pass is `BatchNorm` over what it is given. Shares may differ in size.

    As everywhere in data-parallel training, gradients of gamma and beta are those of this process's share alone:
    summed over the processes they are the gradients of the sum of all losses.
    """

    together = False

    def standardise(self, x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        if not (self.training and self.together):
            return super().standardise(x, weight, bias)
        kernel = self._by_torch if x.is_cuda else self._by_collectives
        return kernel(x, weight, bias, self.next_momentum())

    def _by_torch(self, x: Tensor, weight: Tensor | None, bias: Tensor | None, momentum: float) -> Tensor:
        """The computation of `nn.SyncBatchNorm`, which torch has for GPUs only."""
        world, running = torch.distributed.group.WORLD, (self.running_mean, self.running_var)
        return SyncBatchNorm.apply(x, weight, bias, *running, self.eps, momentum, world, world.size())

    def _by_collectives(self, x: Tensor, weight: Tensor | None, bias: Tensor | None, momentum: float) -> Tensor:
        """Two sums over the processes, of values and then of squared deviations from the common mean.

        One sum of values and squares would do, but its difference of two large numbers loses digits. The backward
        pass of a sum over processes is the same sum of gradients.
        """
        over = [d for d in range(x.dim()) if d != 1]
        shape = self.parameter_shape
        sums = total(torch.cat([x.sum(over), x.new_tensor([x.numel() / x.shape[1]])]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = x - mean.view(shape)
        variance = total(centred.square().sum(over)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), momentum)
        scale = (variance + self.eps).rsqrt() if weight is None else (variance + self.eps).rsqrt() * weight
        y = centred * scale.view(shape)
        return y if bias is None else y + bias.view(shape)


def total(x: Tensor) -> Tensor:
    """The sum over all processes; gradients are summed over them likewise."""
    return collectives.wait_tensor(collectives.all_reduce(x, "sum", torch.distributed.group.WORLD))


@contextlib.contextmanager
def together(model: nn.Module) -> Iterator[None]:
    """Within the context, training passes through `model` take their statistics over all processes."""
    norms = [module for module in model.modules() if isinstance(module, SynchronisedBatchNorm)]
    try:
        for norm in norms:
            norm.together = True
        yield
    finally:
        for norm in norms:
            norm.together = False
