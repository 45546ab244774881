"""Reading many runs: beside damaged ones, while others are being written, and what the benchmark makes of numbers."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_store import PLAN, _finish, _planned, _same, setting  # noqa: F401 (a fixture)

from bnlab import paths, store
from bnlab.cli import main

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
import scaling  # noqa: E402

DAMAGES = {
    "empty folder": lambda run: None,
    "only a configuration": lambda run: paths.config_json(run).write_text('{"overrides": 5}'),
    "half a status": lambda run: paths.status_json(run).write_text('{"state": "do'),
    "empty status": lambda run: paths.status_json(run).write_text(""),
    "bytes": lambda run: paths.status_json(run).write_bytes(b"\xff\x00\xfe"),
    "a list": lambda run: paths.status_json(run).write_text("[1]"),
    "nested": lambda run: paths.status_json(run).write_text("[" * 100_000),
    "words for numbers": lambda run: paths.status_json(run).write_text(
        '{"state": "done", "step": 1, "steps": 1, "seconds": "long", "error": 3}'
    ),
    "a folder for a status": lambda run: paths.status_json(run).mkdir(),
    "a loop": lambda run: paths.status_json(run).symlink_to(paths.status_json(run)),
    "foreign files": lambda run: (run / "notes.txt").write_text("mine"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_shown_and_hides_nothing(setting, tmp_path, capsys, damage):  # noqa: F811
    for planned in PLAN[:2]:
        _finish(setting, planned)
    run = paths.run_dir(setting, "plain", "0123abcd-s7")
    run.mkdir()
    DAMAGES[damage](run)
    (run.parent / "a file").write_text("in the way")
    (run.parent / "gone").symlink_to(tmp_path / "nowhere")
    assert main(["status", "--results", str(tmp_path)]) == 0
    assert "3 runs: 2 done, 1 damaged" in capsys.readouterr().out
    assert main(["status", "--json", "--results", str(tmp_path)]) == 0
    states = {row["id"]: row["state"] for row in json.loads(capsys.readouterr().out)}
    assert states == {**{planned.id: "done" for planned in PLAN[:2]}, run.name: "damaged"}
    assert store.load_runs(setting, PLAN).n == 2


def test_a_linked_run_is_a_run(setting, tmp_path):  # noqa: F811
    _finish(setting, PLAN[0])
    (paths.run_dir(setting, "plain", "linked-s3")).symlink_to(paths.run_dir(setting, "plain", PLAN[0].id))
    assert [(row.status.state, row.seed) for row in store.all_runs(tmp_path)] == [("done", 0), ("done", 3)]


def test_a_run_that_has_not_made_a_step_is_running(setting, tmp_path):  # noqa: F811
    run = paths.run_dir(setting, "plain", PLAN[0].id)
    run.mkdir(parents=True)
    with store.owning(run):
        assert [row.status.state for row in store.all_runs(tmp_path)] == ["running"]
    assert [row.status.state for row in store.all_runs(tmp_path)] == ["damaged"]


def test_a_run_that_is_begun_again_is_left_out(setting):  # noqa: F811
    """With --rerun its files go before its status does."""
    for planned in PLAN:
        _finish(setting, planned)
    run = paths.run_dir(setting, "bn", PLAN[3].id)
    paths.metrics_parquet(run).unlink()
    with store.owning(run):
        assert store.load_runs(setting, PLAN).n == len(PLAN) - 1


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from test_store import _finish, _planned
for seed in range(int(sys.argv[2])):
    _finish(Path(sys.argv[1]), _planned("bn", seed))
"""


def test_readers_see_whole_runs_while_others_are_committed(setting, tmp_path):  # noqa: F811
    """Every look finds at least the runs of the look before, each of them whole, and never an error."""
    count = 40
    plan = [_planned("bn", seed) for seed in range(count)]
    _finish(setting, plan[0])
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(setting), str(count)], cwd=ROOT)
    looks, seen = [], 0
    try:
        while writer.poll() is None or not looks:
            rows = store.all_runs(tmp_path)
            assert {row.status.state for row in rows} <= {"done", "damaged"}  # no process owns what this writer writes
            assert sum(row.status.state == "damaged" for row in rows) <= 1
            runs = store.load_runs(setting, plan)
            assert runs.n >= seen and (runs.metrics.groupby("run", observed=True).size() == 3).all()
            seen = runs.n
            looks.append(seen)
    finally:
        writer.kill()
        writer.wait()
    assert writer.returncode == 0 and store.load_runs(setting, plan).n == count
    assert len(set(looks)) > 1  # readers did look while runs were being committed


def test_rows_in_another_order_are_put_in_the_plans(setting):  # noqa: F811
    for planned in PLAN:
        _finish(setting, planned)
    store.write_pack(setting, PLAN[::-1])
    _same(store.load_runs(setting, PLAN), store.load_runs(setting, PLAN, "pack"))


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0])
def test_growth_is_the_exponent_of_what_is_above_the_start(exponent):
    sizes = (100, 1_000, 10_000)
    values = [0.5 + 1e-6 * (size**exponent - 100**exponent) for size in sizes]
    found = scaling.growth(sizes, values)
    slow_twin = math.log10((values[2] - values[0]) / (values[1] - values[0]))
    assert found == pytest.approx(slow_twin) and found == pytest.approx(exponent, abs=0.05)
    law = 0.5 + 1e-6 * 100_000**exponent
    assert scaling.extrapolated(sizes, values, 100_000, found) == pytest.approx(law, rel=0.15)


def test_what_does_not_grow_is_not_extrapolated():
    assert math.isnan(scaling.growth((100, 1_000, 10_000), (1.0, 1.0, 1.0)))
    assert scaling.extrapolated((100, 1_000, 10_000), (1.0, 1.0, 1.0), 100_000, math.nan) == 1.0


@pytest.mark.thorough
def test_the_benchmark_measures_every_task(tmp_path):
    out = tmp_path / "table.md"
    command = [sys.executable, "benchmarks/scaling.py", "--sizes", "20", "40", "--repeats", "1", "--write", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    lines = out.read_text().splitlines()
    assert lines[0].startswith("cpu ") and out.read_text() == done.stdout
    assert sum(line.startswith("| ") for line in lines) == 1 + len(scaling.TASKS)
    assert not any("nan s" in line for line in lines)
