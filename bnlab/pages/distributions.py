"""Distributions over training as documents: quantiles and histograms of chosen runs, on axes that all share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bnlab.pages.charts import Group
from bnlab.pages.documents import numbers
from bnlab.pages.index import Entry
from bnlab.pages.readings import Readings
from bnlab.pages.site import Query
from bnlab.plots.binned import common_limits, with_margin
from bnlab.store import Histograms, RunSeries

RECORDS = 120  # of a panel, at most: a column of a heat map needs some pixels


@dataclass(frozen=True)
class Quantity:
    """What is distributed: a histogram and the quantiles recorded of it, from the lowest to the highest."""

    name: str
    says: str
    histogram: str
    quantiles: tuple[str, ...]


def _eight(prefix: str) -> tuple[str, ...]:
    return tuple(f"activations/{prefix}{k}" for k in range(8))


def _three(prefix: str) -> tuple[str, ...]:
    return tuple(f"activations/{prefix}_p{percent}" for percent in (15, 50, 85))


QUANTITIES = (
    Quantity("output", "outputs of the activation", "activations/hist_output", _eight("b")),
    Quantity("input", "inputs of the activation", "activations/hist_input", _three("input")),
    Quantity("max", "largest output over the batch, by neuron", "activations/hist_max", _eight("m")),
    Quantity("unit", "inputs of the first unit", "activations/hist_unit", _three("unit")),
)

Panel = dict  # of one group: label, look, run and its seed, histograms, bands


def distributions(groups: Sequence[Group], readings: Readings, query: Query) -> dict:
    """A panel for each group: one run's quantiles and histograms of a quantity in a layer; {} where none has any.

    The query chooses `quantity`, `layer` and `seed`; what is not there falls back to the first that is.
    """
    recorded = _recorded(groups, readings)
    known = {quantity: _layers(quantity, recorded) for quantity in QUANTITIES}
    known = {quantity: layers for quantity, layers in known.items() if layers}
    if not known:
        return {}
    quantity = _asked(query, "quantity", {q.name: q for q in known})
    layer = _asked(query, "layer", {name: name for name in known[quantity]})
    seeds = _seeds(groups)
    seed = _asked(query, "seed", {str(s): s for s in seeds}) if seeds else None
    panels = [_panel(group, _entry(group, seed), quantity, layer, readings) for group in groups]
    return {
        "quantities": [{"name": q.name, "says": q.says, "layers": layers} for q, layers in known.items()],
        "quantity": quantity.name,
        "quantiles": [_label(k, len(quantity.quantiles)) for k in range(len(quantity.quantiles))],
        "layer": layer,
        "seeds": seeds,
        "seed": seed,
        "panels": panels,
        "limits": {"histograms": _histogram_limits(panels), "bands": _band_limits(panels)},
    }


def _layers(quantity: Quantity, recorded: Iterable[str]) -> list[str]:
    """The layers in which some run recorded the quantity, pooled last."""
    heads = (quantity.histogram + "/", quantity.quantiles[0] + "/")
    return sorted({metric.rpartition("/")[2] for metric in recorded if metric.startswith(heads)})


def _recorded(groups: Sequence[Group], readings: Readings) -> set[str]:
    found = (readings.of(entry)[0] for group in groups for entry in group.entries)
    return {metric for series in found for metric in (*series.histograms, *series.metrics)}


def _asked(query: Query, key: str, choices: Mapping[str, object]):
    asked = next(iter(query.get(key, ())), None)
    return choices.get(asked, next(iter(choices.values())))


def _seeds(groups: Sequence[Group]) -> list[int]:
    """The seeds to choose from; none where every group is one run."""
    if all(len(group.entries) < 2 for group in groups):
        return []
    return sorted({entry.run.seed for group in groups for entry in group.entries})


def _entry(group: Group, seed: int | None) -> Entry | None:
    """The group's run with this seed. None where it has none."""
    return next((entry for entry in group.entries if seed is None or entry.run.seed == seed), None)


def _panel(group: Group, entry: Entry | None, quantity: Quantity, layer: str, readings: Readings) -> Panel:
    said = {"label": group.label, "look": group.look, "run": None, "seed": None}
    if entry is None:
        return said | {"diverged": None, "histograms": None, "bands": None}
    said |= {"run": entry.key, "seed": entry.run.seed}
    series = readings.of(entry)[0]
    found = series.histograms.get(f"{quantity.histogram}/{layer}")
    metrics = [f"{quantile}/{layer}" for quantile in quantity.quantiles]
    return said | {
        "diverged": entry.run.status.diverged_at,
        "histograms": _histograms(found) if found is not None else None,
        "bands": _bands(series, metrics) if all(metric in series.metrics for metric in metrics) else None,
    }


def _histograms(found: Histograms) -> dict:
    """Records with numbers in them; after a divergence there may be none."""
    good = np.flatnonzero(np.isfinite(found.lo) & np.isfinite(found.hi))
    kept = good[thinned(found.steps[good])]
    return {
        "steps": found.steps[kept].tolist(),
        "lo": numbers(found.lo[kept]),
        "hi": numbers(found.hi[kept]),
        "counts": found.counts[kept].tolist(),
    }


def _bands(series: RunSeries, metrics: Sequence[str]) -> dict:
    """`values` has a row per quantile. All are recorded together, so that they share their steps."""
    steps = series.metrics[metrics[0]][0]
    values = np.stack([series.metrics[metric][1] for metric in metrics])
    kept = thinned(steps)
    return {"steps": steps[kept].tolist(), "values": [numbers(row) for row in values[:, kept]]}


def thinned(steps: np.ndarray) -> np.ndarray:
    """Positions of at most `RECORDS` records, spaced evenly on a log axis of steps, with the first and the last."""
    if len(steps) <= RECORDS:
        return np.arange(len(steps))
    at = np.log1p(steps - steps[0])
    return np.unique(np.searchsorted(at, np.linspace(0, at[-1], RECORDS)).clip(0, len(steps) - 1))


def _histogram_limits(panels: Iterable[Panel]) -> tuple[float, float]:
    drawn = [panel["histograms"] for panel in panels if panel["histograms"]]
    return common_limits({key: [v for h in drawn for v in h[key]] for key in ("lo", "hi", "counts")})


def _band_limits(panels: Iterable[Panel]) -> tuple[float, float]:
    drawn = [v for p in panels if p["bands"] for row in p["bands"]["values"] for v in row if v is not None]
    return with_margin(min(drawn), max(drawn)) if drawn else (-1.0, 1.0)


def _label(place: int, count: int) -> str:
    """Eight quantiles are sevenths from the minimum to the maximum; three are the percentiles 15, 50 and 85."""
    if count == 3:
        return ("15 %", "median", "85 %")[place]
    return {0: "minimum", count - 1: "maximum"}.get(place, f"{place}/{count - 1}")
