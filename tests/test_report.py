"""The report: one file with everything inside, the same bytes every time, and no name in it that could execute."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from page_folders import HOSTILE, put_figure, put_run, put_verdict, rising

from bnlab import paths
from bnlab.cli import main
from bnlab.pages.report import report_html
from bnlab.pages.selection import reduce
from bnlab.pages.site import Site

SHIPPED = Path(__file__).resolve().parents[1] / "results"
MOST_BYTES = 5_000_000


class Parsed(HTMLParser):
    """Elements with their attributes, and the text of every script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.elements.append((tag, dict(attributes)))
        self.texts.append("")
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data

    def having(self, tag: str) -> list[tuple[dict, str]]:
        found = zip(self.elements, self.texts)
        return [(attributes, text) for (name, attributes), text in found if name == tag]

    def block(self, name: str):
        (text,) = [text for attributes, text in self.having("script") if attributes.get("id") == name]
        return json.loads(text)


@pytest.fixture(scope="module")
def shipped() -> str:
    return written(SHIPPED)


def written(root: Path) -> str:
    site = Site(root, dated=False)
    reduce(site, [(p.parent.name, p.name) for p in root.glob("*/*") if p.is_dir()], "auto", ())
    return report_html(site)


def test_the_shipped_results_fit_into_five_megabytes(shipped: str) -> None:
    assert len(shipped.encode()) < MOST_BYTES


def test_everything_that_is_shipped_is_in_the_report(shipped: str) -> None:
    parsed = Parsed(shipped)
    documents = parsed.block("documents")
    stored = [(path.parent, row) for path in SHIPPED.glob("*/*/claims.json") for row in json.loads(path.read_text())]
    said = {(row["experiment"], row["setting"], row["id"]): row for row in documents["claims"]["rows"]}
    for folder, row in stored:
        shown = said[folder.parent.name, folder.name, row["id"]]
        assert {key: shown[key] for key in row} == row
    files = {tuple(path.with_suffix("").parts[-4:]): path for path in SHIPPED.glob("*/*/figures/*.svg")}
    figures = {(*one["names"][:2], "figures", one["names"][2]): one for one in parsed.block("figures")}
    assert set(figures) == set(files) and files
    for key, path in files.items():
        assert gzip.decompress(base64.b64decode(figures[key]["content"])) == path.read_bytes()
    pages = {(one["name"], one["setting"]): one for one in documents["experiments"]}
    assert {key[:2] for key in files} <= set(pages)
    for page in pages.values():
        charts = {chart["metric"] for chart in page.get("charts", ())}
        assert set(page.get("chosen", ())) <= charts == set(page.get("metrics", ()))


def test_the_same_results_give_the_same_bytes(shipped: str, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(SHIPPED, copy, copy_function=shutil.copyfile)
    assert written(copy) == shipped


def test_nothing_is_loaded_from_anywhere(shipped: str) -> None:
    parsed = Parsed(shipped)
    for tag, attributes in parsed.elements:
        assert not {"src", "srcset", "action", "style", "onload", "onclick", "onerror"} & set(attributes), tag
        assert attributes.get("href", "#").startswith(("#", "data:,")), attributes
    (policy,) = [a["content"] for _, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy"]
    said = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    executed = [text for attributes, text in parsed.having("script") if "type" not in attributes]
    assert said["default-src"] == "'none'" and "connect-src" not in said
    assert said["script-src"].split() == [sha(text) for text in executed]
    assert said["style-src"].split() == [sha(text) for _, text in parsed.having("style")]


def sha(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_hostile_names_stay_text(results: Path) -> None:
    calm = [tag for tag, _ in Parsed(written_with(results, ("bn",))).elements]
    shutil.rmtree(results)
    text = written_with(results, [name for name in HOSTILE if "/" not in name and name != ".."])
    parsed = Parsed(text)
    assert [tag for tag, _ in parsed.elements] == calm
    documents = parsed.block("documents")
    assert {row[2] for row in documents["runs"]["rows"]} >= {HOSTILE[0], HOSTILE[3]}
    assert not re.search(r"<img src=x|<svg onload", text)


def written_with(results: Path, names) -> str:
    for i, name in enumerate(names):
        put_run(results, variant=name, run_id=f"0badcafe-s{i}", records=rising(), error=name)
        put_figure(results, "ics_vgg", "digits-laptop", name)
    put_verdict(results, "ics_vgg", "digits-laptop", says="".join(HOSTILE), note=names[0], figure=names[0])
    return written(results)


def test_the_command_writes_and_says_where(results: Path, capsys) -> None:
    put_run(results, records=rising())
    put_verdict(results, "ics_vgg", "digits-laptop")
    put_figure(results, "ics_vgg", "digits-laptop")
    assert main(["report", "ics_vgg"]) == 0
    place = results / "report.html"
    assert capsys.readouterr().out.startswith(f"{place}: 0.")
    parsed = Parsed(place.read_text())
    assert [one["name"] for one in parsed.block("documents")["overview"]["experiments"]] == ["ics_vgg"]
    before = place.read_bytes()
    assert main(["report", "ics_vgg"]) == 0 and place.read_bytes() == before


def test_from_the_pack_everything_is_computed_again(results: Path, capsys) -> None:
    setting = results / "placement" / "mnist-laptop"
    shutil.copytree(SHIPPED / "placement" / "mnist-laptop" / "pack", setting / "pack")
    assert main(["report", "placement", "--from", "runs"]) == 4
    assert "pack" in capsys.readouterr().err
    put_verdict(results, "placement", "mnist-laptop", says="An old one.")
    assert main(["report", "placement", "--from", "pack"]) == 0
    parsed = Parsed((results / "report.html").read_text())
    stored = json.loads(paths.claims_json(SHIPPED / "placement" / "mnist-laptop").read_text())
    assert [row["verdict"] for row in parsed.block("documents")["claims"]["rows"]] == [row["verdict"] for row in stored]
    (figure,) = parsed.block("figures")
    drawn = gzip.decompress(base64.b64decode(figure["content"]))
    assert drawn == (SHIPPED / "placement" / "mnist-laptop" / "figures" / "placement.svg").read_bytes()


@pytest.mark.parametrize(
    "words, code, says",
    [
        ([], 4, "type `bnlab run "),
        (["ics_vgg"], 4, "no finished run of ics_vgg; type `bnlab run ics_vgg"),
        (["no_such"], 2, "no_such"),
        (["--output", "nowhere/deep/report.html"], 2, "there is no folder nowhere/deep"),
        (["--output", "."], 2, "is a folder"),
        (["--output", "/sys/report.html"], 6, "/sys"),
    ],
)
def test_errors_are_one_line(results: Path, capsys, words: list[str], code: int, says: str) -> None:
    results.mkdir()
    if "--output" in words:
        put_run(results, records=rising())
        put_verdict(results, "ics_vgg", "digits-laptop")
        put_figure(results, "ics_vgg", "digits-laptop")
    assert main(["report", *words]) == code
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1 and len(said) <= 241
