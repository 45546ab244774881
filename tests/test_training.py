"""The loop against a slow obvious twin; interrupted runs against undisturbed ones; divergence as a result."""

import dataclasses
import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch

from bnlab import data, paths, store
from bnlab.config import DataConfig, ModelConfig, NormConfig, OptimConfig, ProbeConfig, RunConfig, run_id, to_dict
from bnlab.models import build
from bnlab.running import run_one
from bnlab.training import checkpoint
from bnlab.training.loop import Outcome, train
from bnlab.training.optim import learning_rate
from bnlab.training.seeding import streams
from bnlab.training.state import TrainingState

VARIANTS = {"plain": "none", "bn": "batch", "bn_noise": "noisy_batch", "plain_noise": "noise"}
STEPS = 30


def _config(variant: str = "bn", model: str = "mlp", **changes) -> RunConfig:
    config = RunConfig(
        experiment="x",
        variant=variant,
        data=DataConfig(name="synthetic", size=32 if model != "mlp" else 0, crop=2, flip=True),
        model=ModelConfig(name=model, widths=(12, 8), width=0.0625, dropout=0.2 if model == "convnet" else 0.0),
        norm=NormConfig(name=VARIANTS[variant]),
        optim=OptimConfig(name="adam") if model == "mlp" else OptimConfig(momentum=0.9),
        lr=0.01,
        batch_size=16,
        steps=STEPS,
        scale="smoke",
        checkpoint="7it",
    )
    return dataclasses.replace(config, **changes)


def _state(config: RunConfig) -> TrainingState:
    return TrainingState(config, data.load(config.data), "cpu")


