"""A site reduced to some settings and one source of runs, for what is written once and not looked at again."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from bnlab.pages.index import Entry, Index, RunKey
from bnlab.pages.site import Site


def reduce(site: Site, keys: Collection[tuple[str, str]], source: str, experiments: Collection[str]) -> None:
    """Keep those of the settings `keys` that have a run, and only `experiments`, unless none is named.

    `source` is "runs", "pack" or "auto": a run from its directory where it has one, else from the pack.
    """
    index = site.index
    index.refresh()
    index.runs = {key: entry for key, entry in _runs(index, source).items() if key[:2] in keys}
    stored = {key[:2] for key in index.runs}
    index.settings = {key: dataclasses.replace(files) for key, files in index.settings.items() if key in stored}
    if experiments:
        site.cards = {name: said for name, said in site.cards.items() if name in experiments}


def _runs(index: Index, source: str) -> dict[RunKey, Entry]:
    if source == "pack":
        return {key: entry for files in index.settings.values() for key, entry in files.packed.items()}
    return {key: entry for key, entry in index.runs.items() if source == "auto" or entry.directory}
