"""Writes the measured parts of README.md, results/README.md and docs/sweeps.md from what is stored.

With --check it says whether they agree instead.

The verdicts come from `results/*/*/claims.json`, throughput and scaling from the tables in `benchmarks/`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from bnlab import paths
from bnlab.claim_report import best_rows, effect_text, interval_text, n_text, published_text, verdict_text
from bnlab.claims import VERDICTS
from bnlab.commands.choosing import totals
from bnlab.commands.words import parse_selection, targets
from bnlab.compose import card, experiment_names
from bnlab.literature import ARTICLES, PAPERS, SOURCES, family, source_id

ROOT = Path(__file__).resolve().parents[1]
CLAIMS = 92  # of the articles
HEADLINES = ("activation_histograms", "ics_vgg")  # the experiments whose figures README shows
FOR_TESTS, DEMONSTRATION = "smoke", "digits"  # a scale and a data set that README does not show


def judged(results: Path) -> list[dict]:
    """Every claim's row at its best setting, in the order of the ids; without smoke tests and demonstrations."""
    rows = []
    for target in targets(results, parse_selection([])):
        stored = paths.claims_json(target.directory)
        if stored.is_file() and target.scale != FOR_TESTS and target.data != DEMONSTRATION:
            rows += json.loads(stored.read_text())
    return sorted(best_rows(rows), key=lambda row: row["id"])


def headlines(rows: list[dict]) -> str:
    """How many claims of each source got which verdict, and the claims of the experiments that README shows."""
    shown = [row for row in rows if row["experiment"] in HEADLINES]
    return "\n".join([*_counts(rows), "", *_measured(shown, "the article says", "results/")])


def everything(rows: list[dict]) -> str:
    """All verdicts: the articles' claims, then the statements of papers."""
    lines = []
    for title, kind, says in (("Claims of the articles", ARTICLES, "the article says"),
                              ("Statements of the papers", PAPERS, "the paper says")):  # fmt: skip
        of_kind = [row for row in rows if family(row["id"]) == kind]
        lines += [f"## {title}", "", f"{totals(of_kind)}.", "", *_table(of_kind, says)]
    return "\n".join(lines).rstrip()


def sources() -> str:
    """Every source with the ids of its claims, those of experiments whose results are not stored too."""
    ids = sorted({id for name in experiment_names() for id in card(name).claims})
    lines = ["| claims | source | is |", "|---|---|---|"]
    for name, source in SOURCES.items():
        of = [int(id.partition("-")[2]) for id in ids if source_id(id) == name]
        named = f"[{source.name}]({source.address})" if source.address else source.name
        lines.append(f"| {_spans(name, of)} | {named} | {source.about} |" if of else "")
    return "\n".join(filter(None, lines))


