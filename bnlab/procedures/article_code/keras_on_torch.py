"""Keras with torch as its backend, the same whatever the user's own settings of Keras say."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType

from bnlab.errors import EnvironmentFault

WHAT = "procedure=article_code"


@functools.cache
def load_keras() -> ModuleType:
    """Keras on torch, on the CPU, in float32: its batch normalisation computes in that, whatever dtype it is given.

    Errors: EnvironmentFault where Keras is not installed, or was loaded in this process with another backend.
    """
    # Keras brings absl, whose log handler closes the stderr it was born with when logging is configured anew, unless
    # that is the interpreter's own.
    with tempfile.TemporaryDirectory() as folder, _environment(folder), contextlib.redirect_stderr(sys.__stderr__):
        try:
            import keras
        except ImportError as error:
            line = f"{WHAT} needs Keras, which is not installed: pip install 'bnlab[keras]'"
            raise EnvironmentFault(line) from error
    if keras.backend.backend() != "torch":
        raise EnvironmentFault(
            f"{WHAT}: Keras runs on {keras.backend.backend()} here; start it with KERAS_BACKEND=torch"
        )
    return keras


@contextlib.contextmanager
def _environment(folder: str) -> Iterator[None]:
    """What Keras reads while it is imported. It also writes a settings file, which must not end up in a home."""
    wanted = {"KERAS_BACKEND": "torch", "KERAS_TORCH_DEVICE": "cpu", "KERAS_HOME": folder}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
