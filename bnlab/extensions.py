"""Normalisers, models and probes of one's own, in the folder that BNLAB_EXTENSIONS names.

DIR/config.py declares them: NORMS, MODELS and PROBES, each a dictionary from a name to a frozen dataclass, whose fields
become keys of the configuration. It is all that planning and reading load, so it does not import torch. The code lies
in DIR/norms/NAME.py, DIR/models/NAME.py or DIR/probes/NAME.py, and is loaded by the process that needs it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import symtable
import sys
import traceback
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType

from bnlab.assets import config_files, experiments_dir, extensions_dir
from bnlab.errors import BadInput, BnlabError

MODULES = "bnlab_extensions"  # the name under which files of extensions are loaded
# The name that a file of each kind defines.
DEFINES = {"norms": "make", "models": "make", "probes": "PROBE"}
TYPES = (int, float, str, bool)
Class = typing.TypeVar("Class", bound=type)


class Registry(dict):
    """What bnlab has of a kind, by name; what the extensions add is loaded when it is first asked for."""

    def __init__(self, kind: str, builtin: dict[str, typing.Any]) -> None:
        super().__init__(builtin)
        self._kind = kind

    def __missing__(self, name: str) -> typing.Any:
        if name not in added(self._kind):
            raise KeyError(name)
        self[name] = _code(self._kind, name)
        return self[name]


def added(kind: str) -> dict[str, type]:
    """Names that the extensions add to a kind, and the class of their fields.

    Errors: BadInput where config.py, or a file that it promises, cannot be used.
    """
    return _declared().get(kind, {})


def with_fields_of(kind: str, builtin: Iterable[str]) -> Callable[[Class], Class]:
    """A decorator below @dataclass: one more field, a group of keys, for each name that the extensions add.

    Errors: BadInput for a name that bnlab has, and for a file whose code cannot be used.
    """

    def extended(cls: Class) -> Class:
        taken = {*builtin, *cls.__annotations__}
        _check_files(kind, taken)
        for name, fields in added(kind).items():
            if name in taken:
                raise BadInput(f"{_file('config')}: bnlab has {name} already; give it another name in {kind.upper()}")
            _check_code(_file(f"{kind}.{name}"), DEFINES[kind])
            cls.__annotations__[name] = fields
            setattr(cls, name, dataclasses.field(default_factory=fields))
        return cls

    return extended


@contextlib.contextmanager
def checking(cls: type, keys: Callable[[], str]) -> Iterator[None]:
    """While an instance of `cls` is made from these `key=value` words. Errors: BadInput where an extension's class
    raises anything, with the keys and its file."""
    try:
        yield
    except BnlabError:
        raise
    except Exception as error:
        if cls.__module__.split(".")[0] != MODULES:
            raise
        path = _file("config")
        raise BadInput(f"{keys()}: {error or type(error).__name__} (so says {cls.__name__} in {path})") from error


@functools.cache
def _declared() -> dict[str, dict[str, type]]:
    if extensions_dir() is None:
        return {}
    _check_groups()
    if not _file("config").is_file():
        return {}
    had_torch = "torch" in sys.modules
    module = _load("config")
    if "torch" in sys.modules and not had_torch:
        raise BadInput(f"{_file('config')}: imports torch, which planning does without; do so in the files beside it")
    declared = {kind: getattr(module, kind.upper(), {}) for kind in DEFINES}
    for kind, classes in declared.items():
        for name, fields in _items(kind, classes):
            _check_fields(f"{kind.upper()}[{name!r}]", fields)
    return declared


def _check_groups() -> None:
    """Errors: BadInput where a YAML file, or the claims and figures of an experiment, have a name that bnlab has."""
    for group in ("experiment", "variant", "model"):
        config_files(group)
    for file in sorted((extensions_dir() / "experiments").glob("*.py")):
        if (experiments_dir() / file.name).is_file():
            raise BadInput(f"{file}: bnlab has experiment={file.stem} already; give the extension another name")


def _check_files(kind: str, taken: Iterable[str]) -> None:
    """Errors: BadInput for a file that would be taken for the code of something that bnlab has."""
    folder = extensions_dir() / kind if extensions_dir() else None
    for file in sorted(folder.glob("*.py")) if folder else ():
        if file.stem in taken and file.stem not in added(kind):
            raise BadInput(f"{file}: bnlab has {file.stem} already; give it another name, and name it in config.py")


def _items(kind: str, classes: object) -> Iterable[tuple[str, object]]:
    if not isinstance(classes, dict) or not all(isinstance(name, str) and name.isidentifier() for name in classes):
        raise BadInput(f"{_file('config')}: {kind.upper()} must be a dictionary from names to classes")
    return classes.items()


def _check_fields(entry: str, fields: object) -> None:
    """Errors: BadInput where it is no frozen dataclass of plain values with defaults."""
    path = _file("config")
    if not (isinstance(fields, type) and dataclasses.is_dataclass(fields) and fields.__dataclass_params__.frozen):
        raise BadInput(f"{path}: {entry} must be a class with @dataclass(frozen=True) above it")
    with _blaming(path):
        types = typing.get_type_hints(fields)
        fields()
    for field in dataclasses.fields(fields):
        kind = types[field.name]
        element = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind
        if element not in TYPES:
            allowed = "int, float, str, bool, or a tuple of one of them such as tuple[int, ...]"
            raise BadInput(f"{path}: {entry}, field {field.name}: its type must be {allowed}")


def _check_code(path: Path, wanted: str) -> None:
    """See without running it that the file can be read and defines `wanted`. Errors: BadInput."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file, and config.py beside its folder names it; write it, with {wanted} in it")
    with _blaming(path):
        symbols = symtable.symtable(path.read_text(), str(path), "exec").get_symbols()
    if not any(s.get_name() == wanted and (s.is_assigned() or s.is_imported()) for s in symbols):
        raise BadInput(f"{path}: does not define {wanted}; docs/extending.md shows how it is written")


def _code(kind: str, name: str) -> typing.Any:
    code = getattr(_load(f"{kind}.{name}"), DEFINES[kind])
    if kind == "probes" and code.name != name:
        raise BadInput(f"{_file(f'{kind}.{name}')}: its PROBE is called {code.name}; call it {name}")
    return code


def _file(dotted: str) -> Path:
    return extensions_dir() / (dotted.replace(".", "/") + ".py")


def _load(dotted: str) -> ModuleType:
    """A file of the extensions as a module. Errors: BadInput."""
    path, full = _file(dotted), f"{MODULES}.{dotted}"
    spec = importlib.util.spec_from_file_location(full, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module  # where dataclasses and pickle look for it
    with _blaming(path):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Whatever fails inside is the fault of this file. Errors: BadInput, with the line where it is known."""
    try:
        yield
    except BnlabError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
        what = f"{type(error).__name__}: {getattr(error, 'msg', error)}"
        raise BadInput(f"{path}: {f'line {line}: ' if line else ''}{what}; mend the file") from error
