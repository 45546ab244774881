"""Procedures: measurements that are no training of a net from a data set, and yield rows of numbers all the same.

A run with `procedure=<name>` calls `measure(config)` of the module of that name here; everything else about it (its
directory, its status, its pack) is that of any run. `config.steps` is how many rows it asks for: random cases, say.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from bnlab.config import PROCEDURES, RunConfig
from bnlab.store import Value

Rows = Iterator[tuple[int, dict[str, Value]]]


def measure(config: RunConfig) -> Rows:
    """The rows of a run, `(step, {metric: value})` with rising steps. The same configuration gives the same rows."""
    if config.procedure not in PROCEDURES:
        raise ValueError(f"{config.procedure}: no such procedure")
    return importlib.import_module(f"bnlab.procedures.{config.procedure}").measure(config)
