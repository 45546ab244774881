"""All pages of a results folder, and what they share: the index, the experiments' cards, the plans."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnlab.compose import Card, card, experiment_names
from bnlab.pages.index import Index
from bnlab.pages.readings import Readings

Query = Mapping[str, Sequence[str]]


class Site:
    """What the pages are made from. `planned` is filled beside the first pages, which do not wait for it.

    `patience`: seconds for which reading the plans lets a first page (`shown`) go before. `dated`: whether times of
    files tell what is old; a report leaves them out, for it has the same bytes wherever its results were copied to.
    """

    def __init__(self, root: Path, patience: float = 0.0, dated: bool = True) -> None:
        self.dated = dated
        self.index = Index(root)
        self.readings = Readings(self.index)
        self.cards = {name: card(name) for name in experiment_names()}
        self.planned: dict[tuple[str, str], int] = {}
        self.plans_read = threading.Event()
        self.shown = threading.Event()  # a first page
        threading.Thread(target=self._prepare, args=(patience,), daemon=True).start()

    def card(self, experiment: str) -> Card | None:
        return self.cards.get(experiment)

    def first_command(self, experiment: str) -> dict | None:
        """What to type where nothing is stored yet: the demonstration, with the minutes it takes on two cores."""
        said = self.card(experiment)
        if said is None:
            return None
        setting = min(said.settings.values(), key=lambda s: (s.scale != "laptop", s.minutes))
        words = f"bnlab reproduce {experiment} data={setting.data} scale={setting.scale}"
        return {"text": words, "minutes": setting.minutes}

    def _prepare(self, patience: float) -> None:
        """Look at the folder, then count what is planned: that loads Hydra, which takes longer than a page may."""
        self.index.refresh()
        self.shown.wait(patience)
        from bnlab.sweeping.plan import count_runs

        for said in self.cards.values():
            for setting in said.settings.values():
                self.planned[said.name, setting.name] = count_runs(setting)
        self.plans_read.set()


@dataclass(frozen=True)
class Page:
    """`data` gives the page's document for names from its address and a query; None where there is no such thing."""

    name: str
    address: str
    title: Callable[[Mapping[str, str]], str]
    data: Callable[[Site, Mapping[str, str], Query], dict | None]
    in_menu: str = ""


def all_pages() -> tuple[Page, ...]:
    from bnlab.pages import claims, compare, experiment, overview, run, runs

    return (
        Page("overview", "/", lambda names: "Overview", overview.data, "Overview"),
        Page("claims", "/claims", lambda names: "Claims", claims.data, "Claims"),
        Page("runs", "/runs", lambda names: "Runs", runs.data, "Runs"),
        Page("compare", "/compare", lambda names: "Compare", compare.data, "Compare"),
        Page("experiment", "/experiment/{experiment}", lambda names: names["experiment"], experiment.data),
        Page("run", "/run/{experiment}/{setting}/{variant}/{id}", lambda names: names["id"], run.data),
    )
