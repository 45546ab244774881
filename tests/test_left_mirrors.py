"""A run's end waits for no tracker: the sweep looks after the mirrors of runs that have ended, and waits once."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from mirrored_runs import train
from test_executor import SMALL, tasks_in
from test_trackers import _is_alive, fake_wandb

from bnlab import trackers
from bnlab.config import to_dict
from bnlab.store import owning, read_status
from bnlab.sweeping import mirrors as mirrors_module
from bnlab.sweeping.local import LocalSweep, Stop
from bnlab.sweeping.mirrors import Mirrors
from bnlab.sweeping.progress import Lines
from bnlab.sweeping.tasks import Outcome, Task
from bnlab.trackers.ledger import Ledger
from bnlab.trackers.mirror import mirror
from bnlab.trackers.tracker import Tracker

WORDS = [*SMALL, "variant=bn", "lr=0.03", "steps=3", "tracker=wandb"]
# A wandb that cannot reach its service: it says which process it is in, and waits.
AWAY = "import os, pathlib, time\npathlib.Path(__file__).with_name(str(os.getpid())).touch()\ntime.sleep(999)"


@pytest.fixture
def left(tmp_path) -> list[Task]:
    """Three runs that are done."""
    tasks = tasks_in(tmp_path, [*WORDS, "seed=range(3)"])
    for task in tasks:
        train(task.directory, range(5), config=task.run.config)
    return tasks


def ledger(task: Task) -> Ledger:
    folder = trackers.folder_of("wandb", task.directory)
    folder.mkdir(exist_ok=True)
    return Ledger(folder)


def test_mirrors_that_fail_alike_cost_a_note_each_and_one_line(left, monkeypatch):
    monkeypatch.setattr(mirrors_module, "SECONDS_BETWEEN_LOOKS", 0)
    said: list[str] = []
    mirrors = Mirrors(said.append)
    for task in left:
        mirrors.add(task)
    ledger(left[0]).confirm("offline", rows=5, step=4, state="done")
    for task in left[1:]:
        ledger(task).save("no API key")
    mirrors.wait(lambda: False)
    (line,) = said
    assert line.startswith("note     tracker wandb: no API key; ") and "`bnlab sync activation_histograms`" in line
    notes = [read_status(task.directory).notes for task in left]
    assert notes[0] == () and notes[1] == notes[2] == (line.removeprefix("note     "),)
    assert [read_status(task.directory).state for task in left] == ["done"] * 3


def test_the_wait_is_bounded_and_says_for_what(left, monkeypatch):
    monkeypatch.setattr(trackers, "PATIENCE", 0.5)
    monkeypatch.setattr(trackers, "SECONDS_TO_SAY_SO", 0.5)
    monkeypatch.setattr(mirrors_module, "SECONDS_BEFORE_A_WORD", 0)
    said: list[str] = []
    mirrors = Mirrors(said.append)
    for task in left[:2]:
        mirrors.add(task)
    mirrors.wait(lambda: False)
    assert "waiting at most 0.5 s for wandb to take the rows of the last 2 runs" in said[0]
    assert "Ctrl-C leaves them to `bnlab sync activation_histograms`" in said[0]
    assert len(said) == 2 and "did not finish within 0.5 s" in said[1] and all(len(line) <= 250 for line in said)


def test_a_sweep_that_is_told_to_stop_does_not_wait(left):
    mirrors = Mirrors(lambda line: None)
    mirrors.add(left[0])
    began = time.monotonic()
    mirrors.wait(lambda: True)
    assert time.monotonic() - began < trackers.PATIENCE


def test_what_a_run_knows_of_its_mirror_is_kept_for_the_sweep(left, tmp_path, monkeypatch):
    """It was killed while the run was at work, or could not be started at all."""
    fake_wandb(tmp_path, monkeypatch, AWAY)
    config = to_dict(left[0].run.config)
    handles = trackers.start("wandb", left[0].directory, config)
    os.kill(handles[0].process.pid, signal.SIGKILL)
    handles[0].process.wait()
    trackers.leave(handles)
    monkeypatch.setattr("sys.executable", "/no/such/python")
    trackers.leave(trackers.start("wandb", left[1].directory, config))
    problems = [trackers.what_became("wandb", task.directory, 0) for task in left]
    assert problems[0] == "was killed (signal 9)" and "could not be started" in problems[1] and problems[2] is None


def test_a_mirror_follows_on_when_that_of_the_attempt_before_has_ended(left):
    folder = trackers.folder_of("wandb", left[0].directory)
    folder.mkdir()
    ended = threading.Event()

    class Sink:
        next_step = 0

        def record(self, step, values, histograms):
            ended.set()

        def close(self, state):
            closed.append(state)

    closed: list[str] = []
    tracker = Tracker(lambda watched: Sink(), lambda: "here")
    found: list[str] = []
    with owning(folder):
        following = threading.Thread(
            target=lambda: found.append(mirror(tracker, left[0].directory, folder, {}, ended)), daemon=True
        )
        following.start()
        following.join(0.3)
        assert following.is_alive() and not closed
    following.join(60)
    assert found == [""] and closed == ["done"]


class Looking(Lines):
    """Looks, at the end of each run, whether its mirror is still at work."""

    def __init__(self, tasks: list[Task], folder: Path) -> None:
        super().__init__(tasks, 1)
        self.folder, self.at_work, self.lines = folder, [], []

    def say(self, line: str) -> None:
        super().say(line)
        self.lines.append(line)

    def ended(self, outcome: Outcome) -> None:
        super().ended(outcome)
        folder = trackers.folder_of("wandb", outcome.task.directory)
        with owning(folder) as mine:
            self.at_work.append(not mine)


@pytest.mark.thorough
def test_an_outage_costs_a_sweep_one_wait_at_its_end(tmp_path, monkeypatch):
    """Each run has ended, and the next begins, while its mirror still waits for the service; none is left behind."""
    fake_wandb(tmp_path, monkeypatch, AWAY)
    tasks = tasks_in(tmp_path, [*WORDS, "seed=range(3)", "steps=300"])
    looking = Looking(tasks, tmp_path / "fake")
    outcomes = LocalSweep(tasks, 1, looking, Stop()).run()
    assert [outcome.state for outcome in outcomes] == ["done"] * 3
    assert looking.at_work[-1], "the last run's mirror was waited for"
    assert sum("tracker wandb: did not finish within 10 s" in line for line in looking.lines) == 1
    assert sum("waiting at most 10 s for wandb" in line for line in looking.lines) == 1
    for task in tasks:
        assert any("did not finish within 10 s" in note for note in read_status(task.directory).notes)
    pids = [int(file.name) for file in (tmp_path / "fake").glob("[0-9]*")]
    assert len(pids) == 3 and not any(map(_is_alive, pids))