def _spans(name: str, numbers: list[int]) -> str:
    """`P2-01 to P2-04, P2-11` of sorted numbers."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    pairs = [dict.fromkeys((f"{name}-{first:02d}", f"{name}-{last:02d}")) for first, last in zip(starts, ends)]
    return ", ".join(" to ".join(pair) for pair in pairs)


def _counts(rows: list[dict]) -> Iterator[str]:
    yield f"| source | claims | {' | '.join(VERDICTS)} |"
    yield f"|{'---|' * (2 + len(VERDICTS))}"
    for kind in (ARTICLES, PAPERS):
        of_kind = [row for row in rows if family(row["id"]) == kind]
        for name, source in SOURCES.items():
            if of := [row for row in of_kind if source_id(row["id"]) == name]:
                yield _count(f"{name}: {source.name}", of)
        if kind == ARTICLES:
            yield _count(f"**the articles' {CLAIMS}**", of_kind)


def _count(shown: str, rows: list[dict]) -> str:
    words = [row["verdict"] for row in rows]
    return f"| {shown} | {len(words)} | {' | '.join(str(words.count(word)) for word in VERDICTS)} |"


def _table(rows: list[dict], says: str) -> Iterator[str]:
    """What seeds and intervals decide as a table, then the others as lists; ends with an empty line."""
    measured = [row for row in rows if _is_measured(row)]
    if measured:
        yield from _measured(measured, says)
        yield ""
    exact = [row for row in rows if row not in measured]
    if exact:
        yield from _exact(exact)
        yield ""


def _measured(rows: list[dict], says: str, folder: str = "") -> Iterator[str]:
    yield f"| claim | {says} | verdict | effect, 95 % interval | n | published | data, scale |"
    yield f"|{'---|' * 7}"
    yield from (_line(row, folder) for row in rows)


def _is_measured(row: dict) -> bool:
    """Whether seeds and intervals decide the claim; else it is exactly true or false, or a matter of reading."""
    return any(part["interval"] is not None for part in [row, *row["parts"]])


def _exact(rows: list[dict]) -> Iterator[str]:
    yield "Sentences that no chance decides, tried on random cases in float64 or read in their source:"
    yield ""
    for verdict in dict.fromkeys(row["verdict"] for row in rows):
        links = ", ".join(f"[{row['id']}]({_page(row)})" for row in rows if row["verdict"] == verdict)
        yield f"- **{verdict}**: {links}"


def _page(row: dict, folder: str = "") -> str:
    page = f"{folder}{row['experiment']}/{row['data']}-{row['scale']}/claims.md"
    return f"{page}#{row['id'].lower()}-{row['verdict']}"


def _line(row: dict, folder: str) -> str:
    parts = row["parts"]
    if parts:
        words = [part["verdict"] for part in parts]
        effect = ", ".join(f"{words.count(w)} of {len(words)} parts {w}" for w in dict.fromkeys(words))
    else:
        effect = f"{effect_text(row)} {interval_text(row)}"
    cells = (f"[{row['id']}]({_page(row, folder)})", row["says"], _bold(row), effect, n_text(row))
    return f"| {' | '.join(_cell(c) for c in (*cells, published_text(row), row['data'] + '-' + row['scale']))} |"


def _bold(row: dict) -> str:
    """The verdict in bold, with its mark behind it."""
    return verdict_text(row).replace(row["verdict"], f"**{row['verdict']}**")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def measured(name: str) -> str:
    return (ROOT / "benchmarks" / f"{name}.md").read_text().strip()


def pages() -> dict[Path, dict[str, str]]:
    """Every page with the text of its measured parts, by their names."""
    rows = judged(ROOT / "results")
    return {
        ROOT / "README.md": {"verdicts": headlines(rows), "sources": sources(), "throughput": measured("throughput")},
        ROOT / "results" / "README.md": {"verdicts": everything(rows), "sources": sources()},
        ROOT / "docs" / "sweeps.md": {"scaling": measured("scaling")},
    }


def filled(page: Path, blocks: dict[str, str]) -> str:
    """The page with the text between `<!-- NAME: begin -->` and `<!-- NAME: end -->` replaced by each block."""
    content = page.read_text()
    for name, text in blocks.items():
        pattern = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
        if not pattern.search(content):
            raise SystemExit(f"{page.name}: the marks of {name} are gone; put them back")
        begin, end = pattern.search(content).groups()
        content = pattern.sub(lambda _, new=f"{begin}{text}\n{end}": new, content)
    return content


def main() -> int:
    contents = {page: filled(page, blocks) for page, blocks in pages().items()}
    stale = [page for page, content in contents.items() if page.read_text() != content]
    if "--check" in sys.argv[1:]:
        names = " and ".join(str(page.relative_to(ROOT)) for page in stale)
        print(
            f"stale: {names}; type `python scripts/update_readme.py`"
            if stale
            else "all pages agree with what is stored"
        )
        return int(bool(stale))
    for page in stale:
        page.write_text(contents[page])
    return 0


if __name__ == "__main__":
    sys.exit(main())
