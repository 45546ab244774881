"""What values a normalised batch can have, and what they depend on."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import batch_norm

from bnlab.procedures.identities.case import Case, bn, miss, spread


def bound(c: Case) -> float:
    """|xhat| never exceeds sqrt(m - 1); how far it does."""
    return max(0.0, float(bn(c.x).abs().max()) / math.sqrt(c.m - 1) - 1)


def bound_attained(c: Case) -> float:
    """It is attained where all values but one coincide."""
    x = c.b.expand(c.m, -1).clone()
    x[0] += 1 + c.gamma.abs()
    return miss(bn(x)[0], torch.full_like(c.b, math.sqrt(c.m - 1)))


def pairs_are_signs(c: Case) -> float:
    """With two different values in the batch only their order survives: +1 and -1, whatever their size."""
    pair = c.x[:2]
    return miss(bn(pair), torch.sign(pair - pair.mean(0)))


def batch_of_one(c: Case) -> float:
    """A batch of one dense value comes out as beta: it tells nothing about the input."""
    one = torch.batch_norm(c.x[:1].reshape(1, -1), c.gamma, c.beta, None, None, True, 0.0, c.eps, False)
    return miss(one[0], c.beta)


def others_stay(c: Case) -> float:
    """1 where the output of an image moves by less than 1 % in training when another one of its batch is exchanged."""
    other = c.x.clone()
    other[1] = other[1] + 10 * spread(c.x)
    return float(miss(bn(other)[0], bn(c.x)[0]) < 0.01)


def others_do_not_matter_in_evaluation(c: Case) -> float:
    stored = (c.x.mean(0), c.x.var(0))
    other = c.x.clone()
    other[1] = other[1] + 10 * spread(c.x)
    return miss(batch_norm(other, *stored)[0], batch_norm(c.x, *stored)[0])


FACTS = (
    bound,
    bound_attained,
    pairs_are_signs,
    batch_of_one,
    others_stay,
    others_do_not_matter_in_evaluation,
)
