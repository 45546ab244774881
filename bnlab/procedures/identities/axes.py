"""What the statistics are taken over, and what is standardised by them."""

from __future__ import annotations

import torch
from torch import nn

from bnlab.procedures.identities.case import Case, bn, miss, spread


def over_neurons(c: Case) -> float:
    """How far statistics over the units of one image (m read as their number) lie from those over the batch."""
    mean, std = c.x.mean(1, keepdim=True), c.x.std(1, correction=0, keepdim=True)
    return miss((c.x - mean) / std, bn(c.x))


def over_neurons_is_layer_norm(c: Case) -> float:
    mean, std = c.x.mean(1, keepdim=True), c.x.std(1, correction=0, keepdim=True)
    return miss((c.x - mean) / std, nn.functional.layer_norm(c.x, c.x.shape[1:], eps=0.0))


def input_not_standardised(c: Case) -> float:
    """How far the layer's input u itself stays from mean 0 and spread 1 when its W u is standardised."""
    return float(torch.maximum(c.u.mean(0).abs(), (spread(c.u) - 1).abs()).max())


def after_relu(c: Case) -> float:
    """How far the next layer's input, relu(BN(x)), lies from mean 0: its mean over units and batch."""
    return float(torch.relu(bn(c.x)).mean())


def after_sigmoid(c: Case) -> float:
    """How far the spread of sigmoid(BN(x)) lies from 1."""
    return float((1 - spread(torch.sigmoid(bn(c.x)))).min())


FACTS = (
    over_neurons,
    over_neurons_is_layer_norm,
    input_not_standardised,
    after_relu,
    after_sigmoid,
)
