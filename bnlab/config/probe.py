"""What is measured during a run, and when."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from bnlab.cadence import Cadence
from bnlab.extensions import with_fields_of
from bnlab.ranges import number, one_of, refuse


@dataclass(frozen=True)
class CurvesConfig:
    cadence: str = "20it"  # loss and accuracy of the training mini-batch
    full: str = "500it"  # of the training subset, at most `full_images` of it, and of the test set
    full_images: int = 10_000
    by_batch: str = "never"  # of the test set, normalised by statistics of batches built as in training

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.curves.cadence")
        Cadence.parse(self.full, "probe.curves.full")
        Cadence.parse(self.by_batch, "probe.curves.by_batch")
        number("probe.curves.full_images", self.full_images, 1)


@dataclass(frozen=True)
class ActivationsConfig:
    cadence: str = "100it+@1,2,5,10,20,50"  # bands, percentiles, fractions
    histograms: str = "log100"
    layers: tuple[int, ...] = ()  # 1-based normalised layers; empty takes all
    pooled: bool = True  # also over all chosen layers together, as the panels of Goerner's demos
    unit: bool = False  # also one fixed unit of each chosen layer, as fig. 2 of Santurkar et al.
    unit_percentiles: bool = False  # also the percentiles of that unit alone, as fig. 1 of Ioffe and Szegedy

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.activations.cadence")
        Cadence.parse(self.histograms, "probe.activations.histograms")
        _counted_from_1("probe.activations.layers", self.layers)


@dataclass(frozen=True)
class MomentsConfig:
    cadence: str = "100it"
    layers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.moments.cadence")
        _counted_from_1("probe.moments.layers", self.layers)


@dataclass(frozen=True)
class IcsConfig:
    cadence: str = "100it"
    layers: tuple[int, ...] = ()  # 1-based; empty takes all, and each one costs a forward and a backward pass

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.ics.cadence")
        _counted_from_1("probe.ics.layers", self.layers)


@dataclass(frozen=True)
class LandscapeConfig:
    """Santurkar et al. 2018, figures 4 and 11. Each factor costs a forward and a backward pass, per direction."""

    cadence: str = "100it"
    factors: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)  # step lengths in units of the configured lr
    random_direction: bool = False  # also along a random direction as long as the gradient

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.landscape.cadence")
        for factor in self.factors:
            number("probe.landscape.factors", factor, 0, open_low=True)
        if not self.factors or len({f"{factor:g}" for factor in self.factors}) < len(self.factors):
            refuse("probe.landscape.factors", list(self.factors), "needs at least one factor, and none of them twice")


@dataclass(frozen=True)
class AffineConfig:
    cadence: str = "100it"

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.affine.cadence")


@dataclass(frozen=True)
class ModesConfig:
    cadence: str = "100it"

    def __post_init__(self) -> None:
        Cadence.parse(self.cadence, "probe.modes.cadence")


@dataclass(frozen=True)
@with_fields_of("probes", ())
class ProbeConfig:
    names: tuple[str, ...] = ("curves", "activations", "moments")
    curves: CurvesConfig = field(default_factory=CurvesConfig)
    activations: ActivationsConfig = field(default_factory=ActivationsConfig)
    moments: MomentsConfig = field(default_factory=MomentsConfig)
    ics: IcsConfig = field(default_factory=IcsConfig)
    landscape: LandscapeConfig = field(default_factory=LandscapeConfig)
    affine: AffineConfig = field(default_factory=AffineConfig)
    modes: ModesConfig = field(default_factory=ModesConfig)

    def __post_init__(self) -> None:
        known = tuple(f.name for f in dataclasses.fields(self) if f.name != "names")
        for name in self.names:
            one_of("probe.names", name, known)


def _counted_from_1(key: str, layers: tuple[int, ...]) -> None:
    if any(layer < 1 for layer in layers):
        refuse(key, list(layers), "layers are counted from 1")
