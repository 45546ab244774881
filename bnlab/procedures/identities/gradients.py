"""What passes back through the layer."""

from __future__ import annotations

import torch

from bnlab.procedures.identities.case import Case, bn, gradient, miss, normal, relative, spread


def input_gradient(c: Case) -> float:
    """dL/dx = gamma / (m s) (m g - sum g - xhat sum(g xhat)) with s = sqrt(var + eps)."""
    x = c.x.clone().requires_grad_()
    found = gradient(bn(x, c.gamma, c.beta, c.eps), c.g, x)
    s = torch.sqrt(c.x.var(0, correction=0) + c.eps)
    hat = (c.x - c.x.mean(0)) / s
    return miss(found, c.gamma / (c.m * s) * (c.m * c.g - c.g.sum(0) - hat * (c.g * hat).sum(0)))


def directional_derivative(c: Case) -> float:
    """The gradient along a random direction beside central differences, whose own error is about 1e-8."""
    x = c.x.clone().requires_grad_()
    direction = spread(c.x) * normal(c.draw, *c.x.shape)
    found = (gradient(bn(x, c.gamma, c.beta, c.eps), c.g, x) * direction).sum(0)
    h = 1e-5
    above, below = (bn(c.x + h * side * direction, c.gamma, c.beta, c.eps) * c.g for side in (1, -1))
    return relative((above - below).sum(0) / (2 * h) - found, (c.gamma * c.g).abs().sum(0))


def gradient_sums_to_zero(c: Case) -> float:
    x = c.x.clone().requires_grad_()
    found = gradient(bn(x, c.gamma, c.beta, c.eps), c.g, x)
    return relative(found.sum(0), found.abs().sum(0))


def gradient_orthogonal_to_xhat(c: Case) -> float:
    """sum_i xhat_i dL/dx_i = 0 where eps = 0."""
    x = c.x.clone().requires_grad_()
    y = bn(x, c.gamma, c.beta)
    found, hat = gradient(y, c.g, x), bn(c.x)
    return relative((found * hat).sum(0), (found * hat).abs().sum(0))


def parameter_gradients(c: Case) -> float:
    """dgamma = sum g xhat and dbeta = sum g."""
    gamma, beta = c.gamma.clone().requires_grad_(), c.beta.clone().requires_grad_()
    y = bn(c.x, gamma, beta, c.eps)
    hat = bn(c.x, eps=c.eps)
    return max(
        miss(torch.autograd.grad((y * c.g).sum(), gamma, retain_graph=True)[0], (c.g * hat).sum(0)),
        relative(gradient(y, c.g, beta) - c.g.sum(0), c.g.abs().sum(0)),
    )


def gradient_norm(c: Case) -> float:
    """Santurkar et al. 2018, theorem 4.1, holds as an equality at gamma and beta of any value."""
    x = c.x.clone().requires_grad_()
    found = gradient(bn(x, c.gamma, c.beta), c.g, x).square().sum(0)
    hat, m = bn(c.x), c.m
    rest = c.g.square().sum(0) - c.g.sum(0) ** 2 / m - (c.g * hat).sum(0) ** 2 / m
    return miss(found, c.gamma**2 / c.x.var(0, correction=0) * rest)


FACTS = (
    input_gradient,
    directional_derivative,
    gradient_sums_to_zero,
    gradient_orthogonal_to_xhat,
    parameter_gradients,
    gradient_norm,
)
