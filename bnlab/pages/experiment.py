"""One experiment in one setting: its question, verdicts, curves and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bnlab.compose import Card
from bnlab.pages.charts import Group, chart, chosen_metrics, group_by_seed, metrics_of
from bnlab.pages.claims import after_holm
from bnlab.pages.distributions import distributions
from bnlab.pages.families import families
from bnlab.pages.freshness import command_for, outdated
from bnlab.pages.index import Entry
from bnlab.pages.progress import sweep_progress
from bnlab.pages.site import Query, Site

MOST_LINES = 12
MOST_LOOKED_INTO = 40  # groups, for the names of what was recorded
FEW_GROUPS = 6  # so many are compared all at once
EVERY = "*"  # the choice that admits all values of a key
VARIANT = "variant"

Choice = dict[str, str]  # of one group: the value of every key, the variant among them


def data(site: Site, names: Mapping[str, str], query: Query) -> dict | None:
    """None for an experiment that is neither known nor stored."""
    name = names["experiment"]
    said = site.card(name)
    stored = sorted(setting for of, setting in site.index.settings if of == name)
    if said is None and not stored:
        return None
    setting = next(iter(query.get("setting", ())), None)
    setting = setting if setting in stored else _usual(stored)
    document = {
        "name": name,
        "question": said.question if said else "",
        "source": said.source if said else "",
        "settings": stored,
        "setting": setting,
        "command": None if stored else site.first_command(name),
    }
    return document | (_of_setting(site, name, setting, query) if setting else {})


def _usual(stored: Sequence[str]) -> str | None:
    """Real data at laptop scale before the demonstration and the tests."""
    rank = {"paper": 0, "laptop": 1, "smoke": 3}
    order = sorted(stored, key=lambda s: (rank.get(s.rpartition("-")[2], 2), s.startswith("digits")))
    return order[0] if order else None


def _of_setting(site: Site, name: str, setting: str, query: Query) -> dict:
    files, said = site.index.settings[name, setting], site.card(name)
    entries = site.index.of_setting(name, setting)
    groups = _groups(site, entries)
    keys = _keys([choice for choice, _ in groups], query)
    shown = [(choice, group) for choice, group in groups if _admitted(choice, keys)]
    labelled = _labelled(shown[:MOST_LINES], keys)
    some = groups[:: 1 + len(groups) // MOST_LOOKED_INTO]
    metrics = metrics_of([Group("", "", (runs[0],)) for _, runs in some] + labelled, site.readings)
    chosen = chosen_metrics(query.get("metric", ()), metrics)
    return {
        "states": Counter(entry.run.status.state for entry in entries),
        "commands": _commands(said, setting),
        "outdated": outdated(site, files, entries),
        "planned": site.planned.get((name, setting)),
        "sweep": sweep_progress(entries, site.planned.get((name, setting))),
        "verdicts": [_verdict(row) for row in files.claims],
        "figures": [{"name": figure, "formats": sorted(formats)} for figure, formats in files.figures.items()],
        "problem": files.problem,
        "keys": keys,
        "left_out": max(0, len(shown) - MOST_LINES),
        "metrics": metrics,
        "chosen": chosen,
        "charts": [chart(metric, labelled, site.readings) for metric in chosen],
        "distributions": distributions(labelled, site.readings, query),
        "families": families(labelled, metrics, site.readings, query),
    }


def _commands(said: Card | None, setting: str) -> dict[str, str]:
    """What makes runs, verdicts and figures of a setting, where its experiment is known."""
    if said is None:
        return {}
    return {do: command_for(do, said.name, setting) for do in ("run", "figures", *(["claims"] if said.claims else []))}


def _verdict(row: Mapping) -> dict:
    return {key: row.get(key) for key in ("id", "says", "verdict")} | {"after_holm": after_holm(row)}


def _groups(site: Site, entries: Sequence[Entry]) -> list[tuple[Choice, list[Entry]]]:
    read = [(entry, site.index.overrides(entry)) for entry in entries]
    found = group_by_seed(read)
    return [({VARIANT: variant, **dict(overrides)}, runs) for (variant, overrides), runs in found.items()]


def _keys(choices: Sequence[Choice], query: Query) -> list[dict]:
    """The keys in which groups differ, with their values and what is chosen.

    Without a choice few groups are compared all at once; of more all variants, or where there is only one all values
    of the first key, at the values that the first group has of the others.
    """
    names = list(dict.fromkeys(key for choice in choices for key in choice))
    values = {key: list(dict.fromkeys(choice.get(key, "") for choice in choices)) for key in names}
    differing = [key for key in names if len(values[key]) > 1]
    compared = VARIANT if VARIANT in differing else next(iter(differing), "")
    keys = []
    for key in differing:
        usual = EVERY if key == compared or len(choices) <= FEW_GROUPS else choices[0].get(key, "")
        asked = next(iter(query.get(f"by.{key}", ())), usual)
        keys.append({"key": key, "values": values[key], "chosen": asked if asked in (*values[key], EVERY) else usual})
    return keys


def _admitted(choice: Choice, keys: Sequence[dict]) -> bool:
    return all(key["chosen"] in (EVERY, choice.get(key["key"], "")) for key in keys)


def _labelled(groups: Sequence[tuple[Choice, list[Entry]]], keys: Sequence[dict]) -> list[Group]:
    """Named by what tells them apart; looking like their variant, or like what else alone is compared."""
    opened = [key["key"] for key in keys if key["chosen"] == EVERY]
    apart = [key for key in opened if len({choice.get(key, "") for choice, _ in groups}) > 1] or [VARIANT]
    return [
        Group(", ".join(_word(key, choice.get(key, "")) for key in apart), choice.get(apart[0], ""), tuple(entries))
        for choice, entries in groups
    ]


def _word(key: str, value: str) -> str:
    return value if key == VARIANT else f"{key} {value}"
