"""Verdicts as rows (for JSON and the terminal) and as Markdown."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bnlab.claims import MEASURED, MIXED, REFUTED, SUPPORTED, UNDECIDED, Claim, Verdict, whole_verdict
from bnlab.stats import holm

if TYPE_CHECKING:
    from bnlab.store import Runs

# What a reader wants to see first: the papers' size, then real data, then the demonstration.
SCALE_RANKS = {"paper": 3, "laptop": 2}
DEMONSTRATION = "digits"

LEVEL = 0.05  # of Holm's adjustment
UNDONE = "†"  # stands behind a verdict that the adjustment would undo
UNDONE_TEXT = "undecided, were p adjusted by Holm's method over all statements of its setting"
LEVEL_TEXT = "95 % Student-t intervals over seeds"


def claim_rows(claims: Iterable[Claim], runs: Runs) -> list[dict]:
    """One JSON-ready row per claim of a setting, in the order given; `bnlab claims --json` prints its JSON_KEYS."""
    judged = [claim for claim in claims if not claim.only or runs.data in claim.only]
    return with_holm([claim_row(claim, claim.judge(runs), runs) for claim in judged])


def claim_row(claim: Claim, verdict: Verdict, runs: Runs) -> dict:
    """A claim of several parts has no effect, interval, unit and margin of its own: no one number stands for all."""
    return {
        "id": claim.id,
        "says": claim.says,
        "kind": claim.kind,
        "source": claim.source,
        **_numbers(replace(verdict, effect=None, interval=None, unit="", margin=None) if verdict.parts else verdict),
        "experiment": runs.experiment,
        "data": runs.data,
        "scale": runs.scale,
        "from": runs.source,
        "tests": claim.tests,
        "figure": claim.figure,
        "label": verdict.label,
        "parts": [_part_row(part) for part in verdict.parts],
        "beside": [_part_row(part) for part in verdict.beside],
    }


def _part_row(verdict: Verdict) -> dict:
    return {"label": verdict.label, **_numbers(verdict)}


def _numbers(verdict: Verdict) -> dict:
    published = verdict.published
    return {
        "verdict": verdict.verdict,
        "effect": _rounded(verdict.effect),
        "unit": verdict.unit,
        "interval": None if verdict.interval is None else [_rounded(limit) for limit in verdict.interval],
        "n": verdict.n,
        "planned": verdict.planned,
        "published": None if published is None else dataclasses.asdict(published),
        "margin": verdict.margin,
        "p": _rounded(verdict.p),
        "holm": None,
        "note": verdict.note,
    }


def _rounded(number: float | None) -> float | None:
    """Six significant digits: the same text on every machine."""
    return None if number is None or not math.isfinite(number) else float(f"{number:.6g}")


def best_rows(rows: Iterable[dict]) -> list[dict]:
    """One row per claim id: of the settings at hand the one nearest to the paper's, the first of several."""
    best: dict[str, dict] = {}
    for row in rows:
        if row["id"] not in best or setting_rank(row) > setting_rank(best[row["id"]]):
            best[row["id"]] = row
    return list(best.values())


def setting_rank(row: dict) -> tuple[int, bool]:
    return SCALE_RANKS.get(row["scale"], 0), row["data"] != DEMONSTRATION


def with_holm(rows: Sequence[dict]) -> list[dict]:
    """The rows of one setting with `holm` beside every `p`: adjusted over all statements that an interval can decide.

    A statement that several claims rest on is one test. One that is undecided has no p-value, and counts as 1; so does
    one whose interval is withheld, as where seeds were lost.
    """
    for row, p in zip(_tested(rows), holm([1.0 if s["p"] is None else s["p"] for s in _tested(rows)])):
        for same in _statements(rows):
            if _test_of(same) == _test_of(row) and same["p"] is not None:
                same["holm"] = _rounded(p)
    return list(rows)


def after_holm(rows: Sequence[dict]) -> tuple[int, int]:
    """How many statements were decided by an interval, and how many of those stay so after Holm's adjustment."""
    decided = [s["holm"] for s in _tested(rows) if s["verdict"] != UNDECIDED]
    return len(decided), sum(p < LEVEL for p in decided)


def verdict_text(row: dict) -> str:
    """The verdict of a claim, with UNDONE behind it where Holm's adjustment leaves too little of it."""
    return f"{row['verdict']} {UNDONE}" if undone_by_holm(row) else row["verdict"]


def undone_by_holm(row: dict) -> bool:
    """Whether the verdict would be another, were all statements undecided whose p is not below LEVEL once adjusted."""
    parts = row["parts"] or [row]
    left = [UNDECIDED if (part["holm"] or 0) >= LEVEL else part["verdict"] for part in parts]
    return whole_verdict(left) != row["verdict"]


