"""Article S1's call beside the signature of the installed Keras."""

from __future__ import annotations

import inspect
import math

from bnlab.procedures.article_code.keras_on_torch import load_keras
from bnlab.procedures.article_code.programs import call_arguments, make_layer

RENORM = ("renorm", "renorm_clipping", "renorm_momentum")
# Arguments of Keras 2 that its call took in `**kwargs`, with values other than their defaults.
REMOVED = {"fused": False, "virtual_batch_size": 4, "adjustment": None}


def _installed() -> dict[str, object]:
    """The arguments of this Keras with their defaults."""
    signature = inspect.signature(load_keras().layers.BatchNormalization.__init__)
    return {name: p.default for name, p in signature.parameters.items() if p.default is not inspect.Parameter.empty}


def call_arguments_missing() -> float:
    """How many arguments of the call this Keras does not have."""
    return float(len(call_arguments().keys() - _installed().keys()))


def call_defaults_differ() -> float:
    """How many values of the call are not this Keras's defaults, of those that it has."""
    installed = _installed()
    return float(sum(installed[name] != value for name, value in call_arguments().items() if name in installed))


def call_builds() -> float:
    """0 where the call gives a layer that keeps what it was told, NaN where this Keras refuses it."""
    try:
        layer = make_layer()
    except (TypeError, ValueError):
        return math.nan
    told = {name: value for name, value in call_arguments().items() if not isinstance(value, str)}
    return float(any(getattr(layer, name) != value for name, value in told.items()))


def call_arguments_added() -> float:
    """How many arguments this Keras has that the call does not name, besides `synchronized`."""
    return float(len(_installed().keys() - call_arguments().keys() - {"synchronized"}))


def removed_arguments_taken() -> float:
    """How many of the arguments that Keras 2 took as well are still taken."""
    return float(sum(_takes(name, value) for name, value in REMOVED.items()))


def _takes(name: str, value: object) -> bool:
    try:
        load_keras().layers.BatchNormalization(**{name: value})
    except (TypeError, ValueError):
        return False
    return True


def renorm_arguments_missing() -> float:
    """How many of the three renorm arguments this Keras does not have."""
    return float(len(set(RENORM) - _installed().keys()))


PRINTED = (
    call_arguments_missing,
    call_defaults_differ,
    call_builds,
    call_arguments_added,
    removed_arguments_taken,
    renorm_arguments_missing,
)
FACTS = ()
