"""What a page is given: one JSON document, made of plain values and free of anything a browser could execute."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import numpy as np

# Inside <script type="application/json"> nothing ends the block or begins a comment.
ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
DIGITS = 5  # of a number in a document: more than any screen shows


def printable(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8 are written as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def encode(document: dict) -> str:
    """JSON in one line, safe inside a script block. Numbers that are not finite become null."""
    try:
        text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(document), allow_nan=False, separators=(",", ":"))
    return text.translate(ESCAPES)


def numbers(values: Iterable[float]) -> list[float | None]:
    """Values as JSON has them: rounded, None where there is no number."""
    return [
        None if not math.isfinite(v) else float(f"{v:.{DIGITS}g}") for v in np.asarray(values, dtype=float).tolist()
    ]


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
