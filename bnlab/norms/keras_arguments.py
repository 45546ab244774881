"""The arguments of Keras's batch normalisation, with what it refuses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bnlab.errors import BadInput
from bnlab.norms.keras_parameters import Constraint, Initializer, Regularizer

CLIPPING = {"rmax": math.inf, "rmin": 0.0, "dmax": math.inf}


@dataclass(frozen=True)
class KerasArguments:
    """The arguments of Keras's layer under its names and with its defaults; `momentum` is how much of the old stays.

    Errors: BadInput where Keras refuses the values too.
    """

    axis: int = -1
    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: str | Initializer = "zeros"
    gamma_initializer: str | Initializer = "ones"
    moving_mean_initializer: str | Initializer = "zeros"
    moving_variance_initializer: str | Initializer = "ones"
    beta_regularizer: str | Regularizer | None = None
    gamma_regularizer: str | Regularizer | None = None
    beta_constraint: str | Constraint | None = None
    gamma_constraint: str | Constraint | None = None
    renorm: bool = False
    renorm_clipping: Mapping[str, float] | None = field(default=None, hash=False)
    renorm_momentum: float = 0.99
    virtual_batch_size: int | None = None
    synchronized: bool = False
    trainable: bool = True

    def __post_init__(self) -> None:
        clipping = self.clipping
        if unknown := sorted(set(clipping) - set(CLIPPING)):
            raise BadInput(f"renorm_clipping: no such key {', '.join(unknown)}; there are {', '.join(CLIPPING)}")
        if clipping["rmax"] < clipping["rmin"] or clipping["dmax"] < 0:
            raise BadInput(f"renorm_clipping={dict(self.renorm_clipping)}: needs rmin <= rmax and dmax >= 0")
        if self.virtual_batch_size is not None and self.virtual_batch_size < 1:
            raise BadInput(f"virtual_batch_size={self.virtual_batch_size}: must be 1 or more")
        if self.virtual_batch_size is not None and self.synchronized:
            raise BadInput("virtual_batch_size: parts of a batch and batches of all processes exclude each other")

    @property
    def clipping(self) -> dict[str, float]:
        """Limits of the renorm correction, without limit where none is given."""
        return CLIPPING | dict(self.renorm_clipping or {})
