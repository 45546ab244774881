"""Two processes on halves of every batch, against one process on whole ones."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import shared_batch
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bnlab import paths, store
from bnlab.config import DataConfig, ModelConfig, NormConfig, OptimConfig, RunConfig, from_dict, run_id, to_dict
from bnlab.errors import BadInput
from bnlab.norms import SynchronisedBatchNorm
from bnlab.running import Report, run_one
from bnlab.sweeping import local
from bnlab.training import checkpoint
from bnlab.training.distributed import ReplicaLost

CHECKOUT = Path(__file__).resolve().parents[1]
PATIENCE = 240  # seconds, on a machine that has much else to do
CLOSE = {"rtol": 1e-11, "atol": 1e-11}


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """run_one installs handlers; give the test process its own back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("halves")
    command = [sys.executable, str(CHECKOUT / "tests" / "shared_batch.py")]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(CHECKOUT)}
    processes = [subprocess.Popen([*command, str(rank), str(folder)], env=environment) for rank in (0, 1)]
    try:
        assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def whole_layer(name: str) -> dict[str, Tensor]:
    x, upstream, (gamma, beta) = shared_batch.layer_inputs(name)
    peer = (nn.BatchNorm1d if x.dim() == 2 else nn.BatchNorm2d)(x.shape[1], **shared_batch.SETTINGS).double()
    peer.load_state_dict({**peer.state_dict(), "weight": gamma, "bias": beta})
    return shared_batch.pass_layer(peer, x, upstream)


@pytest.mark.parametrize("name", shared_batch.LAYERS)
def test_a_synchronised_layer_is_torch_s_over_the_whole_batch(name: str, halves: list) -> None:
    whole, (first, second) = whole_layer(name), (half[name] for half in halves)
    for key in ("y", "x"):
        torch.testing.assert_close(torch.cat([first[key], second[key]]), whole[key], **CLOSE)
    for key in ("weight", "bias"):
        torch.testing.assert_close(first[key] + second[key], whole[key], **CLOSE)
    for key in ("running_mean", "running_var"):
        assert torch.equal(first[key], second[key])
        torch.testing.assert_close(first[key], whole[key], **CLOSE)


def test_keras_s_synchronized_layer_is_one_layer_over_the_whole_batch(halves: list) -> None:
    whole = shared_batch.keras_layer(*shared_batch.layer_inputs("unequal")[:2])
    first, second = (half["keras"] for half in halves)
    for key, value in whole.items():
        if key in ("y", "x"):
            found = torch.cat([first[key], second[key]])
        else:
            found = first[key] + second[key] if key in ("gamma", "beta") else first[key]
        torch.testing.assert_close(found, value, **CLOSE)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_too(halves: list) -> None:
    whole, (first, second) = whole_layer("unequal"), (half["cuda"] for half in halves)
    torch.testing.assert_close(torch.cat([first["x"], second["x"]]), whole["x"], **CLOSE)
    torch.testing.assert_close(first["running_var"], whole["running_var"], **CLOSE)


def whole_net(model: str) -> dict[str, Tensor]:
    net = shared_batch.net(model, "replica")
    x, y = shared_batch.batch()
    cross_entropy(net(x), y).backward()
    return shared_batch.state(net)


