"""What is known of a metric besides its values: the range that they can have, and how some nets were evaluated."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from bnlab.store import RunSeries

SHARE = re.compile(r"(.+_)?accuracy(_by_batch|_recalibrated)?|saturated|input_linear|zero|dead")
POSITIVE = re.compile(r"(.+_)?loss|(unit_)?var|(mean|var)_change|(input|max)_sd|input_mean_abs|l2|relative")
LIMITS = ((SHARE, (0.0, 1.0)), (re.compile("cosine"), (-1.0, 1.0)), (POSITIVE, (0.0, None)))
RECALIBRATED = "_accuracy_recalibrated"
EVALUATED = re.compile(r"curves/(full|test)_(accuracy|loss)")
UNDER_NOISE = (
    "evaluated without noise, but on the running statistics of training, which were gathered under noise and misjudge "
    "this net; {twin} re-estimates them without noise"
)
WITHOUT_NOISE = "evaluated on running statistics that were re-estimated without noise"


def limits(metric: str, values: Iterable[float | None]) -> tuple[float, float | None] | None:
    """The range of a share, a cosine or a size, by the metric's name: an interval of a mean may leave it.

    None for others, and where the values themselves leave it.
    """
    name = metric.split("/")[1] if "/" in metric else metric
    known = next((found for pattern, found in LIMITS if pattern.fullmatch(name)), None)
    if known is None:
        return None
    low, high = known[0], math.inf if known[1] is None else known[1]
    return known if all(v is None or low <= v <= high for v in values) else None


def caveat(metric: str, recorded: Mapping[str, Sequence[RunSeries]]) -> dict | None:
    """Of groups with noise, by label, how this metric was evaluated; None where there is none or it does not matter."""
    twin = twin_of(metric)
    noisy = [label for label, runs in recorded.items() if any(twin in series.metrics for series in runs)]
    if not twin or not noisy:
        return None
    return {"of": noisy, "says": WITHOUT_NOISE if metric == twin else UNDER_NOISE.format(twin=twin)}


def twin_of(metric: str) -> str:
    """The accuracy that nets with noise record beside an evaluation; a recalibrated accuracy is its own."""
    if metric.endswith(RECALIBRATED):
        return metric
    found = EVALUATED.fullmatch(metric)
    return f"curves/{found[1]}{RECALIBRATED}" if found else ""
