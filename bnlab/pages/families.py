"""Moments, internal covariate shift and loss landscape as documents: the charts of one family in one layer."""

from __future__ import annotations

from collections.abc import Sequence

from bnlab.pages.charts import Group, chart
from bnlab.pages.readings import Readings
from bnlab.pages.site import Query

BY_LAYER = {
    "moments": ("mean", "var", "mean_change", "var_change"),
    "ics": ("cosine", "l2"),
}
# Bands from the smallest to the largest over the lengths of the step (Santurkar et al. 2018, figure 4).
RANGES = ("landscape/loss", "landscape/gradient_change")
LINES = ("landscape/beta_smoothness",)
LANDSCAPE = "landscape"


def families(groups: Sequence[Group], metrics: Sequence[str], readings: Readings, query: Query) -> dict:
    """The family chosen by `family`, in the layer chosen by `at`; {} where no run recorded any."""
    layers = {family: _layers(family, metrics) for family in BY_LAYER}
    known = [family for family, found in layers.items() if found]
    known += [LANDSCAPE] * any(f"{name}_max" in metrics for name in RANGES)
    if not known:
        return {}
    chosen = _asked(query, "family", known)
    at = _asked(query, "at", layers.get(chosen) or [""])
    charts = _landscape(groups, readings) if chosen == LANDSCAPE else _by_layer(chosen, at, groups, readings)
    return {"families": known, "family": chosen, "layers": layers.get(chosen, []), "layer": at, "charts": charts}


def _asked(query: Query, key: str, known: Sequence[str]) -> str:
    asked = next(iter(query.get(key, ())), "")
    return asked if asked in known else known[0]


def _layers(family: str, metrics: Sequence[str]) -> list[str]:
    heads = tuple(f"{family}/{name}/" for name in BY_LAYER[family])
    return sorted({metric.rpartition("/")[2] for metric in metrics if metric.startswith(heads)})


def _by_layer(family: str, layer: str, groups: Sequence[Group], readings: Readings) -> list[dict]:
    return [chart(f"{family}/{name}/{layer}", groups, readings) for name in BY_LAYER[family]]


def _landscape(groups: Sequence[Group], readings: Readings) -> list[dict]:
    return [_range(name, groups, readings) for name in RANGES] + [chart(name, groups, readings) for name in LINES]


def _range(name: str, groups: Sequence[Group], readings: Readings) -> dict:
    """A line for each group: mean over seeds of the smallest and of the largest, and their middle."""
    low, high = (chart(f"{name}_{end}", groups, readings)["lines"] for end in ("min", "max"))
    highs = {line["label"]: line for line in high}
    lines = [_between(line, highs[line["label"]]) for line in low if line["label"] in highs]
    return {"metric": f"{name}_min to {name.rpartition('/')[2]}_max", "lines": lines}


def _between(low: dict, high: dict) -> dict:
    above = dict(zip(high["steps"], high["values"]))
    rows = [(s, v, above[s]) for s, v in zip(low["steps"], low["values"]) if None not in (v, above.get(s))]
    steps, lows, highs = ([row[k] for row in rows] for k in range(3))
    kept = {key: low[key] for key in ("label", "look", "runs", "diverged")}
    return kept | {"steps": steps, "values": [(a + b) / 2 for a, b in zip(lows, highs)], "low": lows, "high": highs}
