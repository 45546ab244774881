"""launcher=slurm on a real SLURM, and through submitit's stand-in: whatever ends a job, its run goes on."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bnlab import paths, store
from bnlab.cli import main
from bnlab.config import LauncherConfig
from bnlab.errors import BadInput
from bnlab.sweeping import scheduler, slurm
from bnlab.sweeping.local import LocalSweep, Stop, cores
from bnlab.sweeping.plan import make_plan
from bnlab.sweeping.progress import Lines
from bnlab.sweeping.retries import Retry
from bnlab.sweeping.slurm import SlurmSweep
from bnlab.sweeping.tasks import USUAL, Outcome, Task

CHECKOUT = Path(__file__).resolve().parents[1]
EXPERIMENT = "activation_histograms"
SMALL = ["scale=smoke", "model=mlp", "model.activation=sigmoid", "probe.names=[curves]", "lr=0.03"]
# Long enough to be met at work on a quiet machine, also while the sweep waits four seconds for another run's signal.
LONG = [*SMALL, "probe.curves.full=never", "steps=12000", "checkpoint=200it"]

needs_submitit = pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs the extra slurm")


@pytest.fixture(scope="module")
def cluster() -> None:
    """A SLURM as `.ci/slurm` starts it; whatever a test left in its queue is taken off."""
    if importlib.util.find_spec("submitit") is None or shutil.which("sbatch") is None:
        pytest.skip("needs the extra slurm, and a SLURM such as .ci/slurm starts")
    answer = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=60)
    if "ClusterName             = bnlab" not in answer.stdout:
        pytest.skip("the SLURM here is not the one of .ci/slurm, or does not answer")
    yield
    subprocess.run(["scancel", "--me"], check=False, timeout=60)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "SECONDS_BETWEEN_QUEUES", 0.5)
    monkeypatch.setattr(slurm, "SECONDS_BETWEEN_LOOKS", 0.2)
    monkeypatch.setattr(slurm, "SECONDS_OF_DOUBT", 3.0)


def tasks_in(root: Path, words: list[str]) -> list[Task]:
    plan = make_plan(EXPERIMENT, words)
    setting = paths.setting_dir(root, plan.experiment, plan.data, plan.scale)
    return [Task(run, paths.run_dir(setting, run.config.variant, run.id)) for run in plan.runs]


def undisturbed(root: Path, words: list[str]) -> dict[str, tuple]:
    tasks = tasks_in(root, words)
    LocalSweep(tasks, min(2, cores()), Lines(tasks, 2), Stop()).run()
    return {task.run.id: content(task) for task in tasks}


def content(task: Task) -> tuple:
    """What a finished run is: its weights and its rows, bit by bit."""
    status = store.read_status(task.directory)
    assert status.state == "done", status
    return status.weights_sha256, paths.metrics_parquet(task.directory).read_bytes()


def start(words: list[str], results: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "bnlab", "run", EXPERIMENT, *words, "launcher=slurm", "--results", str(results)]
    return subprocess.Popen(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(what: Callable[[], object], seconds: float = 240.0) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing after {seconds} s")


def call(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def training(task: Task, attempts: int = 1) -> bool:
    status = store.read_status(task.directory)
    return status is not None and status.state == "running" and status.step > 0 and status.attempts == attempts


def process_of(job: str) -> int:
    """The Python process of a job, on this machine."""
    array, _, number = job.partition("_")
    wanted = {f"SLURM_ARRAY_JOB_ID={array}".encode(), f"SLURM_ARRAY_TASK_ID={number}".encode()}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"submitit.core._submit" in words and b"srun" not in words and wanted <= environment(entry):
                return int(entry.name)
    raise AssertionError(f"job {job} has no process")


def environment(process: Path) -> set[bytes]:
    return set((process / "environ").read_bytes().split(b"\0"))


class Ending(Lines):
    """Ends the job of each run once, in a way of its own, when the run is at work and has a checkpoint."""

    WAYS = {
        "put back": lambda job: call("scontrol", "requeue", job),
        # scancel finds the job gone and would signal it for a minute more, in its next life too
        "near its limit": lambda job: subprocess.run(["timeout", "4", "scancel", "--signal=USR2", job], timeout=60),
        "killed": lambda job: os.kill(process_of(job), signal.SIGKILL),
        "cancelled": lambda job: call("scancel", job),
    }

    def __init__(self, tasks: list[Task]) -> None:
        super().__init__(tasks, 2)
        self.ways = dict(zip((task.directory for task in tasks), self.WAYS))
        self.ended_jobs: list[str] = []
        self.retries: list[tuple[Outcome, Retry]] = []

    def retried(self, outcome: Outcome, retry: Retry) -> None:
        super().retried(outcome, retry)
        self.retries.append((outcome, retry))

    def look(self, running: list[Task], elsewhere: int) -> None:
        super().look(running, elsewhere)
        for task in running:
            if task.directory in self.ways and training(task) and paths.checkpoint(task.directory).exists():
                way = self.ways.pop(task.directory)
                self.WAYS[way](self.job_of(task))
                self.ended_jobs.append(way)

    @staticmethod
    def job_of(task: Task) -> str:
        """`ARRAY_NUMBER` of the job whose pickle names the run."""
        folder = paths.jobs_dir(task.directory.parents[2])
        (found,) = [p for p in folder.glob("*_submitted.pkl") if str(task.directory).encode() in p.read_bytes()]
        return found.name.removesuffix("_submitted.pkl")


@pytest.mark.slurm
def test_a_run_goes_on_to_the_same_bits_whatever_ends_its_job(cluster, eager, tmp_path, capsys):
    words = [*LONG, "variant=bn,plain", "seed=0,1"]
    tasks = tasks_in(tmp_path / "slurm", words)
    ending = Ending(tasks)
    outcomes = SlurmSweep(tasks, 0, ending, Stop(), USUAL, LauncherConfig("slurm")).run()
    assert sorted(ending.ended_jobs) == sorted(Ending.WAYS)
    assert [outcome.state for outcome in outcomes] == ["done"] * 4, capsys.readouterr().err
    expected = undisturbed(tmp_path / "local", words)
    for task in tasks:
        status = store.read_status(task.directory)
        assert status.attempts == 2 and any("resumed at step" in note for note in status.notes)
        assert content(task) == expected[task.run.id]
    # only the one that died without saving is a failure; SLURM or the sweep put the others back
    ((failure, retry),) = ending.retries
    assert failure.task.directory == tasks[2].directory and "without a word after step" in failure.error
    assert (retry.number, retry.limit) == (1, USUAL.retries)
    arrays = {path.name.split("_")[0] for path in paths.jobs_dir(tasks[0].directory.parents[2]).glob("*.pkl")}
    assert len(arrays) == 3  # four runs, then two that SLURM did not put back


@pytest.mark.slurm
def test_more_runs_than_an_array_holds_and_one_that_fails_alone(cluster, tmp_path, capsys):
    words = [*SMALL, "variant=bn,plain", "seed=0,1,2", "steps=20"]
    tasks = tasks_in(tmp_path, words)
    blocked = tasks[1].directory / "config.json"
    blocked.parent.mkdir(parents=True)
    blocked.write_text('{"config": {"lr": 7.0}}')  # another configuration under its address
    command = ["run", EXPERIMENT, *words, "launcher=slurm", "--jobs", "2", "--results", str(tmp_path)]
    assert main(command) == 3
    said = capsys.readouterr()
    assert said.err.count("submitted ") == 2 and "submitted 5 runs" in said.err and "Traceback" not in said.err
    assert said.err.count("FAILED ") == 2 and "move that folder away" in said.err  # at once, and at the end
    assert "5 runs done; 1 failed" in said.out
    folder = paths.jobs_dir(tasks[0].directory.parents[2])
    in_order = sorted(folder.glob("[0-9]*_submission.sh"), key=lambda path: int(path.name.split("_")[0]))
    scripts = [path.read_text() for path in in_order]
    assert "--array=0-4%2" in scripts[0] and "--dependency=afterany:" in scripts[1]
    expected = undisturbed(tmp_path / "local", words)
    assert all(content(task) == expected[task.run.id] for task in tasks if task is not tasks[1])


@pytest.mark.slurm
def test_preempted_then_stopped_by_ctrl_c_then_continued_by_two_at_once(cluster, tmp_path):
    words = [*LONG, "variant=bn", "seed=0"]
    (task,) = tasks_in(tmp_path, words)
    command = start(words, tmp_path)
    wait_for(lambda: training(task))
    call("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true")
    wait_for(lambda: training(task, attempts=2))
    load = max(1.0, os.getloadavg()[0] / cores())
    began = time.monotonic()
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert command.returncode == 130 and time.monotonic() - began < 2.0 * load, said
    assert "jobs cancelled: 1;" in said and "continue with: bnlab run" in said and "Traceback" not in said
    wait_for(lambda: store.read_status(task.directory).state == "preempted")
    wait_for(lambda: not call("squeue", "--me", "--noheader"))
    both = [start(words, tmp_path) for _ in range(2)]
    ends = [command.communicate(timeout=300) for command in both]
    assert [command.returncode for command in both] == [0, 0], ends
    assert store.read_status(task.directory).attempts == 3
    assert content(task) == undisturbed(tmp_path / "local", words)[task.run.id]


@pytest.mark.slurm
def test_what_slurm_refuses_is_one_line_with_its_own_reason(cluster, tmp_path, capsys):
    words = [EXPERIMENT, *SMALL, "variant=bn", "seed=0", "--results", str(tmp_path), "launcher=slurm"]
    assert main(["run", *words, "launcher.partition=none"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "sbatch refused the jobs: Invalid partition name specified" in line and "launcher." in line


@pytest.mark.slurm
def test_jobs_that_no_node_can_take_are_said_to_wait(cluster, tmp_path):
    said = []

    class Watching(Lines):
        def say(self, line: str) -> None:
            said.append(line)
            if "SLURM says" in line:
                stop.note(signal.SIGINT, None)

    tasks, stop = tasks_in(tmp_path, [*SMALL, "variant=bn", "seed=0,1"]), Stop()
    limit = threading.Timer(120, stop.note, (signal.SIGINT, None))  # a silent wait is a failure, not a hang
    limit.start()
    assert SlurmSweep(tasks, 0, Watching(tasks, 0), stop, USUAL, LauncherConfig("slurm", cpus=64)).run() == []
    limit.cancel()
    (line,) = [line for line in said if "SLURM says" in line]
    assert "PartitionConfig" in line and "change the launcher.* words" in line


@pytest.mark.slurm
@needs_submitit
def test_the_stand_in_keeps_to_the_number_of_jobs(eager, tmp_path, capsys):
    tasks = tasks_in(tmp_path / "slurm", [*SMALL, "variant=bn", "seed=0,1", "steps=20"])
    at_work = []
    watcher = Lines(tasks, 1)
    watcher.look = lambda running, elsewhere: at_work.append(sum(training(task) for task in tasks))
    sweep = SlurmSweep(tasks, 1, watcher, Stop(), USUAL, LauncherConfig("slurm", engine="local"))
    assert [outcome.state for outcome in sweep.run()] == ["done", "done"], capsys.readouterr().err
    assert max(at_work) <= 1 and capsys.readouterr().err.count("submitted 1 run, job ") == 2
    expected = undisturbed(tmp_path / "local", [*SMALL, "variant=bn", "seed=0,1", "steps=20"])
    assert [content(task) for task in tasks] == [expected[task.run.id] for task in tasks]


@pytest.mark.slurm
@needs_submitit
def test_a_machine_without_slurm_is_told_of_the_stand_in(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["run", EXPERIMENT, *SMALL, "launcher=slurm", "--results", str(tmp_path)]) == 6
    assert "no sbatch on this machine" in capsys.readouterr().err


def test_without_submitit_the_command_says_what_to_install(isolated, tmp_path):
    words = ["bnlab", "run", EXPERIMENT, *SMALL, "launcher=slurm", "--results", str(tmp_path)]
    code = f"sys.argv = {words!r}\nrunpy.run_module('bnlab', run_name='__main__', alter_sys=True)"
    done = isolated(code, block=("submitit",))
    assert done.returncode == 6 and done.stderr.count("\n") == 1 and "pip install 'bnlab[slurm]'" in done.stderr


def test_slurm_lends_whole_processors():
    with pytest.raises(BadInput, match="launcher.gpus=0.5: .*whole number"):
        LauncherConfig("slurm", gpus=0.5)
    assert LauncherConfig("ray", gpus=0.5).gpus == 0.5
