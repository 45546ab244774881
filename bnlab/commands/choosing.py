"""Which claims `bnlab claims` shows: those of experiments, those named by their ids, those with some verdicts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bnlab.commands.words import Target, is_stored, parse_selection, split_words, stored_targets, targets
from bnlab.errors import BadInput
from bnlab.literature import ARTICLES, OWN, PAPERS, family

CLAIM_ID = re.compile(r"[A-Z]+[0-9]+-[0-9]+", re.IGNORECASE)
COUNTED = {  # apart, in this order: one and many of them
    ARTICLES: ("claim", "claims"),
    PAPERS: ("statement of papers", "statements of papers"),
    OWN: ("claim of your own", "claims of your own"),
}


def claim_targets(root: Path, words: Sequence[str]) -> tuple[list[Target], frozenset[str]]:
    """The stored settings that the words name, and the ids among the words; no id stands for every claim.

    Errors: BadInput for an unknown id or word, or an id of another experiment than those named; Incomplete.
    """
    ids = [word.upper() for word in words if CLAIM_ID.fullmatch(word)]
    others = [word for word in words if not CLAIM_ID.fullmatch(word)]
    if not ids:
        return stored_targets(root, others), frozenset()
    named, pairs = split_words(others)
    holders = {id: _holders(id, named) for id in ids}
    found: list[Target] = []
    for names in holders.values():
        admitted = targets(root, parse_selection([*names, *pairs]))
        found += [target for target in admitted if is_stored(target.directory)] or stored_targets(
            root, [names[0], *pairs]
        )
    return list(dict.fromkeys(found)), frozenset(ids)


def _holders(id: str, named: Sequence[str]) -> list[str]:
    """The experiments that test a claim, among those named if any."""
    from bnlab.compose import card, experiment_names
    from bnlab.ranges import nearest

    of = {name: card(name).claims for name in experiment_names()}
    known = sorted({claim for claims in of.values() for claim in claims})
    if id not in known:
        raise BadInput(f"{id}: no experiment tests such a claim{nearest(id, known) or '; `bnlab list` shows all'}")
    holders = [name for name, claims in of.items() if id in claims and (not named or name in named)]
    if not holders:
        raise BadInput(f"{id}: not a claim of {', '.join(named)}; leave the experiment out to see it")
    return holders


def parse_verdicts(text: str | None) -> frozenset[str]:
    """The verdicts of `--verdict refuted,undecided`; all without it. Errors: BadInput."""
    from bnlab.claims import VERDICTS
    from bnlab.ranges import nearest

    chosen = frozenset(VERDICTS if text is None else text.split(","))
    for word in sorted(chosen - set(VERDICTS)):
        raise BadInput(f"--verdict {word}: no such verdict{nearest(word, VERDICTS)}; there are {', '.join(VERDICTS)}")
    return chosen


def totals(rows: Sequence[dict]) -> str:
    """`92 claims: 58 supported, 34 refuted`; statements of papers are counted apart, and so are claims of one's own."""
    of = {kind: [row["verdict"] for row in rows if family(row["id"]) == kind] for kind in COUNTED}
    return "; ".join(_counted(verdicts, *COUNTED[kind]) for kind, verdicts in of.items() if verdicts) or "0 claims"


def _counted(verdicts: Sequence[str], one: str, many: str) -> str:
    from bnlab.claims import VERDICTS

    each = [f"{verdicts.count(word)} {word}" for word in VERDICTS if word in verdicts]
    return f"{len(verdicts)} {one if len(verdicts) == 1 else many}: {', '.join(each)}"
