"""All claims with their verdicts, and what each verdict rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bnlab.claim_report import best_rows
from bnlab.pages.index import SettingFiles
from bnlab.pages.site import Query, Site


def data(site: Site, names: Mapping[str, str], query: Query) -> dict:
    """Every stored verdict, the best setting of each claim marked, and the claims that wait for runs."""
    rows = [row for files in site.index.settings.values() for row in _rows(files)]
    best = {id(row) for row in best_rows(rows)}
    for row in rows:
        row["best"] = id(row) in best
    rows.sort(key=lambda row: (row["id"], not row["best"], row["experiment"], row["setting"]))
    judged = {row["id"] for row in rows}
    damaged = [files for files in site.index.settings.values() if files.problem]
    problems = [{"where": f"{files.experiment} {files.name}", "says": files.problem} for files in damaged]
    return {"rows": rows, "waiting": list(_waiting(site, judged)), "problems": problems}


def _rows(files: SettingFiles) -> Iterable[dict]:
    for row in files.claims:
        yield {
            **row,
            "experiment": files.experiment,
            "setting": files.name,
            "source_of": row["id"].partition("-")[0],
            "pictured": row.get("figure") in files.figures,
        }


def _waiting(site: Site, judged: set[str]) -> Iterable[dict]:
    for said in site.cards.values():
        setting = next((s for s in said.settings.values() if s.scale == "laptop"), None)
        words = f" data={setting.data} scale={setting.scale}" if setting else ""
        for claim in said.claims:
            if claim not in judged:
                command = f"bnlab reproduce {said.name}{words}"
                yield {"id": claim, "source_of": claim.partition("-")[0], "experiment": said.name, "command": command}
