"""Keras's batch normalisation with every argument it has or had (Keras 3, and `virtual_batch_size` of Keras 2)."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bnlab.errors import BadInput
from bnlab.norms.keras_arguments import KerasArguments
from bnlab.norms.keras_parameters import CONSTRAINTS, FUZZ, INITIALIZERS, REGULARIZERS, Constraint, Regularizer, by_name
from bnlab.norms.synchronised import total


class KerasBatchNorm(nn.Module):
    """Standardises each of the `units` positions of `axis` over all other axes, then scales by gamma, shifts by beta.

    As in Keras 3, and unlike torch: the moving variance averages the biased variance; a layer that is not `trainable`
    is always in evaluation; 16-bit inputs are computed in float32. `renorm` (Ioffe 2017) corrects by averages of its
    own, and `moving_variance` follows from the average deviation. With `mask`, of one dimension less than the input,
    statistics are those of the positions where it is true (0 where it is so nowhere), and all positions are normalised.
    `synchronized` takes statistics over all processes of a group, in every training pass, which all have to make.

    `virtual_batch_size` is Keras 2's: of n such parts, part k has the images k, k + n, k + 2n, ...; the averages move
    once, towards the mean over the parts, and so does what `renorm` corrects by.

    The penalty of the regularisers is to be added to the loss; `constrain` is to be called after each update.
    Random initialisers draw from `generator`.
    """

    def __init__(
        self, units: int, arguments: KerasArguments | None = None, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.arguments = a = arguments or KerasArguments()
        self.gamma = self._parameter("gamma_initializer", units, generator) if a.scale else None
        self.beta = self._parameter("beta_initializer", units, generator) if a.center else None
        mean = self._initial("moving_mean_initializer", units, generator)
        variance = self._initial("moving_variance_initializer", units, generator)
        averages = {"renorm_mean": mean, "renorm_stddev": variance.sqrt(), "moving_stddev": variance.sqrt()}
        self.register_buffer("moving_mean", mean)
        self.register_buffer("moving_variance", variance)
        for name, value in averages.items():
            self.register_buffer(name, value.clone() if a.renorm else None)
        self.regularizers = self._rules("regularizer", REGULARIZERS)
        self.constraints = self._rules("constraint", CONSTRAINTS)

    def _initial(self, argument: str, units: int, generator: torch.Generator | None) -> Tensor:
        return by_name(argument, getattr(self.arguments, argument), INITIALIZERS)(units, generator)

    def _parameter(self, argument: str, units: int, generator: torch.Generator | None) -> nn.Parameter:
        return nn.Parameter(self._initial(argument, units, generator), requires_grad=self.arguments.trainable)

    def _rules(self, kind: str, known: dict) -> dict[str, Regularizer | Constraint]:
        """What is given for gamma and beta, of those that the layer has."""
        arguments = {name: f"{name}_{kind}" for name in ("gamma", "beta")}
        given = {name: by_name(key, getattr(self.arguments, key), known) for name, key in arguments.items()}
        return {name: rule for name, rule in given.items() if rule is not None and getattr(self, name) is not None}

    def penalty(self) -> Tensor:
        """What the regularisers add to the loss."""
        penalties = (rule(getattr(self, name)) for name, rule in self.regularizers.items())
        return sum(penalties, self.moving_mean.new_zeros(()))

    @torch.no_grad()
    def constrain(self) -> None:
        """Put gamma and beta back where their constraints want them."""
        for name, rule in self.constraints.items():
            parameter = getattr(self, name)
            parameter.copy_(rule(parameter))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`x` of any shape (images, ...) in which `axis` has `units` positions; the output has its shape and dtype."""
        if mask is not None and mask.dim() != x.dim() - 1:
            raise BadInput(f"mask of shape {tuple(mask.shape)}: needs one dimension less than x, {tuple(x.shape)}")
        if self.arguments.virtual_batch_size and self.arguments.axis % x.dim() == 0:
            raise BadInput(f"axis={self.arguments.axis}: is that of the images, which virtual_batch_size divides")
        axis, halved = self.arguments.axis, x.dtype in (torch.float16, torch.bfloat16)
        values = (x.float() if halved else x).movedim(axis, -1)
        if self.training and self.arguments.trainable:
            chosen = None if mask is None else mask.bool().unsqueeze(-1).expand_as(x).movedim(axis, -1)
            values = self._by_batch(values, chosen)
        else:
            values = self._transformed(values, self.moving_mean, self.moving_variance)
        return values.movedim(-1, axis).to(x.dtype)

    def _by_batch(self, x: Tensor, chosen: Tensor | None) -> Tensor:
        """Each virtual batch by its statistics; `x` (images, ..., units), of which `chosen` count."""
        parts = self._split(x)
        mean, variance = self._moments(parts, None if chosen is None else self._split(chosen))
        averages = mean.mean(1).flatten(), variance.mean(1).flatten()
        correction = self._correction(*averages) if self.arguments.renorm else (1.0, 0.0)
        self._remember(*averages)
        return self._transformed(parts, mean, variance, *correction).reshape(x.shape)

    def _split(self, x: Tensor) -> Tensor:
        """(images, ...) to (images of a virtual batch, virtual batches, ...)."""
        size = self.arguments.virtual_batch_size or len(x)
        if len(x) % size:
            raise BadInput(f"virtual_batch_size={size}: must divide the batch, which has {len(x)} images")
        return x.unflatten(0, (size, -1))

    def _moments(self, x: Tensor, chosen: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and biased variance, each (1, virtual batches, 1, ..., units)."""
        over = (0, *range(2, x.dim() - 1))
        everywhere = self.arguments.synchronized and dist.is_initialized()

        def added(values: Tensor) -> Tensor:
            values = values if chosen is None else torch.where(chosen, values, 0)
            found = values.sum(over, keepdim=True)
            return total(found) if everywhere else found

        count = added(torch.ones_like(x)) + (0.0 if chosen is None else FUZZ)
        mean = added(x) / count
        centred = x - mean if chosen is None else torch.where(chosen, x - mean, 0)
        return mean, added(centred.square()) / count

    @torch.no_grad()
    def _correction(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """r and d of batch renormalisation, from the averages before this batch."""
        limits, eps = self.arguments.clipping, self.arguments.epsilon
        deviation = self.renorm_stddev.clamp_min(math.sqrt(eps))
        r = ((variance + eps).sqrt() / deviation).clamp(limits["rmin"], limits["rmax"])
        return r, ((mean - self.renorm_mean) / deviation).clamp(-limits["dmax"], limits["dmax"])

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        a, deviation = self.arguments, (variance + self.arguments.epsilon).sqrt()
        _move(self.moving_mean, mean, a.momentum)
        if not a.renorm:
            _move(self.moving_variance, variance, a.momentum)
            return
        _move(self.renorm_mean, mean, a.renorm_momentum)
        _move(self.renorm_stddev, deviation, a.renorm_momentum)
        _move(self.moving_stddev, deviation, a.momentum)
        self.moving_variance.copy_((self.moving_stddev.square() - a.epsilon).clamp_min(0))

    def _transformed(
        self, x: Tensor, mean: Tensor, variance: Tensor, r: Tensor | float = 1.0, d: Tensor | float = 0.0
    ) -> Tensor:
        """gamma ((x - mean)/sqrt(variance + epsilon) r + d) + beta."""
        gamma = 1.0 if self.gamma is None else self.gamma
        beta = 0.0 if self.beta is None else self.beta
        scale = (variance + self.arguments.epsilon).rsqrt() * (r * gamma)
        return (x - mean) * scale + (d * gamma + beta)


def _move(average: Tensor, value: Tensor, kept: float) -> None:
    average.lerp_(value.to(average.dtype), 1 - kept)
