"""The paper: every claim and figure is in it, nothing is clipped or printed over, and its bytes stay the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from page_folders import HOSTILE

from bnlab.cli import main
from bnlab.plots.drawing import Drawing
from bnlab.plots.style import paper_style
from bnlab.plots.typesetting import BOTTOM, MEASURE, Paper, pdf, text_width, wrap

SHIPPED = Path(__file__).resolve().parents[1] / "results"


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The pages of the papers that a command writes in this test."""
    from bnlab.pages import paper

    made: list[Figure] = []
    monkeypatch.setattr(paper, "pdf", lambda pages, title: made.extend(pages) or pdf(pages, title))
    return made


def put_pack(results: Path, experiment: str, setting: str) -> list[dict]:
    """A copy of a shipped pack; returns the verdicts that are shipped with it."""
    shipped = SHIPPED / experiment / setting
    shutil.copytree(shipped / "pack", results / experiment / setting / "pack")
    return json.loads((shipped / "claims.json").read_text())


def texts(pages: list[Figure]) -> list[str]:
    return [artist.get_text() for page in pages for artist in page.texts]


def boxes(page: Figure) -> list[tuple[str, Bbox]]:
    """In points; measured ten times as large, where widths are not rounded to whole dots."""
    with paper_style():
        page.set_dpi(720)
        renderer = page.canvas.get_renderer()
        found = [(a.get_text(), a.get_window_extent(renderer).get_points() / 10) for a in page.texts if a.get_text()]
        page.set_dpi(72)
    return [(text, Bbox(points)) for text, points in found]


def check_page(page: Figure) -> None:
    """Every text is inside the page's margins, and none lies on another."""
    width, height = page.bbox.width, page.bbox.height
    found = boxes(page)
    for said, box in found:
        assert box.x0 >= 50 and box.x1 <= width - 50 and box.y0 >= 15 and box.y1 <= height - 35, said
    for i, (said, box) in enumerate(found):
        for other, beside in found[i + 1 :]:
            across = min(box.x1, beside.x1) - max(box.x0, beside.x0)
            down = min(box.y1, beside.y1) - max(box.y0, beside.y0)
            assert across <= 0.5 or down <= 0.35 * min(box.height, beside.height), (said, other)


@pytest.mark.shipped
def test_every_claim_and_figure_is_in_the_paper(results: Path, pages: list[Figure], capsys) -> None:
    rows = put_pack(results, "exact_identities", "synthetic-laptop") + put_pack(results, "placement", "mnist-laptop")
    assert main(["report", "--paper"]) == 0
    assert capsys.readouterr().out.startswith(f"{results / 'report.pdf'}: ")
    said = texts(pages)
    for row in rows:
        assert f"{row['id']}: {row['verdict']}" in said
    assert {
        "Figure errors of exact_identities, synthetic-laptop",
        "Figure placement of placement, mnist-laptop",
    } <= set(said)
    assert sum(len(page.artists) for page in pages) >= 2
    for page in pages:
        check_page(page)
    content = (results / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF") and b"CreationDate" not in content and b"/Type3" not in content
    assert content.count(b"/FontFile2") >= 2


def test_the_same_results_give_the_same_bytes(results: Path) -> None:
    put_pack(results, "placement", "mnist-laptop")
    written = []
    for _ in range(2):
        assert main(["report", "--paper", "placement"]) == 0
        written.append((results / "report.pdf").read_bytes())
    assert written[0] == written[1]


def test_lines_are_no_wider_than_they_may_be_and_lose_nothing() -> None:
    text = "A sentence of several words, antidisestablishmentarianism" + "x" * 300 + " and $x$ of γ ≤ β."
    for width in (20.0, 60.0, 200.0):
        lines = wrap(text, width, 8.0)
        assert all(text_width(line, 8.0) <= width for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("", 100, 8) == [] and wrap(" a\n b ", 100, 8) == ["a b"]


@pytest.mark.shipped
def test_long_tables_and_hostile_names_stay_on_their_pages() -> None:
    paper = Paper()
    paper.heading("$" + HOSTILE[0], 12)
    rows = [(name, "word " * k, "number") for k, name in enumerate(HOSTILE * 12)] + [("long", "word " * 3000, "")]
    paper.table(("name", "words", "n"), rows, (150, MEASURE - 230, 80), 7)
    for page in paper.pages:
        check_page(page)
    said = texts(paper.pages)
    assert sum(text.split().count("word") for text in said) == sum(range(12 * len(HOSTILE))) + 3000
    assert said.count("words") == len(paper.pages) and paper.y <= BOTTOM + 20
    assert not any(ord(letter) < 32 or letter == "\u202e" for text in said for letter in text)
    assert pdf(paper.pages, "t") == pdf(paper.pages, "t")


def test_a_figure_is_drawn_where_it_was_put_and_not_as_pixels() -> None:
    with paper_style():
        figure = Figure(figsize=(3, 2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1])
    paper = Paper()
    paper.picture(Drawing(figure, None, ""), "Figure one")
    content = pdf(paper.pages, "t")
    assert b"/Subtype /Image" not in content
    left, bottom = axes.bbox.x0, axes.bbox.y0
    assert (595 - 3 * 72) / 2 < left < (595 + 3 * 72) / 2 and 842 - 56 - 30 - 2 * 72 < bottom < 842 - 56
