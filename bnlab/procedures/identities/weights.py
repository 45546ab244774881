"""Biases before the layer, and the scale of the weights before it."""

from __future__ import annotations

import math

from torch.nn.functional import batch_norm

from bnlab.procedures.identities.case import Case, Tensor, bn, gradient, miss, relative


def bias_cancels(c: Case) -> float:
    return miss(bn(c.u @ c.w.T + c.b, c.gamma, c.beta, c.eps), bn(c.u @ c.w.T, c.gamma, c.beta, c.eps))


def bias_gradient(c: Case) -> float:
    b = c.b.clone().requires_grad_()
    y = bn(c.u @ c.w.T + b, c.gamma, c.beta, c.eps)
    x = c.x.clone().requires_grad_()
    size = gradient(bn(x, c.gamma, c.beta, c.eps), c.g, x).abs().sum(0)
    return relative(gradient(y, c.g, b), size)


def bias_after_training(c: Case) -> float:
    """How far a bias added after training moves the output in evaluation, where running statistics are fixed."""
    stored = (c.x.mean(0), c.x.var(0))
    before, after = (batch_norm(x, *stored, c.gamma, c.beta) for x in (c.x, c.x + c.b))
    return miss(after, before)


def weight_scale(c: Case) -> float:
    """BN(a W u) = sign(a) BN(W u), for eps = 0."""
    a = float(c.b[0]) or 1.0
    return miss(bn(c.u @ (a * c.w).T), math.copysign(1, a) * bn(c.u @ c.w.T))


def weight_scale_gradient(c: Case) -> float:
    """The gradient with respect to aW is 1/a of that with respect to W."""
    a = 0.1 + abs(float(c.b[0]))
    found = _weight_gradient(c, a * c.w)
    return miss(a * found, _weight_gradient(c, c.w))


def weight_scale_jacobian(c: Case) -> float:
    """The gradient with respect to the layer's input does not depend on a > 0."""
    a = 0.1 + abs(float(c.b[0]))
    u = c.u.clone().requires_grad_()
    return miss(
        gradient(bn(u @ (a * c.w).T, c.gamma, c.beta), c.g, u), gradient(bn(u @ c.w.T, c.gamma, c.beta), c.g, u)
    )


def weight_orthogonal(c: Case) -> float:
    """Every unit's weight vector is orthogonal to its gradient."""
    found = _weight_gradient(c, c.w)
    return relative((found * c.w).sum(1), found.norm(dim=1) * c.w.norm(dim=1))


def weight_growth(c: Case) -> float:
    """Plain gradient descent makes the squared norm grow by rate^2 |gradient|^2 with every step."""
    rate, found = 0.1, _weight_gradient(c, c.w)
    return miss((c.w - rate * found).square().sum(1), c.w.square().sum(1) + rate**2 * found.square().sum(1))


def _weight_gradient(c: Case, w: Tensor) -> Tensor:
    w = w.clone().requires_grad_()
    return gradient(bn(c.u @ w.T, c.gamma, c.beta), c.g, w)


FACTS = (
    bias_cancels,
    bias_gradient,
    bias_after_training,
    weight_scale,
    weight_scale_gradient,
    weight_scale_jacobian,
    weight_orthogonal,
    weight_growth,
)