def _statements(rows: Sequence[dict]) -> list[dict]:
    """What the verdicts rest on, but for what is exact, as often as claims do."""
    every = [part for row in rows for part in (row["parts"] or [row])]
    return [part for part in every if part["interval"] is not None or part["verdict"] == UNDECIDED]


def _tested(rows: Sequence[dict]) -> list[dict]:
    return list({_test_of(statement): statement for statement in _statements(rows)}.values())


def _test_of(statement: dict) -> tuple:
    return statement["label"], statement["effect"], *(statement["interval"] or ())


def claims_markdown(rows: Sequence[dict]) -> str:
    """`claims.md` of a setting: a table of all claims, then every claim with its parts. Ends with a newline."""
    first = rows[0]
    lines = [
        f"# Claims of {first['experiment']} on {first['data']}-{first['scale']}",
        "",
        " ".join(_preface(rows)),
        "",
        "| claim | says | verdict | effect | interval | n | published |",
        "|---|---|---|---|---|---|---|",
        *(_table_line(row["id"], row["says"], row) for row in rows),
    ]
    for row in rows:
        lines += ["", *_section(row)]
    return "\n".join(lines) + "\n"


def _preface(rows: Sequence[dict]) -> Iterator[str]:
    """How effects, intervals and n are to be read, for the kinds of statements that there are."""
    statements = [part for row in rows for part in [*(row["parts"] or [row]), *row["beside"]]]
    distances = [statement for statement in statements if statement["verdict"] == MEASURED]
    with_interval = [s["interval"] is not None for s in statements if s not in distances]
    yield "Effects are oriented: positive speaks for the sentence."
    if any(with_interval):
        decided, remaining = after_holm(rows)
        yield f"{LEVEL_TEXT}; n of planned seeds."
        yield f"Of {decided} decided statements, {remaining} stay decided after Holm's adjustment over all of them:"
        yield "p is two-sided, against the edge of the margin that decided, and holm is that p after it."
    if not all(with_interval):
        yield "Where there is no interval, seeds are missing or nothing is left to chance: the effect is then minus the"
        yield "largest error of an identity, minus the least miss of a form that fails, or the least distance from the"
        yield "margin, and n counts random cases, 1 for what was counted or read."
    if distances:
        yield "What is only measured decides nothing: the distance from a published curve is the mean absolute"
        yield "difference of the mean over seeds from its points."


def _section(row: dict) -> list[str]:
    about = f"Source: {row['source']}. Kind {row['kind']}."
    about += f" Tested: {row['tests'].rstrip('.')}." if row["tests"] else ""
    about += f" Figure: `{row['figure']}`." if row["figure"] else ""
    about += f" Of the whole: {row['note']}." if row["parts"] and row["note"] else ""
    lines = [f"## {row['id']}: {row['verdict']}", "", f"> {row['says']}", "", about, ""]
    header = "| statement | verdict | effect | interval | margin | n | p | holm | published | seen |"
    lines += [header, f"|{'---|' * 10}"]
    parts = row["parts"] or [row | {"label": row["label"] or row["tests"] or "the sentence"}]
    lines += [_part_line(part["label"], part) for part in parts]
    return lines + [_part_line(f"beside it: {part['label']}", part) for part in row["beside"]]


def _table_line(name: str, says: str, row: dict) -> str:
    cells = (name, says, f"**{row['verdict']}**", *whole_texts(row), n_text(row), published_text(row))
    return f"| {' | '.join(_cell(c) for c in cells)} |"


def _part_line(label: str, row: dict) -> str:
    margin = "" if row["margin"] is None else f"{row['margin']:.3g}"
    cells = (label, f"**{row['verdict']}**", effect_text(row), interval_text(row), margin, n_text(row))
    cells += tuple("" if row[key] is None else f"{row[key]:.2g}" for key in ("p", "holm"))
    return f"| {' | '.join(_cell(c) for c in (*cells, published_text(row), row['note']))} |"


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def whole_texts(row: dict) -> tuple[str, str]:
    """Effect and interval of a claim; of one made of parts their verdicts, for no one number stands for them all."""
    if not row["parts"]:
        return effect_text(row), interval_text(row)
    words = [part["verdict"] for part in row["parts"]]
    counted = [f"{words.count(w)} {w}" for w in (SUPPORTED, REFUTED, MIXED, UNDECIDED) if w in words]
    return f"per part: {', '.join(counted)}", ""


def effect_text(row: dict) -> str:
    """`+0.0123 accuracy`, or a dash where nothing could be measured."""
    return "–" if row["effect"] is None else f"{row['effect']:+.3g} {row['unit']}".rstrip()


def interval_text(row: dict) -> str:
    return "–" if row["interval"] is None else f"[{row['interval'][0]:+.3g}, {row['interval'][1]:+.3g}]"


def n_text(row: dict) -> str:
    return str(row["n"]) if row["n"] == row["planned"] else f"{row['n']} of {row['planned']}"


def published_text(row: dict) -> str:
    return "" if row["published"] is None else row["published"]["text"]