def _digest(run) -> tuple[str, str]:
    """The final weights and every recorded number of a finished run."""
    content = paths.metrics_parquet(run).read_bytes() + paths.distributions_parquet(run).read_bytes()
    return store.read_status(run).weights_sha256, hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def _signals():
    """run_one installs handlers; give the test process its own back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_loop_is_plain_training():
    """A twin in ten lines: same net, batches and torch's own unfused Adam."""
    config = _config(model="mlp")
    run = _state(config)
    assert train(run, lambda step, values: None, lambda: False) == Outcome("done")

    twin = _state(config)
    optimizer = torch.optim.Adam(twin.net.parameters(), lr=config.lr, fused=False)
    for _ in range(STEPS):
        x, y = twin.batches.next()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(twin.net(x), y).backward()
        optimizer.step()
    for name, value in twin.net.state_dict().items():
        torch.testing.assert_close(run.net.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_variants_of_one_seed_share_weights_and_batches():
    runs = {v: _state(_config(v, "vgg_a")) for v in VARIANTS}
    first = runs["plain"].net
    for variant, run in runs.items():
        for block, other in zip(first.blocks, run.net.blocks, strict=True):
            assert torch.equal(block.linear.weight, other.linear.weight), variant
        assert torch.equal(first.output.weight, run.net.output.weight)
    for run in runs.values():  # also after noise has been drawn
        train(run, lambda step, values: None, lambda run=run: run.step == 5)
    batches = [run.batches.next() for run in runs.values()]
    assert all(torch.equal(batches[0][0], x) and torch.equal(batches[0][1], y) for x, y in batches)
    assert not torch.equal(_state(_config(seed=1)).net.output.weight, _state(_config(seed=0)).net.output.weight)


def test_streams_are_independent_and_seed_zero_counts():
    a, b = streams(0, "cpu"), streams(0, "cpu")
    torch.randn(100, generator=a.noise)
    assert torch.equal(torch.randperm(50, generator=a.order), torch.randperm(50, generator=b.order))
    generators = [g for seed in (0, 1) for s in [streams(seed, "cpu")] for g in (s.init, *s.moving())]
    assert len({torch.randint(2**62, (1,), generator=g).item() for g in generators}) == 8


@pytest.mark.parametrize("model", ["mlp", "convnet"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stopped_run_continues_to_the_same_bits(variant, model, tmp_path):
    config = _config(variant, model)
    undisturbed = paths.run_dir(tmp_path / "a", variant, run_id(config))
    assert run_one(config, undisturbed, {}) == "done"
    stopped = paths.run_dir(tmp_path / "b", variant, run_id(config))
    for stop_at in (3, 7, 16, 29):
        assert _run_until(config, stopped, stop_at) == "preempted"
        assert store.read_status(stopped).step == stop_at
    assert run_one(config, stopped, {}) == "done"
    assert _digest(stopped) == _digest(undisturbed)
    assert store.read_status(stopped).attempts == 5


def _run_until(config: RunConfig, run, step: int) -> str:
    """Send this process SIGTERM from inside the run when it has made `step` updates."""
    import bnlab.running as running

    original = running.Report.between_steps

    def between_steps(self) -> bool:
        if self._run.step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    running.Report.between_steps = between_steps
    try:
        return run_one(config, run, {})
    finally:
        running.Report.between_steps = original


@pytest.mark.parametrize("left_out", ["order", "noise", "global", "optimizer"])
def test_resuming_without_a_part_of_the_state_would_show(left_out):
    """The test above can fail: leave something out of the checkpoint and the bits differ."""
    config = _config("bn_noise", "convnet")
    whole = _state(config)
    train(whole, lambda step, values: None, lambda: False)

    first = _state(config)
    train(first, lambda step, values: None, lambda: first.step == 11)
    state = first.state_dict()
    second = _state(config)
    fresh = second.state_dict()
    if left_out in ("order", "noise"):
        place = ("order", "augment", "noise").index(left_out)
        state["generators"][place] = fresh["generators"][place]
        if left_out == "order":
            state["batches"] = fresh["batches"]
    else:
        key = {"global": "global_generator", "optimizer": "optimizer"}[left_out]
        state[key] = fresh[key]
    second.load_state_dict(state)
    train(second, lambda step, values: None, lambda: False)
    assert second.weights_sha256() != whole.weights_sha256()


def test_killed_at_once_and_run_again(tmp_path):
    config = _config("bn_noise", steps=400, checkpoint="20it")
    undisturbed = paths.run_dir(tmp_path / "a", "bn_noise", run_id(config))
    run_one(config, undisturbed, {})
    killed = paths.run_dir(tmp_path / "b", "bn_noise", run_id(config))
    code = (
        "import json, sys; from pathlib import Path\n"
        "from bnlab.config import from_dict; from bnlab.running import run_one\n"
        "run_one(from_dict(json.loads(sys.argv[1])), Path(sys.argv[2]), {})"
    )
    process = subprocess.Popen([sys.executable, "-c", code, json.dumps(to_dict(config)), str(killed)])
    deadline = time.monotonic() + 60
    while not paths.checkpoint(killed).exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL and store.read_status(killed).state == "interrupted"
    assert run_one(config, killed, {}) == "done"
    assert any("resumed at step" in note for note in store.read_status(killed).notes)
    assert _digest(killed) == _digest(undisturbed)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(tmp_path):
    config = _config()
    reference = paths.run_dir(tmp_path / "a", "bn", run_id(config))
    run_one(config, reference, {})
    run = paths.run_dir(tmp_path / "b", "bn", run_id(config))
    _run_until(config, run, 23)
    newest = paths.checkpoint(run)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(bytes(content))
    assert checkpoint.load(run)[0]["step"] == 21
    assert run_one(config, run, {}) == "done"
    notes = store.read_status(run).notes
    assert notes == ("checkpoint.pt is damaged; went back to the checkpoint before", "resumed at step 21")
    assert _digest(run) == _digest(reference)


def test_two_damaged_checkpoints_are_both_named_and_the_run_starts_again(tmp_path):
    for path in (paths.checkpoint(tmp_path), paths.previous_checkpoint(tmp_path)):
        path.write_bytes(b"damage")
    state, said = checkpoint.load(tmp_path)
    assert state is None and "the run starts again" in said
    assert all(f"{path.name} is damaged" in said for path in tmp_path.iterdir())


def test_divergence_is_a_result(tmp_path):
    config = _config("plain", lr=1e30, optim=OptimConfig(name="sgd"))
    run = paths.run_dir(tmp_path, "plain", run_id(config))
    assert run_one(config, run, {}) == "diverged"
    status = store.read_status(run)
    assert status.diverged_at == status.step and 0 < status.step < STEPS
    assert pd.read_parquet(paths.metrics_parquet(run))["step"].max() < status.step or status.step == 1
    assert run_one(config, run, {}) == "diverged"  # finished: not trained again
    assert store.read_status(run).attempts == 1


def test_non_finite_running_statistics_are_a_divergence():
    run = _state(_config("bn"))
    run.net.blocks[0].norm.running_mean.fill_(math.nan)
    assert train(run, lambda step, values: None, lambda: False).state == "diverged"


@pytest.mark.parametrize("names", [(), ("curves",), ("curves", "activations", "moments")])
def test_probes_do_not_move_the_end_of_a_run_that_breaks(names):
    """Running statistics overflow long before the loss does; the step at which that ends the run is fixed."""
    config = _config("bn", lr=1e25, optim=OptimConfig(name="sgd"), steps=60)
    config = dataclasses.replace(config, probe=dataclasses.replace(config.probe, names=names))
    run = _state(config)
    outcome = train(run, lambda step, values: None, lambda: False)
    reference = _state(dataclasses.replace(config, probe=ProbeConfig(names=())))
    assert outcome == train(reference, lambda step, values: None, lambda: False)
    assert run.weights_sha256() == reference.weights_sha256()


@pytest.mark.parametrize("damage", ["deleted", "shortened", "one line"])
def test_rows_damaged_between_two_attempts_are_not_lost_silently(damage, tmp_path):
    config = _config()
    reference = paths.run_dir(tmp_path / "a", "bn", run_id(config))
    run_one(config, reference, {})
    run = paths.run_dir(tmp_path / "b", "bn", run_id(config))
    _run_until(config, run, 23)
    path = paths.metrics_jsonl(run)
    lines = path.read_bytes().split(b"\n")
    if damage == "deleted":
        path.unlink()
    elif damage == "shortened":
        path.write_bytes(b"\n".join(lines[:2]) + b"\n")
    else:
        path.write_bytes(b"\n".join([lines[0][:-3], *lines[1:]]))
    assert run_one(config, run, {}) == "done"
    assert any("rows recorded before" in note for note in store.read_status(run).notes)
    assert _digest(run) == _digest(reference)


def test_finished_runs_are_skipped_and_rerun_gives_the_same(tmp_path):
    config = _config()
    run = paths.run_dir(tmp_path, "bn", run_id(config))
    run_one(config, run, {})
    first = _digest(run)
    before = paths.metrics_parquet(run).stat().st_mtime_ns
    assert run_one(config, run, {}) == "done" and paths.metrics_parquet(run).stat().st_mtime_ns == before
    assert run_one(config, run, {}, rerun=True) == "done"
    assert paths.metrics_parquet(run).stat().st_mtime_ns > before and _digest(run) == first


def test_a_failing_run_leaves_its_reason(tmp_path):
    config = _config(batch_size=10_000)
    run = paths.run_dir(tmp_path, "bn", run_id(config))
    with pytest.raises(Exception, match="batch_size=10000"):
        run_one(config, run, {})
    status = store.read_status(run)
    assert status.state == "failed" and "batch_size=10000" in status.error
    assert "Traceback" in paths.run_log(run).read_text()


def test_the_exponential_rate_is_goerners():
    config = RunConfig(lr=0.03, optim=OptimConfig(schedule="exponential", lr_floor=1e-4, decay_steps=1000))
    for step in (0, 500, 10_000):
        assert learning_rate(config, step) == pytest.approx(0.0001 + 0.03 * math.exp(-step / 1000))
    assert learning_rate(RunConfig(lr=0.1), 77) == 0.1


def test_every_model_trains_on_its_images():
    for model in ("mlp", "convnet", "vgg_a", "vgg_d"):
        config = _config("bn", model, steps=2)
        assert train(_state(config), lambda step, values: None, lambda: False).state == "done"
    shape = data.load(_config(model="vgg_a").data).train.shape
    net = build(ModelConfig(name="vgg_d", width=0.0625), NormConfig(), shape, 10, torch.Generator(), torch.Generator())
    assert len(net.blocks) == 13
