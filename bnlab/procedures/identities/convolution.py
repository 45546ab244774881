"""Maps of a convolution: statistics over images and positions."""

from __future__ import annotations

import torch
from torch import nn

from bnlab.procedures.identities.case import Case, Tensor, bn, miss, normal


def conv_is_dense(c: Case) -> float:
    """Normalising a map (N, C, H, W) is normalising the (N H W, C) values of its channels."""
    images = normal(c.draw, 4, c.x.shape[1], 3, 5) * (1 + c.gamma.abs()).view(1, -1, 1, 1)
    dense = images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])
    found = bn(images, c.gamma, c.beta, c.eps).permute(0, 2, 3, 1).reshape(dense.shape)
    return miss(found, bn(dense, c.gamma, c.beta, c.eps))


def conv_parameters(c: Case) -> float:
    """gamma and beta are one each per channel, and so are the two running statistics."""
    layer = nn.BatchNorm2d(c.x.shape[1])
    numbers = [p.numel() for p in layer.parameters()]
    stored = [layer.running_mean.numel(), layer.running_var.numel()]
    return float(numbers != [c.x.shape[1]] * 2 or stored != [c.x.shape[1]] * 2)


def conv_moves_with_its_input(c: Case) -> float:
    """A map that is shifted (around the edge) comes out shifted."""
    images = normal(c.draw, 4, 3, 6, 6)
    return miss(bn(images.roll(1, -1)), bn(images).roll(1, -1))


def per_position_moves(c: Case) -> float:
    """1 where statistics of every position by itself, as in a dense layer, break that by less than 5 %."""
    images = normal(c.draw, 4, 3, 6, 6) * (1 + torch.arange(6.0, dtype=torch.float64))
    scale, shift = normal(c.draw, 108), normal(c.draw, 108)

    def dense(x: Tensor) -> Tensor:
        return bn(x.flatten(1), scale, shift).view_as(x)

    return float(miss(dense(images.roll(1, -1)), dense(images).roll(1, -1)) < 0.05)


FACTS = (
    conv_is_dense,
    conv_parameters,
    conv_moves_with_its_input,
    per_position_moves,
)
