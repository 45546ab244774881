"""Imports torchvision, also beside a torch its compiled operators cannot load with."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[object] = []  # a torch.library.Library takes its operators with it when it is collected


def import_torchvision() -> ModuleType:
    """torchvision, whose CUDA build refuses to import beside a CPU-only torch unless two operators are declared.

    Declared are only their schemas; data sets, transforms and models do not call them.
    """
    if "torchvision" not in sys.modules and not _operators_load():
        _declare()
    return importlib.import_module("torchvision")


def _operators_load() -> bool:
    import torch

    spec = importlib.util.find_spec("torchvision")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for library in (path for folder in folders for path in Path(folder).glob("_C*")):
        try:
            torch.ops.load_library(library)
        except (ImportError, OSError):
            continue
        return True
    return False


def _declare() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        if not hasattr(torch.ops.torchvision, schema.split("(")[0]):
            library.define(schema)
    _declared.append(library)
