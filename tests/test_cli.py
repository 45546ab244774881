"""The command that lists, plans and explains: quick, without torch, with the fields that other programs read."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bnlab import __version__, paths, store
from bnlab.claim_report import setting_rank
from bnlab.cli import COMMANDS, main
from bnlab.commands.tables import minutes_text, table
from bnlab.compose import card, experiment_names
from bnlab.sweeping.plan import make_plan

CHECKOUT = Path(__file__).resolve().parents[1]


def bnlab(capsys, *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


def put_run(root: Path, planned, **status: object) -> Path:
    """A run directory as a sweep leaves it, without its measurements."""
    config = planned.config
    setting = paths.setting_dir(root, config.experiment, config.data.name, config.scale)
    directory = paths.run_dir(setting, config.variant, planned.id)
    store.create_run(directory, config, planned.id, planned.overrides)
    store.write_status(directory, store.Status(**{"step": 0, "steps": config.steps, **status}))
    return directory


def test_alone_it_prints_its_commands(capsys):
    for words in ([], ["--help"], ["help"]):
        code, out, _ = bnlab(capsys, *words)
        assert code == 0 and all(f"\n  {name} " in out for name in COMMANDS)
    assert bnlab(capsys, "--version") == (0, f"bnlab {__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(capsys, name):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0 and f"usage: bnlab {name}" in out and COMMANDS[name][1] in out


def test_list_has_every_experiment_and_setting(capsys):
    code, out, _ = bnlab(capsys, "list", "--json")
    rows = json.loads(out)
    assert code == 0 and [row["name"] for row in rows] == experiment_names()
    for row in rows:
        said = card(row["name"])
        assert list(row) == ["name", "question", "source", "claims", "settings"]
        assert row["claims"] == list(said.claims) and row["settings"].keys() == said.settings.keys()
        assert all(s.keys() == {"runs", "minutes"} and s["runs"] > 0 for s in row["settings"].values())
    text = bnlab(capsys, "list")[1]
    assert all(claim in text for row in rows for claim in row["claims"])
    assert "bnlab run activation_histograms data=mnist\n" in text


def test_list_can_be_narrowed_to_experiments(capsys):
    names = ["placement", "ics_vgg"]
    assert [row["name"] for row in json.loads(bnlab(capsys, "list", *names, names[0], "--json")[1])] == names
    text = bnlab(capsys, "list", "ics_vgg")[1]
    assert text.startswith("ics_vgg\n") and "placement" not in text
    code, _, said = bnlab(capsys, "list", "ics_vg")
    assert code == 2 and "did you mean 'ics_vgg'?" in said


def test_status_tells_the_state_of_every_run(capsys, results):
    results.mkdir()
    assert bnlab(capsys, "status")[1] == f"no runs in {results}; `bnlab list` shows what can be run\n"
    done, failed, gone = make_plan("ics_vgg", ["scale=smoke"]).runs[:3]
    put_run(results, done, state="done", step=12, seconds=1.5)
    put_run(results, failed, state="failed", attempts=2, error="ValueError: no luck")
    put_run(results, gone, state="running", step=5)
    code, out, _ = bnlab(capsys, "status", "--json")
    rows = {row["id"]: row for row in json.loads(out)}
    assert code == 0 and len(rows) == 3
    assert rows[done.id] == {
        **{"experiment": "ics_vgg", "data": "digits", "scale": "smoke", "variant": done.config.variant},
        **{"overrides": done.overrides, "seed": done.config.seed, "id": done.id, "state": "done"},
        **{"step": 12, "steps": 12, "seconds": 1.5, "attempts": 1, "error": ""},
    }
    assert rows[failed.id]["error"] == "ValueError: no luck" and rows[failed.id]["attempts"] == 2
    assert rows[gone.id]["state"] == "interrupted"  # its owner is no more
    text = bnlab(capsys, "status", "ics_vgg")[1]
    assert "ValueError: no luck" in text and "3 runs: " in text and "1 failed" in text
    assert json.loads(bnlab(capsys, "status", "activation_histograms", "--json")[1]) == []


def test_dry_run_shows_states_directories_and_the_time_left(capsys, results):
    plan = make_plan("ics_vgg", ["scale=smoke"])
    for planned, state in zip(plan.runs, ("done", "diverged", "failed", "preempted")):
        put_run(results, planned, state=state, step=6)
    code, out, _ = bnlab(capsys, "run", "ics_vgg", "scale=smoke", "--dry-run")
    lines = {line.split()[-1]: line for line in out.splitlines()}
    assert code == 0 and "8 runs: 4 new, 2 done, 1 to resume, 1 failed before" in out
    for planned, state in zip(plan.runs, ("done", "done", "failed before", "to resume", "new", "new")):
        setting = paths.setting_dir(results, "ics_vgg", "digits", "smoke")
        line = lines[str(paths.run_dir(setting, planned.config.variant, planned.id))]
        assert line.startswith(planned.config.variant) and f"  {state}  " in line
    # 4 new runs of 12 steps, a failed and an interrupted one with 6 to go, of 8 x 12 steps in the plan's time
    minutes = card("ics_vgg").setting("digits", "smoke").minutes * (4 * 12 + 6 + 6) / (8 * 12)
    assert minutes_text(minutes) in out
    assert "nothing left to do" in bnlab(capsys, "run", "ics_vgg", "scale=smoke", "--dry-run", "variant=plain")[1]


def test_dry_run_creates_nothing_and_names_missing_data(capsys, results, tmp_path, monkeypatch):
    monkeypatch.setenv("BNLAB_DATA", str(tmp_path / "none"))
    code, out, _ = bnlab(capsys, "run", "ics_vgg", "data=cifar10", "--dry-run")
    assert code == 0 and "not yet: cifar10" in out and "bnlab data fetch cifar10" in out
    assert not results.exists() and not (tmp_path / "none").exists()


def test_words_may_stand_in_any_order(capsys):
    first = bnlab(capsys, "run", "ics_vgg", "scale=smoke", "seed=1", "--dry-run", "--jobs", "1")
    assert first[0] == 0
    assert bnlab(capsys, "run", "--jobs", "1", "ics_vgg", "seed=1", "--dry-run", "scale=smoke") == first


def test_ten_thousand_runs_are_planned_without_torch(no_torch):
    done = no_torch(["run", "ics_vgg", "lr=0.1,0.2,0.3,0.4,0.5", "seed=range(500)", "--dry-run"])
    assert done.returncode == 0, done.stderr
    assert "\n10000 runs: 10000 new" in done.stdout


def test_of_too_many_runs_the_two_ends_are_shown(capsys, monkeypatch):
    monkeypatch.setattr("bnlab.commands.dry_run.MOST_ROWS", 29)
    words = ["run", "ics_vgg", "scale=smoke", "variant=bn", "lr=0.7"]
    code, out, _ = bnlab(capsys, *words, "seed=range(30)", "--dry-run")
    assert code == 0 and out.count("  new  ") == 25 and "first 20 and the last 5 of 30 runs" in out
    seeds = [int(line.split()[-4]) for line in out.splitlines() if "  new  " in line]
    assert seeds == [*range(20), *range(25, 30)] and "\n30 runs: 30 new" in out
    whole = bnlab(capsys, *words, "seed=range(29)", "--dry-run")[1]
    assert whole.count("  new  ") == 29 and "shown are" not in whole


def processor_seconds(*words: str) -> float:
    """Of the quickest of three processes that run python with these words."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], cwd=CHECKOUT, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(3))


