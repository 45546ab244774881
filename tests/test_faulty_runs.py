"""Runs that die, raise or hang in the middle of training: each costs only itself, and is tried again."""

from __future__ import annotations

import os
from pathlib import Path

import faulty_training
import pytest
from faulty_training import FAULT

from bnlab import paths, store
from bnlab.sweeping import client
from bnlab.sweeping.local import LocalSweep, listening
from bnlab.sweeping.plan import make_plan
from bnlab.sweeping.progress import Lines
from bnlab.sweeping.tasks import Outcome, Patience, Task

pytestmark = pytest.mark.thorough

WORDS = ["scale=smoke", "variant=bn", "model=mlp", "model.activation=sigmoid", "lr=0.03", "steps=20"]
WORDS += ["probe.names=[curves]", "probe.curves.full=never", "checkpoint=10it"]
HANG = 3 / 60  # minutes; a run reports its step every second

# What goes wrong, by seed, and what is said of it.
ENDS = {
    0: ("is_killed", "its process was ended by SIGKILL, as happens when memory runs out"),
    1: ("crashes", "its process was ended by SIGSEGV"),
    2: ("raises", "ZeroDivisionError: no luck"),
    3: ("fills_memory", "memory ran out"),
    4: ("fills_python_memory", "memory ran out"),
    5: ("exits", "SystemExit: 7"),
    6: ("sleeps", f"no progress for 0.05 min at step {FAULT}; where it hung is in its run.log"),
    7: ("is_stopped", f"no progress for 0.05 min at step {FAULT}; it had to be killed"),
}
FAULTS = {seed: fault for seed, (fault, _) in ENDS.items()}


def tasks_in(root: Path, seeds: list[int]) -> list[Task]:
    plan = make_plan("activation_histograms", [*WORDS, f"seed={','.join(map(str, seeds))}"])
    setting = paths.setting_dir(root, plan.experiment, plan.data, plan.scale)
    return [Task(run, paths.run_dir(setting, run.config.variant, run.id)) for run in plan.runs]


def sweep(tasks: list[Task], jobs: int, patience: Patience) -> dict[int, Outcome]:
    """Every outcome by its seed."""
    with listening() as stop, Lines(tasks, jobs) as lines:
        outcomes = LocalSweep(tasks, jobs, lines, stop, patience).run()
    assert len(outcomes) == len(tasks)
    return {outcome.task.run.config.seed: outcome for outcome in outcomes}


def attempts(task: Task) -> int:
    return store.read_status(task.directory).attempts


def test_each_way_to_die_costs_only_that_run(tmp_path, monkeypatch, capsys):
    """Two sound runs are at work among them, in the same slots; nothing is tried again here."""
    monkeypatch.setattr(client, "_START", faulty_training.start(FAULTS, tries=9))
    tasks = tasks_in(tmp_path, [*ENDS, 8, 9])
    outcomes = sweep(tasks, 2, Patience(retries=0, hang_minutes=HANG))
    said = capsys.readouterr().err
    for seed, (_, error) in ENDS.items():
        assert outcomes[seed].state == "failed" and outcomes[seed].error.startswith(error), outcomes[seed]
        assert outcomes[seed].code == 1 and said.count(f"seed={seed}: {error}") == 1
        assert attempts(tasks[seed]) == 1
    assert [outcomes[seed].state for seed in (8, 9)] == ["done", "done"]
    assert "in sleeps" in paths.run_log(tasks[6].directory).read_text()  # the stack, down to the line that hung
    assert "Segmentation fault" in paths.run_log(tasks[1].directory).read_text()


def test_the_next_try_goes_on_from_the_checkpoint_to_the_same_weights(tmp_path, monkeypatch, capsys):
    chosen = [0, 2, 3, 6]
    undisturbed = tasks_in(tmp_path / "undisturbed", chosen)
    assert all(o.state == "done" for o in sweep(undisturbed, 2, Patience(retries=0)).values())
    capsys.readouterr()
    monkeypatch.setattr(client, "_START", faulty_training.start(FAULTS, tries=2))
    tasks = tasks_in(tmp_path / "faulty", chosen)
    outcomes = sweep(tasks, 2, Patience(retries=2, hang_minutes=HANG))
    said = capsys.readouterr().err
    for task, twin in zip(tasks, undisturbed):
        seed = task.run.config.seed
        assert outcomes[seed].state == "done", outcomes[seed]
        status, wanted = store.read_status(task.directory), store.read_status(twin.directory)
        assert status.attempts == 3 and set(status.notes) == {"resumed at step 10"}
        assert status.weights_sha256 == wanted.weights_sha256
        lines = [line for line in said.splitlines() if line.startswith("FAILED ") and f"seed={seed}:" in line]
        assert [line.rpartition("; ")[2] for line in lines] == ["tried again (1 of 2)", "tried again (2 of 2)"]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_run_that_keeps_failing_is_given_up(tmp_path, monkeypatch, capsys, retries):
    monkeypatch.setattr(client, "_START", faulty_training.start({0: "raises"}, tries=9))
    tasks = tasks_in(tmp_path, [0, 1])
    outcomes = sweep(tasks, 1, Patience(retries=retries))
    assert (outcomes[0].state, outcomes[1].state) == ("failed", "done") and attempts(tasks[0]) == 1 + retries
    said = capsys.readouterr().err
    assert said.count("FAILED ") == 1 + retries and said.count("tried again") == retries


def test_a_run_that_hangs_while_it_starts_is_ended_too(tmp_path):
    """Its configuration is a pipe that nobody writes to: the process blocks in reading it."""
    (task,) = tasks_in(tmp_path, [0])
    task.directory.mkdir(parents=True)
    os.mkfifo(paths.config_json(task.directory))
    outcome = sweep([task], 1, Patience(retries=0, hang_minutes=HANG))[0]
    assert outcome.error == "no progress for 0.05 min before its first step; where it hung is in its run.log"
    assert "in create_run" in paths.run_log(task.directory).read_text()
