"""What the scale of the inputs does to gradients, and what gradient descent does to weights: exact facts."""

from __future__ import annotations

import torch

from bnlab.procedures.learning_rates.case import Case, Tensor, forward, miss, tracked

ALL = 3  # hidden layers
DESCENT = 20  # steps


def preactivations_scale(c: Case) -> float:
    """Without biases the pre-activations of every layer are homogeneous in the input."""
    large, plain = forward(c.scale * c.x, c.weights), forward(c.x, c.weights)
    return max(miss(a, c.scale * b) for a, b in zip(large.preactivations, plain.preactivations))


def _first_gradient(c: Case, x: Tensor, normalised: int = 0) -> Tensor:
    """dL/dW of the first layer where the gradient from above is g."""
    weights = tracked(c.weights)
    (found,) = torch.autograd.grad((forward(x, weights, normalised).output * c.g).sum(), weights[:1])
    return found


def first_gradient_scales(c: Case) -> float:
    return miss(_first_gradient(c, c.scale * c.x), c.scale * _first_gradient(c, c.x))


def _squared_error(c: Case, x: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the squared error with respect to the first layer's weights, and to its pre-activations."""
    weights = tracked(c.weights)
    passed = forward(x, weights)
    loss = ((passed.output - c.g) ** 2).sum(1).mean() / 2
    return torch.autograd.grad(loss, (weights[0], passed.preactivations[0]))


def first_gradient_of_signal(c: Case) -> float:
    gradient, signal = _squared_error(c, c.scale * c.x)
    return miss(gradient, c.scale * signal.T @ c.x)


def squared_error_gradient(c: Case) -> float:
    """Norm of the first layer's gradient at the scaled input over that at the input: the error grows as well."""
    return float(_squared_error(c, c.scale * c.x)[0].norm() / _squared_error(c, c.x)[0].norm())


def bn_output_unmoved(c: Case) -> float:
    return miss(forward(c.scale * c.x, c.weights, 1).output, forward(c.x, c.weights, 1).output)


def bn_gradient_unmoved(c: Case) -> float:
    return miss(_first_gradient(c, c.scale * c.x, 1), _first_gradient(c, c.x, 1))


def extreme_weights_unnoticed(c: Case) -> float:
    """The net's output where hidden weights are multiplied by 1e6, 1e-6 and 1e3 in turn."""
    factors = (1e6, 1e-6, 1e3, 1.0)
    return miss(
        forward(c.x, tuple(f * w for f, w in zip(factors, c.weights)), ALL).output, forward(c.x, c.weights, ALL).output
    )


def _step(c: Case, weights: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """One step on the mean squared error of the net with BN in every hidden layer: new weights, and gradients."""
    weights = tracked(weights)
    loss = ((forward(c.x, weights, ALL).output - c.g) ** 2).mean() / 2
    gradients = torch.autograd.grad(loss, weights)
    return tuple((w - c.rate * g).detach() for w, g in zip(weights, gradients)), gradients


def step_grows_norms(c: Case) -> float:
    """||w+||^2 = ||w||^2 + rate^2 ||g||^2 for the weight vector of every hidden unit."""
    after, gradients = _step(c, c.weights)
    pairs = zip(after[:ALL], c.weights, gradients)
    return max(miss((a**2).sum(1), (w**2).sum(1) + c.rate**2 * (g**2).sum(1)) for a, w, g in pairs)


def norms_after_descent(c: Case) -> float:
    """Growth of the norm of all hidden weights over steps of plain gradient descent, relative."""
    weights = c.weights
    for _ in range(DESCENT):
        weights, _ = _step(c, weights)
    squares = [float(sum((w**2).sum() for w in some[:ALL])) for some in (weights, c.weights)]
    return (squares[0] / squares[1]) ** 0.5 - 1


FACTS = (
    preactivations_scale,
    first_gradient_scales,
    first_gradient_of_signal,
    squared_error_gradient,
    bn_output_unmoved,
    bn_gradient_unmoved,
    extreme_weights_unnoticed,
    step_grows_norms,
    norms_after_descent,
)
