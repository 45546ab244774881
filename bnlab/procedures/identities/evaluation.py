"""The layer in evaluation, what it stores, and what it adds to a net."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import batch_norm

from bnlab.config import NormConfig
from bnlab.models.net import Block
from bnlab.norms.batch import BatchNorm
from bnlab.procedures.identities.case import Case, Tensor, bn, miss, spread


def evaluation_folds(c: Case) -> float:
    """In evaluation the layer is one affine map, which folds into the weights and the bias before it."""
    mean, var = c.x.mean(0), c.x.var(0)
    scale = c.gamma / torch.sqrt(var + c.eps)
    folded = c.u @ (scale.unsqueeze(1) * c.w).T + (c.b - mean) * scale + c.beta
    return miss(folded, batch_norm(c.u @ c.w.T + c.b, mean, var, c.gamma, c.beta, eps=c.eps))


def running_variance(c: Case) -> float:
    """torch keeps the unbiased variance, m/(m - 1) of the one it divides by (algorithm 2, step 10)."""
    layer = nn.BatchNorm1d(c.x.shape[1], momentum=1.0).double()
    layer(c.x)
    return miss(layer.running_var, c.x.var(0, correction=0) * c.m / (c.m - 1))


def dense_parameters(c: Case) -> float:
    """gamma and beta are two numbers per unit; 0 if so."""
    return float(sum(p.numel() for p in nn.BatchNorm1d(c.w.shape[0]).parameters()) != 2 * c.w.shape[0])


def dense_parameters_in_all(c: Case) -> float:
    """With the bias, which the layer makes superfluous, left out, a unit has one number more than before; 0 if so."""
    units, inputs = c.w.shape
    plain = nn.Linear(inputs, units)
    normalised = nn.Sequential(nn.Linear(inputs, units, bias=False), nn.BatchNorm1d(units))
    count = [sum(p.numel() for p in net.parameters()) for net in (plain, normalised)]
    return float(count[1] - count[0] != units)


def between_sum_and_activation(c: Case) -> float:
    """In bnlab's own block the layer's input is the weighted sum, and its output is the activation's input."""
    seen, block = _block(c, "batch")
    block(c.u)
    normed = bn(seen["preact"], eps=1e-5)
    return max(
        miss(seen["preact"], c.u @ c.w.T), miss(seen["normed"], normed), miss(seen["activation"], torch.relu(normed))
    )


def chosen_layers_only(c: Case) -> float:
    """Of two blocks one is normalised: its sums get mean 0 and spread 1, those of the other stay as they are."""
    (bare, plain), (seen, chosen) = _block(c, "none"), _block(c, "batch")
    plain(c.u)
    chosen(c.u)
    standard = torch.maximum(seen["normed"].mean(0).abs(), (spread(seen["normed"]) - 1).abs() - 1e-5 / spread(c.x) ** 2)
    return max(float(standard.max()), miss(bare["normed"], c.u @ c.w.T))


def _block(c: Case, norm: str) -> tuple[dict[str, Tensor], Block]:
    """A block with the weights of the case, and what its taps will have seen after a forward pass."""
    seen: dict[str, Tensor] = {}
    linear = nn.Linear(c.w.shape[1], c.w.shape[0], bias=False).double()
    linear.weight.data.copy_(c.w)
    layer = BatchNorm(NormConfig(norm), c.w.shape[0], spatial=False).double() if norm == "batch" else None
    block = Block(linear, layer, nn.ReLU(), "before", None)
    block.tap = lambda name, x: seen.__setitem__(name, x.detach())
    return seen, block


FACTS = (
    evaluation_folds,
    running_variance,
    dense_parameters,
    dense_parameters_in_all,
    between_sum_and_activation,
    chosen_layers_only,
)
