"""Refusing a value of a configuration in one line that names its key and says what is allowed."""

from __future__ import annotations

import difflib
import math
import typing

from bnlab.errors import BadInput


def refuse(key: str, value: object, rule: str) -> typing.NoReturn:
    raise BadInput(f"{key}={value}: {rule}")


def number(key: str, value: float, low: float, high: float = math.inf, *, open_low: bool = False) -> None:
    """Refuse a value outside [low, high] (or (low, high] when `open_low`), and every NaN and infinity."""
    finite = isinstance(value, (int, float)) and math.isfinite(value)
    if not finite or value < low or value > high or (open_low and value == low):
        upper = "" if math.isinf(high) else f" and at most {high:g}"
        refuse(key, value, f"must be a finite number {'above' if open_low else 'of at least'} {low:g}{upper}")


def one_of(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        refuse(key, value, f"no such choice{nearest(str(value), allowed)}; there are {', '.join(allowed)}")


def nearest(word: str, words: typing.Iterable[str]) -> str:
    """`, did you mean 'x'?` for the closest word, or an empty string when none is close."""
    close = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""
