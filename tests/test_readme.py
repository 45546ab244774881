"""README's numbers are the stored ones, its pictures exist, and its commands run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
COMMANDS = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.startswith("bnlab ")]


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


def test_every_experiment_is_introduced():
    from bnlab.compose import experiment_names

    introduced = set(re.findall(r"^\| `([a-z_]+)` \|", README, re.MULTILINE))
    assert set(experiment_names()) <= introduced
