"""A small net and two linear models on features of unlike range, raw and z-scored: learning speed and test error.

All learning rates of a grid are tried at once, as nets side by side in one batched computation; each scaling then has
the rate that is best for it on validation data. Nets of one seed start from equal weights and see equal batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from bnlab.procedures.input_scaling.case import NOISE, RANGES, Array
from bnlab.procedures.input_scaling.importance import least_squares, predict, ridge
from bnlab.procedures.input_scaling.scalings import scale

COMPARED = ("raw", "z_score")
TRAIN, VALIDATION, TEST, BATCH = 200, 1000, 5000, 50
WIDTH = 16  # units in each of two hidden layers of ReLU
RATES = tuple(10.0 ** (k / 2) for k in range(-26, 1))
THRESHOLD = 0.1  # mean squared error on validation data; the targets have variance 1
EVERY = 10  # steps between two validations
FEW = 20  # training points of the linear models, so that a penalty has something to do
PENALTIES = tuple(10.0**k for k in range(-6, 16))


@dataclass(frozen=True)
class Split:
    """`x` (n, 2) and `y` (n,) of each part."""

    x: dict[str, Array]
    y: dict[str, Array]


@dataclass(frozen=True)
class Trained:
    """Validation error (EVERY apart) and the final training and test errors of the net with the best rate."""

    rate: float
    curve: dict[int, float]
    train: float
    test: float


def draw_split(draw: np.random.Generator, ranges: tuple[float, float]) -> Split:
    """A smooth bend in each feature and their product, scaled to variance 1, with some noise."""
    sizes = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    shares = {part: draw.uniform(size=(n, 2)) for part, n in sizes.items()}
    targets = {part: _target(u) for part, u in shares.items()}
    mean, spread = targets["test"].mean(), targets["test"].std()
    y = {part: (t - mean) / spread + NOISE * draw.standard_normal(len(t)) for part, t in targets.items()}
    return Split({part: u * ranges for part, u in shares.items()}, y)


def _target(u: Array) -> Array:
    return np.exp(-3 * u[:, 0]) + np.exp(-3 * u[:, 1]) + u[:, 0] * u[:, 1]


def compare(seed: int, steps: int) -> dict[int, dict[str, float]]:
    """Rows by step for both problems: the nets' validation errors, and at step 0 also what they came to."""
    rows: dict[int, dict[str, float]] = {}
    for place, (name, ranges) in enumerate(RANGES.items()):
        split = draw_split(np.random.default_rng([seed, 1, place]), ranges)
        for scaling in COMPARED:
            found = train(split, scaling, steps, seed)
            for step, error in found.curve.items():
                rows.setdefault(step, {})[f"net_error/{name}/{scaling}"] = error
            rows[0] |= _summary(name, scaling, found, split)
    return rows


def _summary(name: str, scaling: str, net: Trained, split: Split) -> dict[str, float]:
    reached = [step for step, error in net.curve.items() if error <= THRESHOLD]
    return {
        f"net_rate/{name}/{scaling}": net.rate,
        f"net_steps/{name}/{scaling}": reached[0] if reached else max(net.curve) + 1,
        f"train_error/{name}/net/{scaling}": net.train,
        f"test_error/{name}/net/{scaling}": net.test,
        f"test_error/{name}/least_squares/{scaling}": _linear_error(split, scaling, (0.0,)),
        f"test_error/{name}/ridge/{scaling}": _linear_error(split, scaling, PENALTIES),
    }


def _inputs(split: Split, scaling: str) -> dict[str, Array]:
    return {part: scale(scaling, x, like=split.x["train"]) for part, x in split.x.items()}


def _linear_error(split: Split, scaling: str, penalties: tuple[float, ...]) -> float:
    """Test error of a linear fit; of several penalties the one that is best on validation data."""
    x, y = _inputs(split, scaling), split.y
    few = x["train"][:FEW], y["train"][:FEW]
    fits = [ridge(*few, p) if p else least_squares(*few) for p in penalties]
    best = min(fits, key=lambda weights: _error(weights, x["validation"], y["validation"]))
    return _error(best, x["test"], y["test"])


def _error(weights: Array, x: Array, y: Array) -> float:
    return float(((predict(weights, x) - y) ** 2).mean())


def train(split: Split, scaling: str, steps: int, seed: int) -> Trained:
    """Plain stochastic gradient descent on the mean squared error, at every rate; diverged nets are never the best."""
    x = {part: torch.from_numpy(v) for part, v in _inputs(split, scaling).items()}
    y = {part: torch.from_numpy(v) for part, v in split.y.items()}
    draw = torch.Generator().manual_seed(seed)
    nets = _nets(draw)
    rates = torch.tensor(RATES, dtype=torch.float64).reshape(-1, 1, 1)
    curves = {0: _errors(nets, x["validation"], y["validation"])}
    for step, batch in zip(range(1, steps + 1), _batches(draw)):
        _descend(nets, x["train"][batch], y["train"][batch], rates)
        if step % EVERY == 0:
            curves[step] = _errors(nets, x["validation"], y["validation"])
    best = int(curves[max(curves)].argmin())
    errors = {part: float(_errors(nets, x[part], y[part])[best]) for part in ("train", "test")}
    return Trained(RATES[best], {step: float(e[best]) for step, e in curves.items()}, **errors)


def _nets(draw: torch.Generator) -> list[torch.Tensor]:
    """Weights and biases of a net per rate, all equal: He's normal weights, biases 0."""
    tensors = []
    for inputs, units in ((2, WIDTH), (WIDTH, WIDTH), (WIDTH, 1)):
        weights = (2 / inputs) ** 0.5 * torch.randn(inputs, units, generator=draw, dtype=torch.float64)
        tensors += [weights, torch.zeros(1, units, dtype=torch.float64)]
    return [tensor.repeat(len(RATES), 1, 1).requires_grad_() for tensor in tensors]


def _batches(draw: torch.Generator) -> Iterator[torch.Tensor]:
    while True:
        yield from torch.randperm(TRAIN, generator=draw).split(BATCH)


def _outputs(nets: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """(rates, n)"""
    values = x.expand(len(RATES), *x.shape)
    for layer in range(0, len(nets), 2):
        values = torch.baddbmm(nets[layer + 1], values if layer == 0 else nn.functional.relu(values), nets[layer])
    return values.squeeze(-1)


def _descend(nets: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor, rates: torch.Tensor) -> None:
    """One step of every net; their losses are added, and no net's loss depends on another's weights."""
    loss = ((_outputs(nets, x) - y) ** 2).mean(1).sum()
    for tensor, gradient in zip(nets, torch.autograd.grad(loss, nets)):
        tensor.data -= rates * gradient


@torch.no_grad()
def _errors(nets: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean squared error of every net (rates,); infinite where it diverged."""
    return ((_outputs(nets, x) - y) ** 2).mean(1).nan_to_num(nan=float("inf"), posinf=float("inf"))