def furthest(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """The largest difference between gradients, relative to the largest gradient of their tensor."""
    names = [name for name in left if "running" not in name]
    return max(((left[n] - right[n]).abs().max() / right[n].abs().max()).item() for n in names)


@pytest.mark.parametrize("model", ["mlp", "vgg_a"])
def test_two_times_64_synchronised_are_one_times_128(model: str, halves: list) -> None:
    whole = whole_net(model)
    for half in halves:
        assert furthest(half[f"{model} synchronised"], whole) < 1e-10
        assert furthest(half[f"{model} replica"], whole) > 1e-3  # statistics of 64 images are other statistics
    assert all(torch.equal(halves[0][f"{model} replica"][n], halves[1][f"{model} replica"][n]) for n in ["output.bias"])


def test_one_process_alone_normalises_what_it_is_given() -> None:
    """Outside `together` the layer is an ordinary one: a probe's passes wait for nobody."""
    x, upstream, (gamma, beta) = shared_batch.layer_inputs("conv")
    layer = SynchronisedBatchNorm(NormConfig(name="batch", **shared_batch.SETTINGS), x.shape[1], True).double()
    layer.load_state_dict({**layer.state_dict(), "weight": gamma, "bias": beta})
    for key, value in shared_batch.pass_layer(layer, x, upstream).items():
        torch.testing.assert_close(value, {**whole_layer("conv"), "updates": value}[key], **CLOSE)


def config(replicas: int = 1, statistics: str = "synchronised", **changes: object) -> RunConfig:
    return dataclasses.replace(
        RunConfig(
            experiment="x",
            variant="bn",
            data=DataConfig(name="synthetic", crop=2, flip=True),
            model=ModelConfig(widths=(12, 8), activation="tanh"),
            norm=NormConfig(name="batch", statistics=statistics, warm_up=True),
            optim=OptimConfig(momentum=0.9),
            lr=0.02,
            batch_size=32,
            steps=30,
            scale="smoke",
            checkpoint="7it",
            replicas=replicas,
        ),
        **changes,
    )


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[Path, dict[str, Tensor]]:
    """The final weights and statistics of every run of this process, by directory."""
    nets = {}
    write = Report.write

    def keep(report: Report, state: str, *rest: object, **named: object) -> None:
        nets[report.directory] = {k: v.clone() for k, v in report._run.net.state_dict().items()}
        write(report, state, *rest, **named)

    monkeypatch.setattr(Report, "write", keep)
    return nets


def test_a_run_of_two_processes_is_the_run_of_one_and_goes_on_to_the_same_bits(kept: dict, tmp_path: Path) -> None:
    one, two, stopped = (tmp_path / name for name in ("one", "two", "stopped"))
    assert run_one(config(1), one, {}) == "done"
    assert run_one(config(2), two, {}) == "done"
    for name, value in kept[one].items():
        torch.testing.assert_close(kept[two][name], value, rtol=1e-3, atol=1e-4)
    single, double = (store.read_status(run) for run in (one, two))
    assert single.weights_sha256 != double.weights_sha256  # rounding, so it was not the same computation
    frames = [pd.read_parquet(paths.metrics_parquet(run)) for run in (one, two)]
    losses = [frame[frame["metric"].str.contains("loss")] for frame in frames]
    assert not losses[0].empty
    pd.testing.assert_frame_equal(*losses, rtol=0.02)

    assert until(11, config(2), stopped) == "preempted"
    assert store.read_status(stopped).step == 11
    assert run_one(config(2), stopped, {}) == "done"
    assert store.read_status(stopped).weights_sha256 == double.weights_sha256
    assert paths.metrics_parquet(stopped).read_bytes() == paths.metrics_parquet(two).read_bytes()


def until(step: int, wanted: RunConfig, run: Path) -> str:
    return at(step, lambda: os.kill(os.getpid(), signal.SIGTERM), wanted, run)


def at(step: int, what: Callable[[], None], wanted: RunConfig, run: Path) -> str:
    """Do `what` between two steps of a run."""
    original = Report.between_steps

    def between_steps(self: Report) -> bool:
        if self._run.step == step:
            what()
        return original(self)

    Report.between_steps = between_steps
    try:
        return run_one(wanted, run, {})
    finally:
        Report.between_steps = original


def followers() -> list[int]:
    """The live processes that this one has started to share a run."""
    return [pid for pid, parent, words in processes() if parent == os.getpid() and "bnlab.running import f" in words]


def processes() -> list[tuple[int, int, str]]:
    """(number, parent, command line) of every process that is not dead."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True)
    found = [line.split(None, 3) for line in listed.stdout.splitlines()]
    return [(int(pid), int(parent), words) for pid, parent, state, words in found if "Z" not in state]


def test_a_killed_process_ends_the_run_in_one_line(tmp_path: Path) -> None:
    killed = []

    def kill() -> None:
        killed.extend(followers())
        os.kill(killed[0], signal.SIGKILL)

    began = time.monotonic()
    with pytest.raises(ReplicaLost) as error:
        at(9, kill, config(2, "replica"), tmp_path / "run")
    assert time.monotonic() - began < PATIENCE
    assert re.fullmatch(r"replicas=2: process 1 was ended by SIGKILL; .*", str(error.value))
    status = store.read_status(tmp_path / "run")
    assert (status.state, status.error) == ("failed", str(error.value)) and "\n" not in status.error
    assert len(killed) == 1 and followers() == []
    assert checkpoint.load(tmp_path / "run")[0]["step"] == 7  # the same command goes on from here


def test_the_others_end_with_process_0(tmp_path: Path) -> None:
    """However it ends: nobody is left to tell them."""
    code = (
        "import sys, pathlib, json; from bnlab.config import from_dict; from bnlab.running import run_one; "
        "run_one(from_dict(json.loads(sys.argv[1])), pathlib.Path(sys.argv[2]), {})"
    )
    run, endless = tmp_path / "run", config(2, "replica", steps=10**6)
    leader = subprocess.Popen([sys.executable, "-c", code, json.dumps(to_dict(endless)), str(run)], cwd=CHECKOUT)
    try:
        wait_for(lambda: getattr(store.read_status(run), "step", 0) > 0)
        (other,) = [pid for pid, parent, _ in processes() if parent == leader.pid]
    finally:
        leader.kill()
        leader.wait()
    wait_for(lambda: other not in [pid for pid, _, _ in processes()])


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s"
        time.sleep(0.1)


WORDS = "activation_histograms scale=smoke variant=bn seed=0 lr=0.03 steps=12 batch_size=32 replicas=2"
WORDS += " model.activation=sigmoid model.dropout=0 norm.statistics=synchronised probe.names=[curves]"


def test_torchrun_and_bnlab_run_come_to_the_same_bits(tmp_path: Path) -> None:
    """The same words, with the processes started by torchrun or by the run itself."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "bnlab"]
    sums = {}
    for name, command in {"torchrun": launch, "itself": [sys.executable, "-m", "bnlab"]}.items():
        words = [*command, "run", *WORDS.split(), "--results", str(tmp_path / name)]
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
        done = subprocess.run(
            words, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("; 0 failed;") == 1, done.stdout  # process 0 alone speaks
        (run,) = (tmp_path / name).glob("*/*/runs/*/*")
        sums[name] = store.read_status(run).weights_sha256
    assert sums["torchrun"] == sums["itself"] and sums["itself"]


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"replicas": 3}, "batch_size=32: must be a multiple of replicas=3"),
        ({"replicas": 2, "norm": {"name": "noisy_batch"}}, "replicas=2: norm.name=noisy_batch"),
        ({"replicas": 2, "model": {"dropout": 0.5}}, "replicas=2: dropout"),
        ({"replicas": 32, "norm": {"name": "batch"}}, "batch_size=32: dense units"),
        ({"norm": {"name": "noise", "statistics": "synchronised"}}, "norm.statistics=synchronised"),
        ({"norm": {"name": "batch", "statistics": "both"}}, "norm.statistics=both"),
    ],
)
def test_what_cannot_be_shared_is_refused(changes: dict, start: str) -> None:
    with pytest.raises(BadInput) as error:
        from_dict({"batch_size": 32, **changes})
    assert str(error.value).startswith(start)


def test_sharing_is_part_of_what_a_run_is() -> None:
    kinds = [config(1, "replica"), config(2, "replica"), config(2, "synchronised"), config(4, "synchronised")]
    assert len({run_id(kind) for kind in kinds}) == 4
    assert run_id(RunConfig(replicas=1, norm=NormConfig(statistics="replica"))) == run_id(RunConfig())


def test_cores_are_counted_for_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "cores", lambda: 4)
    assert local.choose_jobs(None, 1, replicas=2) == 2
    for jobs, threads, replicas, advice in ((2, 2, 2, "give --jobs 1"), (1, 1, 8, "give replicas=4")):
        with pytest.raises(BadInput, match=f"needs 8 cores, this machine lends 4.*{advice}"):
            local.choose_jobs(jobs, threads, replicas=replicas)
