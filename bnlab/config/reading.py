"""Configurations from plain values, with every unknown key and wrong type named."""

from __future__ import annotations

import dataclasses
import functools
import typing

from bnlab.config.forms import flatten
from bnlab.config.launcher import LauncherConfig
from bnlab.config.run import RunConfig
from bnlab.errors import BadInput
from bnlab.extensions import checking
from bnlab.ranges import nearest, refuse

_TYPE_NAMES = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}
# What others call our keys, where no likeness of letters tells.
ELSEWHERE_CALLED = {
    "learning_rate": "lr",
    "optim.lr": "lr",
    "optimizer.lr": "lr",
    "epochs": "steps",
    "iterations": "steps",
    "max_steps": "steps",
    "wd": "optim.weight_decay",
    "weight_decay": "optim.weight_decay",
    "momentum": "optim.momentum",
}


def from_dict(values: dict, cls: type = RunConfig, prefix: str = "") -> typing.Any:
    """Build `cls` from nested plain values; every unknown key and wrong type is named with its dotted key."""
    types = _field_types(cls)
    for key in values:
        if key not in types:
            raise unknown_key(prefix + str(key))
    given = {key: _typed(prefix + key, values[key], types[key]) for key in values}
    with checking(cls, lambda: " ".join(f"{prefix}{key}={value}" for key, value in given.items())[:80]):
        return cls(**given)


@functools.cache
def _field_types(cls: type) -> dict[str, type]:
    return typing.get_type_hints(cls)


def _typed(key: str, value: object, wanted: type) -> object:
    if dataclasses.is_dataclass(wanted):
        if not isinstance(value, dict):
            refuse(key, value, "is a group of keys, not a value")
        return from_dict(value, wanted, prefix=f"{key}.")
    if typing.get_origin(wanted) is tuple:
        element = typing.get_args(wanted)[0]
        if not isinstance(value, (list, tuple)):
            refuse(key, value, "must be a list, such as [1,2]")
        return tuple(_typed(key, item, element) for item in value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        refuse(key, value, f"must be {_TYPE_NAMES[wanted]}")
    return value


def unknown_key(key: str) -> BadInput:
    """The error for a key that no part of a configuration has."""
    if key in ELSEWHERE_CALLED:
        return BadInput(f"{key}: no such key, it is called {ELSEWHERE_CALLED[key]} here")
    known = [*flatten(RunConfig()), *(f"launcher.{f.name}" for f in dataclasses.fields(LauncherConfig))]
    return BadInput(f"{key}: no such key{nearest(key, known)}; keys look like lr, batch_size or optim.momentum")
