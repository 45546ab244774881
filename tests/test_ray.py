"""Sweeps on a Ray cluster of two nodes on loopback: one dies in the middle, one refuses, one is too small."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from bnlab import paths, store
from bnlab.config import LauncherConfig, RunConfig
from bnlab.sweeping import elsewhere
from bnlab.sweeping.elsewhere import Elsewhere
from bnlab.sweeping.local import LocalSweep, Stop, cores
from bnlab.sweeping.plan import make_plan
from bnlab.sweeping.progress import Lines
from bnlab.sweeping.ray_cluster import Need, Versions
from bnlab.sweeping.tasks import Task

CHECKOUT = Path(__file__).resolve().parents[1]
SMALL = ["scale=smoke", "model=mlp", "model.activation=sigmoid", "probe.names=[curves]", "probe.curves.full=never"]
LONG = [*SMALL, "variant=bn,plain", "lr=0.03", "seed=0,1", "steps=1500", "checkpoint=100it"]
TOKEN = "f" * 64
# Ray gives its own processes 15 s to start, which a machine with more to do misses now and then.
STARTS = 4
HEAD, OTHER = "127.0.0.2", "127.0.0.3"
PORT = 26379


def wait_for(what: Callable[[], object], seconds: float = 120.0) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing after {seconds} s")


def tasks_of(root: Path, words: list[str]) -> list[Task]:
    plan = make_plan("activation_histograms", words)
    setting = paths.setting_dir(root, plan.experiment, plan.data, plan.scale)
    return [Task(run, paths.run_dir(setting, run.config.variant, run.id)) for run in plan.runs]


def states(tasks: list[Task]) -> list[str]:
    found = [store.read_status(task.directory) for task in tasks]
    return [status.state if status else "" for status in found]


def processes_with(variable: str) -> list[int]:
    """Every process that inherited this environment variable, `NAME=value`."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and variable.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


@dataclass
class Cluster:
    """Nodes on loopback; everything a node starts carries a mark by which it is found and killed."""

    folder: Path
    environment: dict[str, str]
    nodes: list[str] = field(default_factory=list)
    address: str = f"{HEAD}:{PORT}"

    def add(self, ip: str, cpus: float) -> None:
        role = (
            [f"--address={self.address}"] if self.nodes else ["--head", f"--port={PORT}", "--include-dashboard=false"]
        )
        role += [] if self.nodes else [f"--temp-dir={self.folder}"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *role, f"--node-ip-address={ip}"]
        command += [f"--num-cpus={cpus:g}", "--num-gpus=0", "--object-store-memory=80000000", "--disable-usage-stats"]
        for _ in range(STARTS):
            mark = f"BNLAB_TEST_NODE={self.folder}-{ip}"
            environment = self.environment | dict([mark.split("=", 1)])
            started = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
            if started.returncode == 0:
                self.nodes.append(ip)
                return
            self.kill(ip)
        raise AssertionError(started.stdout + started.stderr)

    def kill(self, ip: str) -> list[int]:
        """SIGKILL for all of a node but the runs themselves, as on a node that is cut off; those must not interfere."""
        victims = processes_with(f"BNLAB_TEST_NODE={self.folder}-{ip}")
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return victims

    def run(self, words: list[str], results: Path, **environment: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "bnlab", "run", "activation_histograms", *words, "launcher=ray"]
        command += [f"launcher.address={self.address}", "--results", str(results)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": CHECKOUT}
        return subprocess.Popen(command, env=self.environment | environment, **options)


@contextlib.contextmanager
def clusters(folder: Path) -> Iterator[Cluster]:
    pytest.importorskip("ray")
    tokens = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "PYTHONPATH": str(CHECKOUT)}
    cluster = Cluster(folder, {**os.environ, **tokens})
    try:
        yield cluster
    finally:
        for ip in (OTHER, HEAD):
            cluster.kill(ip)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """A head with room for one run; tests add what they need. The folder is short: Ray puts sockets into it."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="bnlab-") as folder, clusters(Path(folder)) as cluster:
        cluster.add(HEAD, 1)
        yield cluster


@contextlib.contextmanager
def ending(process: subprocess.Popen) -> Iterator[subprocess.Popen]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            stream.close()


def made_here(tasks: list[Task], root: Path) -> list[Task]:
    """The same runs, made undisturbed by processes of this machine."""
    twins = [Task(task.run, root / task.run.id) for task in tasks]
    outcomes = LocalSweep(twins, 1, Lines(twins, 1), Stop()).run()
    assert [outcome.state for outcome in outcomes] == ["done"] * len(twins)
    return twins


def weights(tasks: list[Task]) -> list[str]:
    return [store.read_status(task.directory).weights_sha256 for task in tasks]


@pytest.mark.ray
def test_a_node_that_dies_costs_its_runs_nothing_but_time(cluster, tmp_path):
    """Two nodes, one run each; one is killed in the middle. A run with another's address costs only itself."""
    cluster.add(OTHER, 1)
    tasks = tasks_of(tmp_path / "ray", LONG)
    blocked = tasks[-1].directory / "config.json"
    blocked.parent.mkdir(parents=True)
    blocked.write_text('{"config": {"lr": 7.0}}')
    with ending(cluster.run(LONG, tmp_path / "ray")) as command:
        wait_for(lambda: states(tasks).count("running") == 2)
        assert len(cluster.kill(OTHER)) > 2
        out, said = command.communicate(timeout=400)
    assert command.returncode == 3, said
    assert said.count("was lost") == 1 and "tried again (1 of 5)" in said
    assert "move that folder away" in said and "Traceback" not in said and "[" + "2026" not in said
    good = tasks[:-1]
    assert states(good) == ["done"] * 3
    hit = [task for task in good if store.read_status(task.directory).attempts >= 2]
    assert len(hit) == 1
    for task in good:
        rows = pd.read_parquet(paths.metrics_parquet(task.directory))
        assert not rows.duplicated([column for column in rows if column != "value"]).any()
    assert weights(hit) == weights(made_here(hit, tmp_path / "local"))


