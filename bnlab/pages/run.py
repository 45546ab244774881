"""One run: how it went, what it is, what tells it from its siblings, what it recorded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from bnlab import paths
from bnlab.config import flatten, from_dict
from bnlab.errors import BadInput, IntegrityError
from bnlab.pages.charts import Group, chart, chosen_metrics, metrics_of
from bnlab.pages.distributions import distributions
from bnlab.pages.documents import printable
from bnlab.pages.families import families
from bnlab.pages.index import Entry
from bnlab.pages.site import Query, Site
from bnlab.store.directories import read_config

LOG_BYTES = 20_000  # the end of a log, which says why a run stopped
MOST_SIBLINGS = 12


def data(site: Site, names: Mapping[str, str], query: Query) -> dict | None:
    """None where there is no such run."""
    entry = site.index.runs.get((names["experiment"], names["setting"], names["variant"], names["id"]))
    if entry is None:
        return None
    group = Group(entry.key[3], entry.run.variant, (entry,))
    _, problem = site.readings.of(entry)
    metrics = metrics_of([group], site.readings)
    chosen = chosen_metrics(query.get("metric", ()), metrics)
    config = config_of(site, entry)
    return {
        "key": entry.key,
        "source": entry.source,
        "status": _status(entry),
        "environment": {key: str(value) for key, value in entry.run.status.environment.items()},
        "config": {key: str(value) for key, value in config.items()},
        "siblings": _siblings(site, entry, config),
        "log": _log(entry.directory) if entry.directory else "",
        "problem": problem,
        "metrics": metrics,
        "chosen": chosen,
        "charts": [chart(metric, [group], site.readings) for metric in chosen],
        "distributions": distributions([group], site.readings, query),
        "families": families([group], metrics, site.readings, query),
    }


def _status(entry: Entry) -> dict:
    status = entry.run.status
    kept = ("state", "step", "steps", "seconds", "attempts", "error", "diverged_at")
    return {key: getattr(status, key) for key in kept} | {"notes": list(status.notes)}


def config_of(site: Site, entry: Entry) -> dict:
    """Dotted keys; empty where the stored configuration cannot be read."""
    try:
        if entry.directory is None:
            return flatten(from_dict(site.index.settings[entry.key[:2]].configs[entry.key]))
        return flatten(from_dict(read_config(entry.directory)["config"]))
    except (IntegrityError, BadInput):
        return {}


def _siblings(site: Site, entry: Entry, config: Mapping[str, object]) -> list[dict]:
    """Runs of the setting with the same seed and another configuration, the most alike first, with what differs."""
    found = []
    for other in site.index.of_setting(*entry.key[:2]):
        if other.run.seed == entry.run.seed and other.key != entry.key and len(found) < 40 * MOST_SIBLINGS:
            theirs = config_of(site, other)
            differing = {k: str(theirs.get(k, "")) for k in config if theirs and theirs.get(k) != config[k]}
            found.append({"key": other.key, "state": other.run.status.state, "differs": differing})
    found.sort(key=lambda sibling: len(sibling["differs"]))
    return found[:MOST_SIBLINGS]


def _log(run: Path) -> str:
    try:
        with open(os.open(paths.run_log(run), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES))
            return printable(file.read().decode("utf-8", "backslashreplace"))
    except OSError:
        return ""
