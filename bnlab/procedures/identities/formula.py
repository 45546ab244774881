"""The formula of the layer: means, spreads, gamma, beta and eps."""

from __future__ import annotations

import math

import torch

from bnlab.procedures.identities.case import Case, bn, gradient, miss, relative, spread


def formula(c: Case) -> float:
    """Ioffe and Szegedy 2015, algorithm 1: the biased variance over the batch, eps under the root."""
    wanted = c.gamma * (c.x - c.x.mean(0)) / torch.sqrt(c.x.var(0, correction=0) + c.eps) + c.beta
    return miss(bn(c.x, c.gamma, c.beta, c.eps), wanted)


def unbiased_formula(c: Case) -> float:
    """How far the same with the unbiased variance (1/(m-1)) lies from what the layer does: 1 - sqrt((m-1)/m)."""
    wanted = (c.x - c.x.mean(0)) / torch.sqrt(c.x.var(0, correction=1))
    return miss(bn(c.x), wanted)


def output_mean(c: Case) -> float:
    y = bn(c.x, c.gamma, c.beta, c.eps)
    return relative(y.mean(0) - c.beta, c.beta.abs() + y.abs().mean(0))


def output_std(c: Case) -> float:
    """|gamma| s / sqrt(s^2 + eps): slightly below |gamma|."""
    s = spread(c.x)
    return miss(spread(bn(c.x, c.gamma, c.beta, c.eps)), c.gamma.abs() * s / torch.sqrt(s**2 + c.eps))


def identity_recovery(c: Case) -> float:
    """gamma = sqrt(var + eps) and beta = mean give the batch back."""
    gamma, beta = torch.sqrt(c.x.var(0, correction=0) + c.eps), c.x.mean(0)
    return miss(bn(c.x, gamma, beta, c.eps), c.x)


def eps_outside(c: Case) -> float:
    """The article's (x - mean)/(std + eps) beside (x - mean)/sqrt(var + eps), for units with std = 0.01, eps = 1e-3.

    The ratio of the two scale factors, less 1: sqrt(std^2 + eps)/(std + eps) there is 3.02 in any case.
    """
    std, eps = 0.01, 1e-3
    x = bn(c.x) * std
    article = (x - x.mean(0)) / (spread(x) + eps)
    return float((spread(article) / spread(bn(x, eps=eps))).min()) - 1


def eps_left_out(c: Case) -> float:
    """How far (x - mean)/std lies from the layer's output where std = 0.01 and eps = 1e-3: too wide by 2.32."""
    x = bn(c.x) * 0.01
    return float((spread((x - x.mean(0)) / spread(x)) / spread(bn(x, eps=1e-3))).min()) - 1


def one_step_later(c: Case) -> float:
    """How far the output's mean or spread moves when one step of gradient descent (rate 0.1) moves beta and gamma."""
    gamma, beta = c.gamma.clone().requires_grad_(), c.beta.clone().requires_grad_()
    y = bn(c.x, gamma, beta)
    d_gamma, d_beta = torch.autograd.grad((y * c.g).sum(), (gamma, beta))
    later = bn(c.x, c.gamma - 0.1 * d_gamma, c.beta - 0.1 * d_beta)
    y = y.detach()
    return float(torch.maximum((later.mean(0) - y.mean(0)).abs(), (spread(later) - spread(y)).abs()).max())


def constant_unit(c: Case) -> float:
    """A unit that is constant over the batch comes out as exactly beta, with finite gradients, where eps > 0."""
    x = c.b.expand(c.m, -1).clone().requires_grad_()
    y = bn(x, c.gamma, c.beta, c.eps)
    finite = bool(torch.isfinite(gradient(y, c.g, x)).all())
    return miss(y.detach(), c.beta.expand_as(y)) if finite else math.inf


def constant_unit_gives_number(c: Case) -> float:
    """0 where the division by the spread, written out, gives no number for a constant unit and eps = 0."""
    x = torch.ones(c.m, 1, dtype=torch.float64) * c.b
    written = (x - x.mean(0)) / spread(x)
    return float(torch.isfinite(written).any())


FACTS = (
    formula,
    unbiased_formula,
    output_mean,
    output_std,
    identity_recovery,
    eps_outside,
    eps_left_out,
    one_step_later,
    constant_unit,
    constant_unit_gives_number,
)
