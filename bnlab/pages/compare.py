"""Any runs against each other, on shared axes."""

from __future__ import annotations

from collections.abc import Mapping

from bnlab.pages.charts import Group, chart, chosen_metrics, metrics_of
from bnlab.pages.distributions import distributions
from bnlab.pages.families import families
from bnlab.pages.index import Entry
from bnlab.pages.runs import overrides_text
from bnlab.pages.site import Query, Site

MOST_RUNS = 24


def data(site: Site, names: Mapping[str, str], query: Query) -> dict:
    """The runs named by `run=experiment/setting/variant/id`; those that are not there are named as missing."""
    asked = list(dict.fromkeys(query.get("run", ())))
    found = {text: site.index.runs.get(tuple(text.split("/"))) for text in asked}
    entries = [entry for entry in found.values() if entry is not None][:MOST_RUNS]
    groups = [Group(label, entry.run.variant, (entry,)) for label, entry in zip(_labels(site, entries), entries)]
    metrics = metrics_of(groups, site.readings)
    chosen = chosen_metrics(query.get("metric", ()), metrics)
    return {
        "runs": [_row(site, group.label, group.entries[0]) for group in groups],
        "missing": [text for text, entry in found.items() if entry is None],
        "left_out": max(0, sum(entry is not None for entry in found.values()) - MOST_RUNS),
        "metrics": metrics,
        "chosen": chosen,
        "charts": [chart(metric, groups, site.readings) for metric in chosen],
        "distributions": distributions(groups, site.readings, query),
        "families": families(groups, metrics, site.readings, query),
    }


def _row(site: Site, label: str, entry: Entry) -> dict:
    status = entry.run.status
    said = {"label": label, "key": entry.key, "overrides": overrides_text(site.index.overrides(entry))}
    return said | {"state": status.state, "step": status.step, "steps": status.steps, "error": status.error}


def _labels(site: Site, entries: list[Entry]) -> list[str]:
    """What tells the runs apart of experiment, setting, variant, overrides and seed, in that order."""
    parts = [
        (*entry.key[:3], overrides_text(site.index.overrides(entry)), f"seed {entry.run.seed}") for entry in entries
    ]
    telling = [place for place in range(5) if place == 2 or len({part[place] for part in parts}) > 1]
    return [" ".join(filter(None, (part[place] for place in telling))) for part in parts]
