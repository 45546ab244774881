"""The same results as a paper: methods, every verdict with what it rests on, every figure drawn anew."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bnlab import __version__
from bnlab.claim_report import best_rows, effect_text, interval_text, n_text, published_text
from bnlab.claims import MIXED, REFUTED, SUPPORTED, UNDECIDED
from bnlab.experiment import Experiment
from bnlab.pages import methods
from bnlab.pages.site import Site
from bnlab.plots.drawing import Drawing
from bnlab.plots.typesetting import GREY, Paper, pdf

TITLE = "What batch normalisation does: claims and verdicts"
HEADS = ("statement", "verdict", "effect", "95 % interval", "margin", "n", "p, after Holm")
WIDTHS = (184.0, 48.0, 78.0, 76.0, 32.0, 28.0, 40.0)
COUNTED = (SUPPORTED, REFUTED, MIXED, UNDECIDED)


@dataclass(frozen=True)
class Chapter:
    """One experiment in one setting; `basis` says from which runs verdicts and figures come."""

    experiment: Experiment
    setting: str
    basis: str
    rows: Sequence[dict]
    figures: Sequence[tuple[str, Drawing]]


def paper_pdf(site: Site, chapters: Sequence[Chapter]) -> bytes:
    return pdf(set_paper(site, chapters).pages, TITLE)


def set_paper(site: Site, chapters: Sequence[Chapter]) -> Paper:
    """The title, with the pages of all that follows, is set last: how long it is does not depend on their numbers."""
    front = _title(chapters, [0] * (1 + len(chapters)))
    paper = Paper(before=len(front.pages))
    _methods(paper, site)
    begins = [paper.before + 1, *(_chapter(paper, chapter, previous) for previous, chapter in _pairs(chapters))]
    paper.pages[:0] = _title(chapters, begins).pages
    return paper


def _pairs(chapters: Sequence[Chapter]) -> Iterator[tuple[Chapter | None, Chapter]]:
    return zip([None, *chapters], chapters)


def _chapter(paper: Paper, chapter: Chapter, previous: Chapter | None) -> int:
    """Returns the number of its first page."""
    paper.new_page()
    begins = paper.before + len(paper.pages)
    if previous is None or chapter.experiment.name != previous.experiment.name:
        _introduction(paper, chapter.experiment)
    _results(paper, chapter)
    return begins


def _title(chapters: Sequence[Chapter], begins: Sequence[int]) -> Paper:
    """Title, counts and contents; `begins` are the pages of the methods and of every chapter."""
    paper = Paper()
    paper.new_page()
    paper.space(30)
    paper.heading(TITLE, 20)
    paper.paragraph(f"bnlab {__version__}", colour=GREY, after=14)
    best = best_rows([row for chapter in chapters for row in chapter.rows])
    paper.paragraph(f"Claims with a verdict: {len(best)} ({_counts(best)}).", 11, after=10)
    paper.paragraph(
        "Of a claim with verdicts in several settings the one nearest to the paper's counts here.", after=10
    )
    rows = [("Methods", *[""] * 6, str(begins[0]))]
    rows += [
        (
            c.experiment.name,
            c.setting,
            str(len(c.rows)),
            *(str(_count(c.rows)[word] or "") for word in COUNTED),
            str(at),
        )
        for c, at in zip(chapters, begins[1:])
    ]
    paper.heading("Contents", 11)
    paper.table(("experiment", "setting", "claims", *COUNTED, "page"), rows, (126, 100, 44, 50, 46, 44, 50, 26), 8)
    return paper


def _count(rows: Iterable[dict]) -> Counter:
    return Counter(row["verdict"] for row in rows)


def _counts(rows: Sequence[dict]) -> str:
    return ", ".join(f"{count} {word}" for word in COUNTED if (count := _count(rows)[word])) or "none"


def _methods(paper: Paper, site: Site) -> None:
    said = methods.data(site)
    paper.new_page()
    paper.heading("Methods", 16)
    for section in said["sections"]:
        paper.heading(section["title"], 11)
        for text in section["paragraphs"]:
            paper.paragraph(text)
        paper.space(4)
    paper.heading("Settings", 11)
    paper.table(said["columns"], said["rows"], (82, 74, 128, 58, 38, 28, 42, 36), 7)


def _introduction(paper: Paper, experiment: Experiment) -> None:
    paper.heading(experiment.name, 16)
    paper.paragraph(experiment.question, 11, after=6)
    paper.paragraph(f"Source: {experiment.source}")
    expected = re.search(r"^Expected: (.*?)(?:\n\n|\Z)", experiment.about, re.DOTALL | re.MULTILINE)
    if expected:
        paper.paragraph(f"Expected: {_sentence(expected[1])}")
    paper.space(6)


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]


def _results(paper: Paper, chapter: Chapter) -> None:
    paper.heading(f"{chapter.experiment.name} on {chapter.setting}", 13)
    paper.paragraph(f"{chapter.basis}. Verdicts: {_counts(chapter.rows)}.", after=8)
    for row in chapter.rows:
        _claim(paper, row)
    for name, drawing in chapter.figures:
        paper.picture(drawing, f"Figure {name} of {chapter.experiment.name}, {chapter.setting}")


def _claim(paper: Paper, row: dict) -> None:
    paper.heading(f"{row['id']}: {row['verdict']}", 10, keep=120)
    paper.paragraph(row["says"], 9.5, indent=12)
    about = f"Source: {row['source']}. Kind {row['kind']}."
    about += f" Tested: {row['tests'].rstrip('.')}." if row["tests"] else ""
    about += f" Figure: {row['figure']}." if row["figure"] else ""
    published = row["published"]
    about += f" Published: {published['text']} ({published['provenance']})." if published else ""
    paper.paragraph(about, 8, colour=GREY)
    statements = [(part["label"], part) for part in row["parts"]]
    statements = statements or [(row["label"] or "the sentence", row)]
    statements += [(f"beside it: {part['label']}", part) for part in row["beside"]]
    paper.table(HEADS, [_cells(label, part) for label, part in statements], WIDTHS, 7)


def _cells(label: str, part: dict) -> tuple[str, ...]:
    margin = "" if part["margin"] is None else f"{part['margin']:.3g}"
    p = "" if part["p"] is None else f"{part['p']:.2g}"
    p += "" if part["holm"] is None else f", {part['holm']:.2g}"
    published = f"published: {published_text(part)}" if part["published"] else ""
    beside = "; ".join(filter(None, (part["note"], published)))
    said = f"{label} ({beside})" if beside else label
    return said, part["verdict"], effect_text(part), interval_text(part), margin, n_text(part), p
