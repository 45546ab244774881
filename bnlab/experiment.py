"""An experiment: one question, with the claims it decides and the figures it draws."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from bnlab.assets import experiment_file
from bnlab.compose import card
from bnlab.errors import BadInput

if TYPE_CHECKING:
    from bnlab.claims import Claim
    from bnlab.plots.drawing import Drawing
    from bnlab.store import Runs

MODULES = "bnlab_experiments"  # the name under which experiment files are loaded, wherever they lie

FigureFunction = Callable[["Runs"], "Drawing"]


@dataclass(frozen=True)
class Experiment:
    """Name, question and source come from the YAML; claims and figures from the module of the same name."""

    name: str
    question: str
    source: str
    claims: tuple[Claim, ...]
    figures: dict[str, FigureFunction]
    about: str = ""  # the module's docstring


def load(name: str) -> Experiment:
    """The experiment of this name.

    Errors: BadInput when there is none, or when its YAML and its module name different claims.
    """
    said = card(name)
    module = _module(name)
    ids = tuple(claim.id for claim in module.CLAIMS)
    if sorted(ids) != sorted(said.claims):
        odd = ", ".join(sorted(set(ids) ^ set(said.claims)))
        raise BadInput(f"{name}: its YAML and its module name different claims ({odd}); name the same ones in both")
    return Experiment(
        name, said.question, said.source, tuple(module.CLAIMS), dict(module.FIGURES), module.__doc__ or ""
    )


def _module(name: str) -> ModuleType:
    """`experiments/<name>.py`, loaded by its path once per process."""
    full = f"{MODULES}.{name}"
    if full in sys.modules:
        return sys.modules[full]
    path = experiment_file(name)
    spec = importlib.util.spec_from_file_location(full, path)
    if spec is None or not path.is_file():
        raise BadInput(f"{name}: configs/experiment/{name}.yaml has no experiments/{name}.py beside it; write one")
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full]
        raise
    return module
