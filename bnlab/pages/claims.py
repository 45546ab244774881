"""All claims with their verdicts, and what each verdict rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bnlab.claim_report import LEVEL, best_rows
from bnlab.claims import REFUTED, SUPPORTED, UNDECIDED, whole_verdict
from bnlab.literature import SOURCES, family, source_id
from bnlab.pages.freshness import outdated
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
    return {
        "rows": rows,
        "waiting": list(_waiting(site, judged)),
        "problems": problems,
        "outdated": _outdated(site),
        "sources": {name: source.name for name, source in SOURCES.items()},
    }


def _rows(files: SettingFiles) -> Iterable[dict]:
    for row in files.claims:
        yield {
            **row,
            "experiment": files.experiment,
            "setting": files.name,
            "source_of": source_id(row["id"]),
            "origin": family(row["id"]),
            "undone": undone_by_holm(row),
            "after_holm": after_holm(row),
            "pictured": row.get("figure") in files.figures,
        }


def _outdated(site: Site) -> list[dict]:
    """Settings whose verdicts are older than some of their runs."""
    runs = site.index.by_setting()
    found = ((files, outdated(site, files, runs.get(key, ()))) for key, files in site.index.settings.items())
    said = ((files, one) for files, every in found for one in every if one["what"] == "verdicts")
    return [{"where": f"{files.experiment} {files.name}", **one} for files, one in said]


def _waiting(site: Site, judged: set[str]) -> Iterable[dict]:
    for said in site.cards.values():
        for claim in said.claims:
            if claim not in judged:
                command = site.first_command(said.name)["text"]
                of = {"id": claim, "source_of": source_id(claim), "origin": family(claim)}
                yield of | {"experiment": said.name, "command": command}


def undone_by_holm(row: Mapping) -> list[str]:
    """The decided statements that a verdict rests on whose adjusted p is not below the level, by their labels."""
    return [part.get("label", "") for part in _parts(row) if _undone(part)]


def after_holm(row: Mapping) -> str | None:
    """The verdict with those statements undecided. None where it stays, or is not made from its parts alone."""
    if not undone_by_holm(row):
        return None
    if whole_verdict(part["verdict"] for part in _parts(row)) != row["verdict"]:
        return None
    word = whole_verdict(UNDECIDED if _undone(part) else part["verdict"] for part in _parts(row))
    return word if word != row["verdict"] else None


def _parts(row: Mapping) -> list[Mapping]:
    return row.get("parts") or [row]


def _undone(part: Mapping) -> bool:
    holm = part.get("holm")
    return part.get("verdict") in (SUPPORTED, REFUTED) and isinstance(holm, float) and holm >= LEVEL
