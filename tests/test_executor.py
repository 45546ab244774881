"""Sweeps in processes: what dies costs only itself, what stops goes on, what two people start is done once."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bnlab import paths, store
from bnlab.errors import BadInput
from bnlab.sweeping import estimate as estimate_module
from bnlab.sweeping import local
from bnlab.sweeping.estimate import Estimate, kind_of, spell
from bnlab.sweeping.local import LocalSweep, Stop, choose_jobs, listening
from bnlab.sweeping.plan import make_plan
from bnlab.sweeping.progress import Lines, failure_line
from bnlab.sweeping.remote import one_line
from bnlab.sweeping.tasks import Outcome, Patience, Task

CHECKOUT = Path(__file__).resolve().parents[1]
SMALL = ["scale=smoke", "model=mlp", "model.activation=sigmoid", "probe.names=[curves]"]
# Long enough to be met at work: some seconds on a quiet machine.
LONG = [*SMALL, "variant=bn,plain", "lr=0.03", "seed=0", "steps=2500", "probe.curves.full=never"]


def tasks_in(root: Path, words: list[str]) -> list[Task]:
    plan = make_plan("activation_histograms", words)
    setting = paths.setting_dir(root, plan.experiment, plan.data, plan.scale)
    return [Task(run, paths.run_dir(setting, run.config.variant, run.id)) for run in plan.runs]


def start(words: list[str], results: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "bnlab", "run", "activation_histograms", *words, "--results", str(results)]
    return subprocess.Popen(command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(what: Callable[[], object], seconds: float = 300.0) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"nothing after {seconds} s")


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue  # it ended while we looked
        if fields and int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def states(tasks: list[Task]) -> list[str]:
    found = [store.read_status(task.directory) for task in tasks]
    return [status.state if status else "" for status in found]


class Killing(Lines):
    """Tells the first run to stop, kills it when it trains again, then kills the server under the second."""

    def __init__(self, tasks: list[Task]) -> None:
        super().__init__(tasks, 2)
        self.first = tasks[0]
        self.killed: list[str] = []
        self.stopped = 0

    def look(self, running: list[Task], elsewhere: int) -> None:
        super().look(running, elsewhere)
        if not running or not self.training(running[0]):
            return
        (server,) = children(os.getpid())
        process = next(iter(children(server)), 0)
        at_first = running[0].directory == self.first.directory
        if at_first and not self.stopped and process:
            self.stopped = process
            os.kill(process, signal.SIGTERM)
        elif at_first and not self.killed and process not in (0, self.stopped):
            os.kill(process, signal.SIGKILL)
            self.killed.append("run")
        elif not at_first and self.killed == ["run"]:
            os.kill(server, signal.SIGKILL)
            self.killed.append("server")

    @staticmethod
    def training(task: Task) -> bool:
        status = store.read_status(task.directory)
        return status is not None and status.state == "running"


def test_what_dies_costs_only_itself(tmp_path, capsys):
    """One run is stopped, goes on and is killed; the server dies under the next; a third cannot start."""
    long = tasks_in(tmp_path, LONG)
    short = tasks_in(tmp_path, [*SMALL, "variant=plain", "lr=0.003", "steps=3"])
    blocked = short[0].directory / "config.json"
    blocked.parent.mkdir(parents=True)
    blocked.write_text('{"config": {"lr": 7.0}}')  # another configuration under its address
    killing = Killing([*long, *short])
    sweep = LocalSweep([*long, *short], 1, killing, Stop(), Patience(retries=0))
    outcomes = {outcome.task.directory: outcome for outcome in sweep.run()}
    assert killing.killed == ["run", "server"]
    victim, survivor = outcomes[long[0].directory], outcomes[long[1].directory]
    assert victim.state == "failed" and "SIGKILL" in victim.error and states([long[0]]) == ["interrupted"]
    assert store.read_status(long[0].directory).attempts == 2  # it went on after it alone was told to stop
    assert survivor.state == "done"
    status = store.read_status(long[1].directory)
    assert status.attempts == 2 and any("resumed at step" in note for note in status.notes)
    assert outcomes[short[0].directory].code == 5 and outcomes[short[1].directory].state == "done"
    said = capsys.readouterr().err
    assert said.count("FAILED ") == 2 and "ended by SIGKILL" in said and "move that folder away" in said
    wait_for(lambda: not children(os.getpid()))


def test_a_stopped_sweep_goes_on_where_it_was_and_two_share_it(tmp_path):
    tasks = tasks_in(tmp_path, LONG)
    load = max(1.0, os.getloadavg()[0] / local.cores())
    for number, code, state in ((signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 75, "preempted")):
        command = start(LONG, tmp_path)
        wait_for(lambda: "running" in states(tasks))
        helpers = children(command.pid)
        began = time.monotonic()
        command.send_signal(number)
        _, said = command.communicate(timeout=300)
        assert number is not signal.SIGINT or time.monotonic() - began < 2.0 * load
        assert command.returncode == code, said
        (line,) = [line for line in said.splitlines() if line.startswith("bnlab: ")]
        assert "continue with: bnlab run activation_histograms scale=smoke " in line
        assert "Traceback" not in said and state in states(tasks)
        assert not paths.run_log(tasks[0].directory).exists()
        wait_for(lambda helpers=helpers: not any(children(helper) for helper in helpers))
    both = [start(LONG, tmp_path) for _ in range(2)]
    assert [command.wait(timeout=500) for command in both] == [0, 0], [command.stderr.read() for command in both]
    assert states(tasks) == ["done", "done"]
    for task in tasks:
        steps = [row["step"] for row in store.read_lines(paths.metrics_jsonl(task.directory))]
        assert len(steps) == len(set(steps))
        assert store.read_status(task.directory).attempts <= 3  # never once more than it was stopped
    for command in both:
        command.stdout.close()
        command.stderr.close()


def test_two_sweeps_started_at_once_make_each_run_once(tmp_path):
    words = [*SMALL, "variant=bn,plain", "lr=0.03", "seed=range(4)", "steps=40"]
    tasks = tasks_in(tmp_path, words)
    both = [start(words, tmp_path) for _ in range(2)]
    ends = [(command, *command.communicate(timeout=500)) for command in both]
    for command, told, said in ends:
        assert command.returncode == 0 and "FAILED" not in said, said
        assert "8 runs done; 0 failed" in told or "all 8 runs are done" in told
    assert len(tasks) == 8 and states(tasks) == ["done"] * 8
    assert [store.read_status(task.directory).attempts for task in tasks] == [1] * 8


def test_a_sweep_that_is_killed_leaves_no_process_behind(tmp_path):
    command = start([*LONG, "steps=100000"], tmp_path)
    tasks = tasks_in(tmp_path, [*LONG, "steps=100000"])
    wait_for(lambda: "running" in states(tasks))
    (server,) = children(command.pid)
    runs = children(server)
    command.kill()
    command.communicate()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (server, *runs)))
    assert "preempted" in states(tasks)  # they saved their state


def test_a_forked_run_has_the_bits_of_a_plain_process(tmp_path, isolated):
    words = [*SMALL, "variant=bn", "lr=0.03", "seed=0"]
    (task,) = tasks_in(tmp_path / "forked", words)
    (outcome,) = LocalSweep([task], 1, Lines([task], 1), Stop()).run()
    assert outcome.finished, outcome.error
    plain = tmp_path / "plain" / task.run.id
    code = (
        "from pathlib import Path; from bnlab.running import run_one; from bnlab.sweeping.plan import make_plan\n"
        f"(run,) = make_plan('activation_histograms', {words!r}).runs\n"
        f"run_one(run.config, Path({str(plain)!r}), {{}})"
    )
    done = isolated(code)
    assert done.returncode == 0, done.stderr
    forked = store.read_status(task.directory).weights_sha256
    assert forked and forked == store.read_status(plain).weights_sha256
    assert not paths.run_log(task.directory).exists()  # nothing was printed, so no log is kept


@pytest.mark.skipif(local.cores() < 2, reason="needs two cores")
def test_two_threads_in_a_forked_run_do_not_hang(tmp_path):
    (task,) = tasks_in(tmp_path, [*SMALL, "variant=bn", "lr=0.03", "seed=0", "threads=2", "steps=3"])
    with listening() as stop:
        (outcome,) = LocalSweep([task], 1, Lines([task], 1), stop).run()
    assert outcome.state == "done", outcome.error


def test_jobs_and_threads_stay_within_the_cores(monkeypatch):
    monkeypatch.setattr(local, "cores", lambda: 4)
    assert [choose_jobs(None, threads) for threads in (1, 2, 3, 4)] == [4, 2, 1, 1]
    assert choose_jobs(None, 1, on_gpu=True) == 1 and choose_jobs(3, 1, on_gpu=True) == 3 and choose_jobs(2, 2) == 2
    with pytest.raises(BadInput, match="--jobs 3 x threads=2 needs 6 cores, this machine lends 4.*give --jobs 2"):
        choose_jobs(3, 2)
    with pytest.raises(BadInput, match="give --jobs 1 threads=4"):
        choose_jobs(None, 8)
    with pytest.raises(BadInput, match="at least 1"):
        choose_jobs(0, 1)


def test_the_estimate_knows_what_each_kind_of_run_costs(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("bnlab.sweeping.estimate.time.monotonic", lambda: clock[0])
    tasks = tasks_in(tmp_path, ["scale=smoke", "variant=bn", "seed=0,1", "steps=100", "lr=0.02,0.03"])
    mlp = [task for task in tasks if task.run.config.model.name == "mlp" and task.run.config.batch_size == 100][:3]
    conv = [task for task in tasks if task.run.config.model.name == "convnet"][:2]
    estimate = Estimate([*mlp, *conv], 1)
    assert estimate.seconds_left() is None
    estimate.begin(mlp[0])
    clock[0] += 10
    assert estimate.end(mlp[0]) == 10 and estimate.seconds_left() == pytest.approx(40)  # all cost the same yet
    estimate.begin(conv[0])
    clock[0] += 30
    store.create_run(conv[0].directory, conv[0].run.config, conv[0].run.id, {})
    store.write_status(conv[0].directory, store.Status("running", 50, 100))
    with store.owning(conv[0].directory):
        estimate.look([conv[0]])
    # half of a conv net took 30 s: as much is left of it, twice that for the other, 10 s for each of two dense nets
    assert estimate.parts() == 0.5 and estimate.seconds_left() == pytest.approx(30 + 60 + 20)
    estimate.forget(conv[0])
    assert estimate.parts() == 0 and estimate.seconds_left() == pytest.approx(3 * 10)


def test_what_a_run_that_ends_costs_the_estimate_does_not_grow_with_the_runs_left(tmp_path, monkeypatch):
    """The time that is left is said at every end: a sweep of 10,000 runs cannot look at all the others each time."""
    looked = []
    monkeypatch.setattr(estimate_module, "kind_of", lambda config: looked.append(config) or kind_of(config))
    for count in (50, 200):
        tasks = tasks_in(tmp_path, [*SMALL, "variant=bn", f"seed=range({count})"])
        estimate = Estimate(tasks, 2)
        estimate.begin(tasks[0])
        estimate.end(tasks[0])
        looked.clear()
        for task in tasks[1:21]:
            estimate.begin(task)
            assert estimate.end(task) >= 0 and estimate.seconds_left() is not None
        assert 0 < len(looked) <= 20 * 10


def test_words_for_times_and_failures(tmp_path):
    assert [spell(s) for s in (4.23, 59, 185, 7800)] == ["4.2 s", "59 s", "3 min 05 s", "2 h 10 min"]
    task = tasks_in(tmp_path, [*SMALL, "variant=bn", "lr=0.03", "seed=1"])[0]
    line = failure_line(Outcome(task, "failed", "ValueError: no luck", 1))
    assert "activation_histograms bn " in line and "seed=1: ValueError: no luck" in line
    assert len(failure_line(Outcome(task, "failed", "x\n" * 999 + "end", 1))) <= 240


def test_a_report_fits_into_the_pipe_in_one_piece():
    """Children share a pipe; longer writes than PIPE_BUF may be torn apart by those of others."""
    report = {"number": 10**6, "state": "failed", "error": one_line(ValueError("\U0001f4a5" * 5000)), "code": 1}
    assert len(json.dumps(report).encode()) < select.PIPE_BUF


def test_an_executor_only_needs_what_json_can_say(tmp_path):
    """Workers get a configuration, never a function: the same task could travel to another machine."""
    from bnlab.config import from_dict, to_dict

    for task in tasks_in(tmp_path, ["scale=smoke"]):
        assert from_dict(json.loads(json.dumps(to_dict(task.run.config)))) == task.run.config
        assert json.loads(json.dumps(task.run.overrides)) == task.run.overrides
