"""From runs to figures and verdicts by the command itself: reproduce, status, claims, figures, pack, unpack."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bnlab import paths, store
from bnlab.cli import main
from bnlab.commands.reading import JSON_KEYS
from bnlab.commands.running import _say_how_to_go_on
from bnlab.compose import card
from bnlab.experiment import load

CHECKOUT = Path(__file__).resolve().parents[1]
NAME = "activation_histograms"
WORDS = ["scale=smoke", "model=mlp", "model.activation=sigmoid", "lr=0.03"]  # plain and bn with two seeds
NOTHING = ("bands_relu", "histograms_relu", "maxima_vs_batch_size")  # the figures for which these runs are none


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A results folder with part of a plan, and what the command said that made it."""
    root = tmp_path_factory.mktemp("reproduced") / "results"
    command = [sys.executable, "-m", "bnlab", "reproduce", NAME, *WORDS, "--results", str(root)]
    return root, subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)


def setting(root: Path) -> Path:
    return paths.setting_dir(root, NAME, "digits", "smoke")


def test_reproduce_trains_draws_and_judges(finished):
    root, done = finished
    assert done.returncode == 4, done.stderr  # no ReLU net and no conv net is there: their figures and claims lack runs
    assert done.stdout.startswith(f"{NAME} digits-smoke: 4 of 4 runs to do; ")
    assert "4 runs done; 0 failed" in done.stdout and str(setting(root)) in done.stdout.splitlines()[-1]
    assert done.stderr.count("started ") == done.stderr.count("\ndone ") == 4 and "[4/4]" in done.stderr
    for claim in card(NAME).claims:
        assert f"\n{claim} " in done.stdout
    for figure in load(NAME).figures:
        told = f"{figure}: nothing to draw" in done.stderr
        assert told == (figure in NOTHING)
        for kind in ("pdf", "png", "svg", "csv"):
            path = paths.figures_dir(setting(root)) / f"{figure}.{kind}"
            assert not path.exists() if told else path.stat().st_size > 0
    rows = json.loads(paths.claims_json(setting(root)).read_text())
    assert [row["id"] for row in rows] == [claim.id for claim in load(NAME).claims]
    assert paths.claims_markdown(setting(root)).read_text().startswith("# ")


def test_what_is_done_is_not_done_again(finished, capsys):
    root, _ = finished
    before = {path: path.stat().st_mtime_ns for path in paths.runs_dir(setting(root)).rglob("*")}
    assert main(["run", NAME, *WORDS, "--results", str(root)]) == 0
    assert "all 4 runs are done" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in paths.runs_dir(setting(root)).rglob("*")} == before


def test_claims_have_the_fields_that_others_read(finished, capsys):
    root, _ = finished
    assert main(["claims", "--json", "--results", str(root)]) == 4  # the claims about ReLU have no run
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == list(card(NAME).claims)
    for row in rows:
        assert tuple(row) == JSON_KEYS
        assert row["kind"] in "ESDX" and row["verdict"] in ("supported", "refuted", "mixed", "undecided")
        assert row["interval"] is None or len(row["interval"]) == 2
        assert row["published"] is None or row["published"].keys() == {"value", "text", "provenance"}
        assert (row["experiment"], row["data"], row["scale"], row["from"]) == (NAME, "digits", "smoke", "runs")


def test_a_pack_gives_the_same_bytes_and_a_sweep_goes_on_from_it(finished, no_torch, capsys, tmp_path):
    """As in a fresh clone: only the pack is there, and torch is not."""
    root, _ = finished
    clone = tmp_path / "clone"
    assert main(["pack", "--results", str(root)]) == 0
    assert "4 of 26 planned runs" in capsys.readouterr().out
    paths.setting_dir(clone, NAME, "digits", "smoke").mkdir(parents=True)
    paths.pack_dir(setting(root)).rename(paths.pack_dir(setting(clone)))

    for words in (["figures"], ["claims", "--from", "pack"]):
        done = no_torch([*words, "--results", str(clone)])
        assert done.returncode == 4, done.stderr
    drawn = {path.name: path.read_bytes() for path in paths.figures_dir(setting(clone)).iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in paths.figures_dir(setting(root)).iterdir()}
    told = json.loads(paths.claims_json(setting(clone)).read_text())
    trained = json.loads(paths.claims_json(setting(root)).read_text())
    assert [row | {"from": "runs"} for row in told] == trained and {row["from"] for row in told} == {"pack"}

    assert main(["claims", "--from", "runs", "--results", str(clone)]) == 4
    assert main(["unpack", NAME, "--results", str(clone)]) == 0
    assert main(["run", NAME, *WORDS, "--results", str(clone)]) == 0
    assert "all 4 runs are done" in capsys.readouterr().out
    assert main(["pack", "data=digits", "--results", str(clone)]) == 0


