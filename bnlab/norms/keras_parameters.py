"""How Keras starts, penalises and constrains a parameter: its initialisers, regularisers and constraints by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bnlab.errors import BadInput
from bnlab.ranges import nearest

FUZZ = 1e-7  # Keras's epsilon(), which keeps its divisions from those by 0


@dataclass(frozen=True)
class Constant:
    """The same value everywhere, or one for each unit."""

    value: float | tuple[float, ...] = 0.0

    def __call__(self, units: int, generator: torch.Generator | None) -> Tensor:
        return torch.tensor(self.value, dtype=torch.float32).expand(units).clone()


@dataclass(frozen=True)
class RandomNormal:
    mean: float = 0.0
    stddev: float = 0.05

    def __call__(self, units: int, generator: torch.Generator | None) -> Tensor:
        if generator is None:
            raise ValueError("a random initialiser needs a generator of its own: the global one is not touched")
        return self.mean + self.stddev * torch.randn(units, generator=generator)


@dataclass(frozen=True)
class L1L2:
    """l1 sum |w| + l2 sum w^2."""

    l1: float = 0.0
    l2: float = 0.0

    def __call__(self, w: Tensor) -> Tensor:
        return self.l1 * w.abs().sum() + self.l2 * w.square().sum()


@dataclass(frozen=True)
class NonNeg:
    def __call__(self, w: Tensor) -> Tensor:
        return w.clamp_min(0.0)


@dataclass(frozen=True)
class MinMaxNorm:
    """Moves the Euclidean norm of the whole vector by the share `rate` of its way to [min_value, max_value]."""

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0

    def __call__(self, w: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(w)
        wanted = torch.lerp(norm, norm.clamp(self.min_value, self.max_value), self.rate)
        return w * (wanted / (FUZZ + norm))


def max_norm(max_value: float = 2.0) -> MinMaxNorm:
    return MinMaxNorm(0.0, max_value)


def unit_norm() -> MinMaxNorm:
    return MinMaxNorm(1.0, 1.0)


Initializer = Callable[[int, "torch.Generator | None"], Tensor]
Regularizer = Callable[[Tensor], Tensor]
Constraint = Callable[[Tensor], Tensor]

INITIALIZERS: dict[str, Initializer] = {
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
    "random_normal": RandomNormal(),
}
REGULARIZERS: dict[str, Regularizer] = {"l1": L1L2(l1=0.01), "l2": L1L2(l2=0.01), "l1l2": L1L2()}
CONSTRAINTS: dict[str, Constraint] = {
    "non_neg": NonNeg(),
    "max_norm": max_norm(),
    "unit_norm": unit_norm(),
    "min_max_norm": MinMaxNorm(),
}


def by_name(argument: str, given: Any, known: dict[str, Any]) -> Any:
    """What `given` names, with Keras's defaults; what is no name is taken as it is.

    Errors: BadInput for a name that is not known.
    """
    if not isinstance(given, str):
        return given
    if given not in known:
        raise BadInput(f"{argument}={given}: no such choice{nearest(given, known)}; there are {', '.join(known)}")
    return known[given]
