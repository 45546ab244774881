"""The first page: every experiment with its verdicts and the state of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bnlab.claim_report import best_rows
from bnlab.literature import ARTICLES, OWN, PAPERS, family
from bnlab.pages.claims import after_holm
from bnlab.pages.freshness import outdated
from bnlab.pages.index import Entry, SettingFiles
from bnlab.pages.progress import sweep_progress
from bnlab.pages.site import Query, Site
from bnlab.store import FINISHED


def data(site: Site, names: Mapping[str, str], query: Query) -> dict:
    """Experiments that are known and those that only lie in the folder, each with its settings; stored ones first."""
    index = site.index
    runs = index.by_setting()
    stored = {name for name, _ in index.settings}
    order = sorted({*site.cards, *stored}, key=lambda name: (name not in stored, name))
    return {
        "folder": index.root.name or str(index.root),
        "states": Counter(entry.run.status.state for entry in index.runs.values()),
        "claims": _claims(site),
        "experiments": [_experiment(site, name, runs) for name in order],
    }


def _claims(site: Site) -> list[dict]:
    """For each kind of source, how many claims there are and how those that were judged came out."""
    judged = best_rows(row for found in site.index.settings.values() for row in found.claims)
    known = {claim for said in site.cards.values() for claim in said.claims} | {row["id"] for row in judged}
    counted = Counter(map(family, known))
    return [
        {
            "origin": name,
            "known": counted[name],
            "judged": Counter(row["verdict"] for row in judged if family(row["id"]) == name),
            "undone": sum(after_holm(row) is not None for row in judged if family(row["id"]) == name),
        }
        for name in (ARTICLES, PAPERS, OWN)
        if counted[name]
    ]


def _experiment(site: Site, name: str, runs: dict[tuple[str, str], list[Entry]]) -> dict:
    said = site.card(name)
    found = {setting: files for (of, setting), files in site.index.settings.items() if of == name}
    return {
        "name": name,
        "question": said.question if said else "",
        "source": said.source if said else "",
        "claims": len(said.claims) if said else 0,
        "verdicts": Counter(r["verdict"] for r in best_rows(r for files in found.values() for r in files.claims)),
        "settings": [_setting(site, files, runs.get((name, key), [])) for key, files in found.items()],
        "command": None if found else site.first_command(name),
    }


def _setting(site: Site, files: SettingFiles, entries: list[Entry]) -> dict:
    states = Counter(entry.run.status.state for entry in entries)
    return {
        "name": files.name,
        "planned": site.planned.get((files.experiment, files.name)),
        "states": states,
        "packed": sum(entry.directory is None for entry in entries),
        "finished": sum(states[state] for state in FINISHED),
        "verdicts": Counter(row["verdict"] for row in files.claims),
        "figures": len(files.figures),
        "sweep": sweep_progress(entries, site.planned.get((files.experiment, files.name))),
        "outdated": outdated(site, files, entries),
        "problem": files.problem,
    }