def test_figures_that_are_there_are_not_written_again(finished):
    folder = paths.figures_dir(setting(finished[0]))
    before = {path: path.stat().st_ino for path in folder.iterdir()}
    main(["figures", NAME, "--results", str(finished[0])])
    assert before and {path: path.stat().st_ino for path in folder.iterdir()} == before


def test_a_setting_without_planned_runs_is_passed_over_in_packing(finished, capsys, tmp_path):
    root = tmp_path / "results"
    shutil.copytree(paths.runs_dir(setting(finished[0])), paths.runs_dir(setting(root)))
    stray = paths.runs_dir(paths.setting_dir(root, NAME, "digits", "laptop")) / "bn"
    shutil.copytree(paths.runs_dir(setting(root)) / "bn", stray)  # runs that the plan of this setting has not
    assert main(["pack", "--results", str(root)]) == 0
    assert paths.pack_index(paths.pack_dir(setting(root))).exists()
    out = capsys.readouterr().out
    assert "4 of 26 planned runs" in out and "digits-laptop" not in out
    assert main(["pack", "scale=laptop", "--results", str(root)]) == 4
    shutil.rmtree(next((paths.runs_dir(setting(root)) / "bn").iterdir()))
    assert main(["pack", "--results", str(root)]) == 4  # the pack would lose a run
    assert "holds 1 runs that are not here" in capsys.readouterr().err


def test_a_run_that_fails_is_named_and_the_others_are_done(tmp_path, isolated):
    """One address holds another configuration; exit code 3 says that the sweep ended with a failure."""
    root = tmp_path / "results"
    words = ["scale=smoke", "model=mlp", "model.activation=sigmoid", "lr=0.03", "variant=plain", "steps=2"]
    dry = isolated(_command(["run", NAME, *words, "--dry-run", "--results", str(root)]))
    directories = [Path(line.split()[-1]) for line in dry.stdout.splitlines() if "  new  " in line]
    assert len(directories) == 2
    directories[0].mkdir(parents=True)
    paths.config_json(directories[0]).write_text('{"config": {"lr": 7.0}}')
    done = isolated(_command(["run", NAME, *words, "--results", str(root)]))
    assert done.returncode == 3
    assert "1 run done; 1 failed" in done.stdout and "\n1 failed:\n" in done.stderr
    assert done.stderr.count("FAILED ") == 2 and "move that folder away" in done.stderr
    assert store.finished(directories[1]) and not store.finished(directories[0])
    # nothing but that failure is left: then it is no matter of single runs, and its own code is given
    again = isolated(_command(["run", NAME, *words, "--results", str(root)]))
    assert again.returncode == 5 and again.stderr.splitlines()[-1].startswith("bnlab: ")


def _command(words: list[str]) -> str:
    return f"sys.argv = ['bnlab', *{words!r}]\nrunpy.run_module('bnlab', run_name='__main__', alter_sys=True)"


@pytest.mark.parametrize(
    ("words", "part"), [([], "1 of 4 runs done; continue with"), (["--rerun"], "3 remain; make all")]
)
def test_a_stopped_command_says_how_to_go_on(capsys, words, part):
    given = ["run", NAME, "lr=0.03", *words]
    _say_how_to_go_on("SIGINT", 1, 4, argparse.Namespace(words_given=given, rerun=bool(words)))
    line = capsys.readouterr().err
    assert part in line and line.endswith(f": bnlab {' '.join(given)}\n")
