"""Every run of the folder, as a table."""

from __future__ import annotations

from collections.abc import Mapping

from bnlab.pages.index import Entry
from bnlab.pages.site import Query, Site

COLUMNS = ("experiment", "setting", "variant", "overrides", "seed", "id", "state", "step", "steps", "seconds")
COLUMNS += ("attempts", "source", "error")


def data(site: Site, names: Mapping[str, str], query: Query) -> dict:
    """`rows` are lists in the order of `columns`: ten thousand runs are a megabyte so."""
    return {"columns": COLUMNS, "rows": [_row(site, entry) for entry in site.index.runs.values()]}


def _row(site: Site, entry: Entry) -> list:
    experiment, setting, variant, run_id = entry.key
    status = entry.run.status
    return [
        experiment,
        setting,
        variant,
        overrides_text(site.index.overrides(entry)),
        entry.run.seed,
        run_id,
        status.state,
        status.step,
        status.steps,
        round(status.seconds, 1),
        status.attempts,
        entry.source,
        status.error,
    ]


def overrides_text(overrides: Mapping[str, object]) -> str:
    return " ".join(f"{key}={str(value).replace(' ', '')}" for key, value in overrides.items())
