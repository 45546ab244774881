"""The first page: every experiment with its verdicts and the state of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bnlab.claim_report import best_rows
from bnlab.compose import Card
from bnlab.pages.index import Entry, SettingFiles
from bnlab.pages.progress import sweep_progress
from bnlab.pages.site import Query, Site
from bnlab.store import FINISHED


def data(site: Site, names: Mapping[str, str], query: Query) -> dict:
    """Experiments that are known and those that only lie in the folder, each with its settings; stored ones first."""
    index = site.index
    runs: dict[tuple[str, str], list[Entry]] = {}
    for key, entry in index.runs.items():
        runs.setdefault(key[:2], []).append(entry)
    stored = {name for name, _ in index.settings}
    order = sorted({*site.cards, *stored}, key=lambda name: (name not in stored, name))
    return {
        "folder": index.root.name or str(index.root),
        "states": Counter(entry.run.status.state for entry in index.runs.values()),
        "verdicts": Counter(row["verdict"] for row in best_rows(_rows(site))),
        "experiments": [_experiment(site, name, runs) for name in order],
    }


def _rows(site: Site) -> list[dict]:
    return [row for found in site.index.settings.values() for row in found.claims]


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
        "commands": [] if found else _commands(said),
    }


def _commands(said: Card | None) -> list[str]:
    """What to type where nothing is stored yet: the demonstration first."""
    settings = sorted(said.settings.values(), key=lambda s: (s.scale != "laptop", s.minutes)) if said else []
    return [f"bnlab run {said.name} data={s.data} scale={s.scale}" for s in settings[:1]]


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
        "problem": files.problem,
    }