@pytest.fixture(scope="module")
def slowness() -> float:
    """How much slower this machine is now than one that imports Hydra in 0.2 s; at least 1."""
    return max(1.0, processor_seconds("-c", "import hydra.core.override_parser.overrides_parser") / 0.2)


@pytest.mark.parametrize(
    ("words", "limit"),
    [(["--help"], 0.6), (["list"], 0.6), (["status"], 0.6), (["run", "ics_vgg", "--dry-run"], 1.0)],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_quick_commands_are_quick(words, limit, slowness, results):
    """In processor time, and in that of a quick machine: a busy or a slow one must not decide this."""
    results.mkdir()
    assert processor_seconds("-m", "bnlab", *words) < limit * slowness


def test_a_reader_that_leaves_early_is_no_error():
    code = f"{sys.executable} -m bnlab list | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", code], cwd=CHECKOUT, capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == "0" and done.stderr == ""


def test_doctor_finds_what_this_machine_has(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BNLAB_DATA", str(tmp_path / "none"))
    code, out, _ = bnlab(capsys, "doctor")
    assert code == 0 and "bnlab can train here" in out
    assert all(word in out for word in ("torch ", "cores", "data set digits", "results folder"))
    mnist = next(line for line in out.splitlines() if line.startswith("data set mnist"))
    assert mnist.endswith("bnlab data fetch mnist")


def test_doctor_says_that_torch_is_missing(no_torch):
    done = no_torch(["doctor"])
    assert done.returncode == 6 and "torch does not load" in done.stdout and "pip install" in done.stdout


def test_data_list_and_verify(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BNLAB_DATA", str(tmp_path / "none"))
    code, out, _ = bnlab(capsys, "data", "list")
    assert code == 0 and "bnlab data fetch cifar10" in out
    assert "digits is intact" in bnlab(capsys, "data", "verify", "digits")[1]


def test_the_best_setting_is_the_nearest_to_the_paper():
    order = [("digits", "smoke"), ("digits", "laptop"), ("mnist", "laptop"), ("digits", "paper"), ("mnist", "paper")]
    ranks = [setting_rank({"data": data, "scale": scale}) for data, scale in order]
    assert ranks == sorted(ranks) and len(set(ranks)) == len(ranks)


def test_tables_align_and_leave_empty_columns_out():
    assert table(("a", "none", "n"), [("x", "", 5), ("long", "", 10)], right=("n",)).splitlines() == [
        "a      n",
        "x      5",
        "long  10",
    ]
    assert table(("a", "b"), []) == "a  b"