@pytest.mark.ray
def test_parts_of_a_core_let_more_runs_at_a_time_and_ctrl_c_keeps_them(cluster, tmp_path):
    words = [*LONG, "steps=100000", "checkpoint=never"]
    tasks = tasks_of(tmp_path, words)
    with ending(cluster.run([*words, "launcher.cpus=0.5"], tmp_path)) as command:
        wait_for(lambda: states(tasks).count("running") >= 2)  # on the one core that is left
        began = time.monotonic()
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=60)
        took = time.monotonic() - began
    assert command.returncode == 130, said
    assert "stopped by Ctrl-C" in said and "continue with: bnlab run" in said
    assert took < 2.0 * max(1.0, os.getloadavg()[0] / cores()), took
    wait_for(lambda: states(tasks).count("preempted") >= 2)  # they saved their state
    assert all(paths.checkpoint(task.directory).exists() for task in tasks if states([task]) == ["preempted"])


@pytest.mark.ray
@pytest.mark.parametrize(
    ("words", "environment", "says"),
    [
        ([], {"RAY_AUTH_TOKEN": "0" * 64}, "the cluster refuses this token"),
        (["launcher.cpus=64"], {}, "a run takes 64 CPU, and no node has that"),
        (["launcher.gpus=1"], {}, "a run takes 1 CPU, 1 GPU, and no node has that"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(cluster, tmp_path, words, environment, says):
    with ending(cluster.run([*SMALL, *words], tmp_path, **environment)) as command:
        _, said = command.communicate(timeout=180)
    assert command.returncode == 6, said
    (line,) = said.splitlines()
    assert says in line and len(line) <= 240


@pytest.mark.ray
def test_without_an_address_a_cluster_lasts_as_long_as_the_sweep(tmp_path):
    pytest.importorskip("ray")
    mark = f"BNLAB_TEST_NODE={tmp_path}"
    words = [*SMALL, "variant=bn", "lr=0.03", "seed=0", "steps=20", "launcher=ray", "--results", str(tmp_path)]
    command = [sys.executable, "-m", "bnlab", "run", "activation_histograms", *words]
    environment = {**os.environ, "BNLAB_TEST_NODE": str(tmp_path), "HOME": str(tmp_path), "RAY_ADDRESS": "10.0.0.1:1"}
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=400, env=environment)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(("started ", "done ", "[")) for line in done.stderr.splitlines()), done.stderr
    assert not (tmp_path / ".ray").exists()
    wait_for(lambda: not processes_with(mark))


def test_ray_that_is_not_installed_is_named(isolated):
    words = ["run", "activation_histograms", *SMALL, "launcher=ray"]
    code = f"sys.argv = ['bnlab', *{words!r}]\nrunpy.run_module('bnlab', run_name='__main__', alter_sys=True)"
    done = isolated(code, block=("ray",))
    assert done.returncode == 6 and "pip install 'bnlab[ray]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_address_of_rays_client_is_refused_in_words(no_torch):
    done = no_torch(["run", "activation_histograms", *SMALL, "launcher=ray", "launcher.address=ray://head:10001"])
    assert done.returncode == 2 and "host:port" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_run_takes_its_threads_unless_told_otherwise():
    plain, cuda = RunConfig(threads=2), RunConfig(device="cuda")
    assert Need.of(plain, LauncherConfig("ray")) == Need(2.0, 0.0, 0.0)
    assert Need.of(cuda, LauncherConfig("ray")) == Need(1.0, 1.0, 0.0)
    assert Need.of(cuda, LauncherConfig("ray", cpus=0.5, gpus=0.25, memory_gb=4)) == Need(0.5, 0.25, 4.0)


def test_the_scarcest_resource_says_how_many_runs_fit():
    node = {"CPU": 8.0, "GPU": 2.0, "memory": 32e9}
    assert Need(1, 0, 0).slots(node) == 8 and Need(0.1, 0, 0).slots(node) == 80
    assert Need(1, 0.3, 0).slots(node) == 6 and Need(1, 0, 10).slots(node) == 3 and Need(9, 0, 0).slots(node) == 0
    assert Need(1, 1, 0).slots({"CPU": 8.0}) == 0
    assert str(Need(0.5, 0.25, 4)) == "0.5 CPU, 0.25 GPU, 4 GB"


def test_other_versions_on_a_node_are_said_once(capsys):
    versions = Versions()
    here = dict(versions._here)
    for environment in (here, here | {"torch": "1.0"}, here | {"torch": "1.0"}, here | {"bnlab": "9"}):
        versions.compare(environment, "n7")
    first, second = capsys.readouterr().err.splitlines()
    assert "node n7 has torch 1.0" in first and "bnlab 9" in second


def test_runs_that_another_process_is_at_are_asked_about_until_it_leaves_them(tmp_path, monkeypatch):
    monkeypatch.setattr(elsewhere, "SECONDS_BETWEEN_ASKING", 0.0)
    finished, left, taken = tasks_of(tmp_path, [*SMALL, "variant=bn", "lr=0.03", "seed=0,1,2"])
    there = Elsewhere()
    for task in (finished, left, taken):
        task.directory.mkdir(parents=True)
        there.add(task)
    store.write_status(finished.directory, store.Status("done", 9, 9))
    code = (
        "import sys, pathlib; from bnlab.store import owning\n"
        "with owning(pathlib.Path(sys.argv[1])) as mine: print(mine, flush=True); sys.stdin.read()"
    )
    holding = [sys.executable, "-c", code, str(taken.directory)]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as holder:
        assert holder.stdout.readline().strip() == "True"
        ended, free = there.ask()
        assert [outcome.task for outcome in ended] == [finished] and free == [left] and len(there) == 1
        holder.stdin.close()
    assert there.ask() == ([], [taken]) and len(there) == 0


def test_a_worker_makes_a_run_from_plain_data(tmp_path):
    from bnlab.sweeping.ray_worker import perform

    (task,) = tasks_of(tmp_path, [*SMALL, "variant=bn", "lr=0.03", "seed=0", "steps=3"])
    request = json.loads(json.dumps(task.request()))
    assert perform(request, 15.0)["state"] == "done" and states([task]) == ["done"]
    (task.directory / "config.json").write_text('{"config": {"lr": 7.0}}')
    said = perform(request, 15.0)
    assert (said["state"], said["code"]) == ("failed", 5) and "move that folder away" in said["error"]
