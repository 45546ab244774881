"""README's numbers are the stored ones, its pictures exist, and its commands run."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
ALL = (ROOT / "results" / "README.md").read_text()
LAST = {0: 27, 1: 15, 2: 28, 3: 22}  # claims of each article
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
INLINE = re.findall(r"`(bnlab [^`]+)`", re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE))
PLACEHOLDER = re.compile(r"[A-Z]{2,}|[\[|]|\.\.\.")
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.startswith("bnlab ")]
COMMANDS += [command for command in dict.fromkeys(INLINE) if not PLACEHOLDER.search(command) and " " in command[6:]]


def _run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_measured_parts_are_what_is_stored():
    checked = _run("scripts/update_readme.py", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert README.count("\n| [S") == 13  # a row for each claim that the two experiments decide


@pytest.mark.parametrize("page", ["README.md", "results/README.md"])
def test_pictures_and_links_exist(page):
    targets = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / page).read_text())
    assert targets
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []


def test_the_front_page_shows_two_figures():
    assert README.count(".png)") >= 2


def test_every_claim_of_the_articles_has_a_row():
    shown = re.findall(r"\[(S[0-3]-\d\d)\]", (ROOT / "results" / "README.md").read_text())
    assert len(shown) == len(set(shown)) == 92


def test_verdicts_that_holms_adjustment_undoes_are_marked():
    """Of every setting shown: a verdict stays where a part of each word that it needs has an adjusted p below 0.05."""
    marked = set(re.findall(r"^\| \[([SP]\d-\d\d)\].*?\*\* † \|", ALL, re.MULTILINE))
    shown = {}
    for id, page in re.findall(r"^\| \[([SP]\d-\d\d)\]\((.*?)\.md#", ALL, re.MULTILINE):
        rows = json.loads((ROOT / "results" / f"{page}.json").read_text())
        shown[id] = next(row for row in rows if row["id"] == id)
    assert marked == {id for id, row in shown.items() if _undone(row)}
    assert marked and marked < set(shown)


def _undone(row: dict) -> bool:
    parts = row["parts"] or [row]
    firm = {part["verdict"] for part in parts if part["holm"] is None or part["holm"] < 0.05}
    shaken = [part for part in parts if part["holm"] is not None and part["holm"] >= 0.05]
    decided = row["verdict"] != "undecided"
    return decided and bool(shaken) and not (row["verdict"] == "mixed" and {"supported", "refuted"} <= firm)


def test_every_source_is_named_with_its_claims():
    for page in (README, ALL):
        table = page.split("<!-- sources: begin -->")[1].split("<!-- sources: end -->")[0]
        assert [line[2:16] for line in table.splitlines()[3:7]] == [f"S{i}-01 to S{i}-{n}" for i, n in LAST.items()]
        assert all(year in table for year in ("Szegedy 2015", "Madry 2018", "Ioffe 2017"))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command, tmp_path):
    words = shlex.split(command)[1:]
    if words[0] in ("run", "reproduce") and "--dry-run" not in words:
        words.append("--dry-run")
    done = _run("-m", "bnlab", *words, "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_make_targets_exist():
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))  # as code; quotations have the verb
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"reproduce", "test"} <= targets <= made


def test_every_command_is_documented():
    from bnlab.cli import COMMANDS as known

    documented = set(re.findall(r"^\| `bnlab ([a-z]+)", README, re.MULTILINE))
    assert documented == set(known)


@pytest.mark.parametrize("row", re.findall(r"^\| `bnlab (.*?)` \|", README, re.MULTILINE))
def test_a_documented_command_takes_its_options(row, capsys):
    from bnlab.cli import main

    with pytest.raises(SystemExit):
        main([row.split()[0].partition("\\")[0], "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z-]+", row)) <= known


def test_every_experiment_is_introduced():
    from bnlab.compose import experiment_names

    introduced = set(re.findall(r"^\| `([a-z_]+)` \|", README, re.MULTILINE))
    assert set(experiment_names()) <= introduced
