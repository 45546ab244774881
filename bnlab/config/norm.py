"""The normalisation of the hidden layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bnlab.extensions import added, with_fields_of
from bnlab.ranges import number, one_of, refuse

NORMS = ("none", "batch", "noisy_batch", "noise", "layer", "group", "instance", "lp", "renorm")
BATCH_STATISTICS = ("batch", "noisy_batch", "lp", "renorm")
POSITIONS = ("before", "after")
STATISTICS = ("replica", "synchronised")


@dataclass(frozen=True)
class NoiseConfig:
    """Santurkar et al. 2018, appendix A.2.1, algorithm 1, with each ambiguity of the text as a switch."""

    shift: float = 0.5  # n_mu: a unit's mean shift is drawn from U(-shift, shift)
    scale: float = 1.25  # n_sigma: a unit's mean scale is drawn from U(1, scale)
    shift_spread: float = 0.1  # r_mu: a sample's shift lies within +-r_mu of the unit's
    scale_spread: float = 0.1  # r_sigma: spread of a sample's scale around the unit's
    per: str = "unit"  # one draw of (mu_j, sigma_j) per unit, or per layer
    scale_spread_is: str = "std"  # whether r_sigma is a standard deviation or a variance
    at_eval: bool = False  # noise in evaluation too
    place: str = "after_affine"  # after gamma and beta, or between normalising and gamma, beta

    def __post_init__(self) -> None:
        number("norm.noise.shift", self.shift, 0)
        number("norm.noise.scale", self.scale, 1)
        number("norm.noise.shift_spread", self.shift_spread, 0)
        number("norm.noise.scale_spread", self.scale_spread, 0)
        one_of("norm.noise.per", self.per, ("unit", "layer"))
        one_of("norm.noise.scale_spread_is", self.scale_spread_is, ("std", "variance"))
        one_of("norm.noise.place", self.place, ("after_affine", "before_affine"))


@dataclass(frozen=True)
class GroupConfig:
    """Group normalisation. Where `groups` does not divide a layer's units, their greatest common divisor does."""

    groups: int = 4

    def __post_init__(self) -> None:
        number("norm.group.groups", self.groups, 1)


@dataclass(frozen=True)
class LpConfig:
    """Santurkar et al. 2018, section 3.3."""

    norm: str = "l2"
    centred: bool = False  # the norm of the activations after, not before, their mean is taken away

    def __post_init__(self) -> None:
        one_of("norm.lp.norm", self.norm, ("l1", "l2", "linf"))


@dataclass(frozen=True)
class RenormConfig:
    """Ioffe 2017: batch normalisation for the first `start` updates, then r_max and d_max grow linearly to these
    values. The paper's 5,000, 40,000 and 25,000 updates are divided by 50 here, for runs that are as much shorter."""

    r_max: float = 3.0
    d_max: float = 5.0
    start: int = 100
    r_full: int = 800  # the update at which r_max is reached
    d_full: int = 500

    def __post_init__(self) -> None:
        number("norm.renorm.r_max", self.r_max, 1)
        number("norm.renorm.d_max", self.d_max, 0)
        number("norm.renorm.start", self.start, 0)
        number("norm.renorm.r_full", self.r_full, self.start)
        number("norm.renorm.d_full", self.d_full, self.start)


@dataclass(frozen=True)
@with_fields_of("norms", NORMS)
class NormConfig:
    """The normalisation of every hidden layer.

    `momentum` is torch's (weight of the new batch); `warm_up` raises it to 9/(10+n) at update n, which
    is TensorFlow's moving average with a step count. `offset_init` starts beta (and, where a layer has
    no normalisation, nothing: see `model.bias_init`).
    """

    name: str = "none"
    eps: float = 1e-5
    momentum: float = 0.1
    warm_up: bool = False
    center: bool = True
    scale: bool = True
    offset_init: float = 0.0
    position: str = "before"  # of the activation
    ghost_size: int = 0  # images whose statistics are taken together (Hoffer et al. 2017); 0 takes the whole batch
    statistics: str = "replica"  # over each replica's share of the batch, or synchronised: over the whole batch
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    group: GroupConfig = field(default_factory=GroupConfig)
    lp: LpConfig = field(default_factory=LpConfig)
    renorm: RenormConfig = field(default_factory=RenormConfig)

    def __post_init__(self) -> None:
        one_of("norm.name", self.name, (*NORMS, *added("norms")))
        number("norm.eps", self.eps, 0)
        number("norm.momentum", self.momentum, 0, 1)
        number("norm.offset_init", self.offset_init, -math.inf)
        one_of("norm.position", self.position, POSITIONS)
        number("norm.ghost_size", self.ghost_size, 0)
        one_of("norm.statistics", self.statistics, STATISTICS)
        if self.statistics == "synchronised" and self.name != "batch":
            refuse("norm.statistics", self.statistics, f"only norm.name=batch can share statistics, not {self.name}")

    @property
    def uses_batch_statistics(self) -> bool:
        return self.name in BATCH_STATISTICS or getattr(self._own, "uses_batch_statistics", False)

    @property
    def removes_bias(self) -> bool:
        """Whether each unit's own mean is taken away, so that a bias just before has no effect and gradient 0."""
        always = self.name in ("batch", "noisy_batch", "renorm", "instance") or (self.name == "lp" and self.lp.centred)
        return always or getattr(self._own, "removes_bias", False)

    @property
    def _own(self) -> object:
        """The fields that belong to the chosen layer alone, if it has any."""
        return getattr(self, self.name, None)
