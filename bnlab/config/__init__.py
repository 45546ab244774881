"""What a run is: plain frozen dataclasses, their ranges, and the id that follows from them.

YAML chooses, these classes define. Nothing here imports torch or hydra; below the composition step
(`bnlab.compose`) a configuration is always a `RunConfig`.
"""

from __future__ import annotations

from bnlab.config.data import DATASETS, DataConfig
from bnlab.config.forms import flatten, to_dict
from bnlab.config.identity import run_id
from bnlab.config.launcher import LAUNCHERS, LauncherConfig
from bnlab.config.model import ACTIVATIONS, INITS, MODELS, ModelConfig, hidden_layers
from bnlab.config.norm import NORMS, POSITIONS, GroupConfig, LpConfig, NoiseConfig, NormConfig, RenormConfig
from bnlab.config.optim import OptimConfig
from bnlab.config.probe import (
    ActivationsConfig,
    AffineConfig,
    CurvesConfig,
    IcsConfig,
    LandscapeConfig,
    ModesConfig,
    MomentsConfig,
    ProbeConfig,
)
from bnlab.config.procedure import HEARD_BY, HEARD_BY_ALL, PROCEDURES
from bnlab.config.reading import ELSEWHERE_CALLED, from_dict, unknown_key
from bnlab.config.run import SCALES, RunConfig
from bnlab.config.tracker import TRACKERS, tracker_names

__all__ = [
    "ACTIVATIONS",
    "DATASETS",
    "ELSEWHERE_CALLED",
    "HEARD_BY",
    "HEARD_BY_ALL",
    "INITS",
    "LAUNCHERS",
    "MODELS",
    "NORMS",
    "POSITIONS",
    "PROCEDURES",
    "SCALES",
    "TRACKERS",
    "ActivationsConfig",
    "AffineConfig",
    "CurvesConfig",
    "DataConfig",
    "GroupConfig",
    "IcsConfig",
    "LandscapeConfig",
    "LauncherConfig",
    "LpConfig",
    "ModelConfig",
    "ModesConfig",
    "MomentsConfig",
    "NoiseConfig",
    "NormConfig",
    "OptimConfig",
    "ProbeConfig",
    "RenormConfig",
    "RunConfig",
    "flatten",
    "from_dict",
    "hidden_layers",
    "run_id",
    "to_dict",
    "tracker_names",
    "unknown_key",
]
