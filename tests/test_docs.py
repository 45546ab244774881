"""The pages under docs/: their links exist, their measured parts are the stored ones, their commands run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bnlab.cli import main
from bnlab.sweeping.plan import make_plan

ROOT = Path(__file__).resolve().parents[1]
SWEEPS = (ROOT / "docs" / "sweeps.md").read_text()
LINES = [
    line for block in re.findall(r"^```\n(.*?)^```$", SWEEPS, re.DOTALL | re.MULTILINE) for line in block.splitlines()
]
# `nohup bnlab ... > log &` and `tmux new 'bnlab ...'` hold a command as well.
COMMANDS = [found.group().rstrip() for line in LINES if (found := re.search(r"\bbnlab [^#>]*", line.rstrip("'")))]
TRAINING = [command for command in COMMANDS if command.startswith("bnlab run")]
READING = [command for command in COMMANDS if command not in TRAINING]


# What the pages that show results tell to type; here nothing is stored that they could show.
SHOWING = [
    line.split("#")[0].strip()
    for page in ("dashboard", "report")
    for line in (ROOT / "docs" / f"{page}.md").read_text().splitlines()
    if line.startswith("bnlab ")
]
DISTRIBUTED = re.findall(r"bnlab run (.*)", (ROOT / "docs" / "distributed.md").read_text())


def _bnlab(words: list[str], results: Path) -> subprocess.CompletedProcess:
    kept = [word for word in words if word not in ("--results", "/shared/results")]
    command = [sys.executable, "-m", "bnlab", *kept, "--results", str(results)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_measured_parts_are_what_is_stored():
    checked = subprocess.run([sys.executable, "scripts/update_readme.py", "--check"], cwd=ROOT, capture_output=True)
    assert checked.returncode == 0, checked.stdout
    assert "`bnlab status`" in re.search(r"scaling: begin -->(.*?)<!-- scaling: end", SWEEPS, re.DOTALL).group(1)


def test_links_exist():
    for page in (ROOT / "docs").glob("*.md"):
        targets = re.findall(r"\]\((?!http)([^)#]+)", page.read_text())
        assert [target for target in targets if not (page.parent / target).exists()] == [], page


@pytest.mark.parametrize("command", TRAINING)
def test_a_sweep_is_planned_as_it_is_written(command, tmp_path):
    """Every launcher reads its words before it looks for a cluster."""
    words = [word for word in shlex.split(command)[1:] if word != "--dry-run"]
    done = _bnlab([*words, "--dry-run"], tmp_path)
    assert done.returncode == 0 and " new" in done.stdout, done.stderr


def test_the_commands_that_read_run_in_their_order(tmp_path):
    """On the results that are shipped: `unpack` first, since the page packs on a server what it unpacks at home."""
    source = Path("results/ics_vgg/cifar10-laptop/pack")
    shutil.copytree(ROOT / source, tmp_path / source.relative_to("results"))
    assert {shlex.split(command)[1] for command in READING} == {"status", "pack", "unpack", "claims"}
    for command in sorted(READING, key=lambda command: "unpack" not in command):
        done = _bnlab(shlex.split(command)[1:], tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"


@pytest.mark.parametrize("command", SHOWING)
def test_a_command_that_shows_results_takes_its_words(command, capsys, results):
    words = shlex.split(command)[1:]
    code, said = main(words), capsys.readouterr().err
    assert (code, f"{results}: no such folder" in said, "`bnlab run" in said) == (4, True, True), said


def test_what_shows_results_is_told_in_every_form():
    told = " ".join(SHOWING)
    assert all(word in told for word in ("bnlab dashboard", "bnlab report ics_vgg", "--output", "--paper"))


@pytest.mark.parametrize("words", DISTRIBUTED)
def test_a_run_of_several_processes_is_planned_as_it_is_written(words):
    """Only planned: the cores it asks for are not those of every machine."""
    experiment, *rest = shlex.split(words)
    for planned in make_plan(experiment, rest).runs:
        assert planned.config.replicas > 1 and planned.config.norm.statistics == "synchronised"


def test_exit_codes_are_those_of_the_program():
    from bnlab import errors

    known = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", SWEEPS, re.MULTILINE)}
    assert known and known | {0, 1} == documented
