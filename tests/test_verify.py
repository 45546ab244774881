"""A stored run trained again: equal bits are called equal, and a difference is found where it was put."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from bnlab import cli, data, paths, store, verification
from bnlab.config import DataConfig, ModelConfig, NormConfig, OptimConfig, ProbeConfig, RunConfig, run_id
from bnlab.errors import IntegrityError
from bnlab.running import Report, run_one
from bnlab.training.digests import ladder, tensor_digests
from bnlab.training.loop import train
from bnlab.training.state import TrainingState
from bnlab.verification import Verification

STEPS = 300
CONFIG = RunConfig(
    experiment="x",
    variant="bn",
    data=DataConfig(name="synthetic"),
    model=ModelConfig(widths=(12, 8)),
    norm=NormConfig(name="batch"),
    optim=OptimConfig(momentum=0.9),
    batch_size=16,
    steps=STEPS,
    scale="smoke",
    checkpoint="70it",
)
RUNGS = sorted({*ladder(CONFIG, 32), STEPS})
BETWEEN = 143  # lies strictly between two rungs
BEFORE, AFTER = max(s for s in RUNGS if s < BETWEEN), min(s for s in RUNGS if s > BETWEEN)


@pytest.fixture(autouse=True)
def _signals():
    """run_one installs handlers; give the test process its own back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def trained(config: RunConfig, root: Path) -> Path:
    run = paths.run_dir(paths.setting_dir(root, "x", config.data.name, config.scale), config.variant, run_id(config))
    assert run_one(config, run, {}) in store.FINISHED
    return run


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Path:
    return trained(CONFIG, tmp_path_factory.mktemp("results"))


@pytest.fixture
def run(first, results) -> Path:
    """A copy of the one stored run, for the test to spoil."""
    return shutil.copytree(first, results.joinpath(*first.parts[-5:]))


def verify(run: Path):
    return Verification(store.read_recorded(run)).train(lambda step: None)


def difference(run: Path) -> str:
    with pytest.raises(IntegrityError) as found:
        verify(run)
    return str(found.value).partition("first difference ")[2]


def ladder_of(run: Path) -> list[dict]:
    return store.read_lines(paths.digests_jsonl(run))


def disturb(monkeypatch, at: int, change) -> None:
    """Let `change(net, optimizer)` happen in the second training when it has made `at` updates."""

    def disturbed(run, record, between_steps):
        def before_that() -> bool:
            if run.step == at:
                with torch.no_grad():
                    change(run.net, run.optimizer)
            return between_steps()

        return train(run, record, before_that)

    monkeypatch.setattr(verification, "train", disturbed)


def one_ulp(tensor: torch.Tensor) -> None:
    tensor.view(-1)[0].nextafter_(torch.tensor(torch.inf))


def test_an_equal_run_is_called_equal(run, capsys):
    before = {path: path.read_bytes() for path in run.iterdir()}
    assert cli.main(["verify", str(run)]) == 0
    said = capsys.readouterr()
    values = sum(pq.read_metadata(path(run)).num_rows for path in (paths.metrics_parquet, paths.distributions_parquet))
    weights = store.read_status(run).weights_sha256[:12]
    net = TrainingState(CONFIG, data.load(CONFIG.data), "cpu").net
    tensors = len(net.state_dict()) + len(list(net.parameters()))  # with a momentum buffer for every parameter
    counted = f"{STEPS} steps, {tensors} tensors at {len(RUNGS)} steps, {values:,} values, final weights {weights}"
    assert said.out.splitlines()[-1] == f"no difference: {counted}"
    assert "bits may differ" not in said.out and len(said.err.splitlines()) == 9
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_digests_are_sums_over_the_bytes_of_each_tensor():
    state = TrainingState(CONFIG, data.load(CONFIG.data), "cpu")
    train(state, lambda step, values: None, lambda: state.step == 3)
    found = tensor_digests(state.net, state.optimizer)
    for name, tensor in state.net.state_dict().items():
        assert found.pop(name) == hashlib.sha256(tensor.numpy().tobytes()).hexdigest()[:16]
    for name, parameter in state.net.named_parameters():
        kept = state.optimizer.state[parameter]["momentum_buffer"]
        assert found.pop(f"{name}:momentum_buffer") == hashlib.sha256(kept.numpy().tobytes()).hexdigest()[:16]
    assert not found


def test_keeping_digests_does_not_change_training(run):
    bare = TrainingState(CONFIG, data.load(CONFIG.data), "cpu")
    train(bare, lambda step, values: None, lambda: False)
    assert store.read_status(run).weights_sha256 == bare.weights_sha256()
    assert [row["step"] for row in ladder_of(run)] == RUNGS


@pytest.mark.parametrize("tensor", ["blocks.1.linear.weight", "output.bias:momentum_buffer"])
@pytest.mark.parametrize("step", [0, RUNGS[40], STEPS])
def test_an_altered_digest_is_found_at_its_step_and_tensor(run, step, tensor, capsys):
    if step == 0 and ":" in tensor:
        tensor = "blocks.0.norm.running_var"  # the optimiser keeps nothing yet
    rows = ladder_of(run)
    (row,) = [row for row in rows if row["step"] == step]
    row["digests"][tensor] = "0" * 16
    paths.digests_jsonl(run).write_text("".join(json.dumps(row) + "\n" for row in rows))
    since = "none before it" if step == 0 else f"equal at step {max(s for s in RUNGS if s < step)}"
    assert cli.main(["verify", run.name]) == 5
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == f"bnlab: {run.name}: first difference at step {step} ({since}): {tensor}"


@pytest.mark.parametrize("file", [paths.metrics_parquet, paths.distributions_parquet])
def test_an_altered_measurement_is_found_and_told_from_training(run, file):
    table = pq.read_table(file(run), partitioning=None)
    step = sorted({s for s in table["step"].to_pylist() if BEFORE > s > 20})[0]
    row = table["step"].to_pylist().index(step)
    metric = table["metric"][row].as_py()
    column = "value" if "value" in table.column_names else "hi"
    mask = pa.array([number == row for number in range(len(table))])
    altered = pc.if_else(mask, pa.scalar(7.5, pa.float32()), table[column])
    pq.write_table(table.set_column(table.column_names.index(column), column, altered), file(run))
    rung = min(s for s in RUNGS if s > step)
    said = difference(run)
    assert said.startswith(f"at step {step}: {metric} ")
    assert said.endswith(f"; every tensor is equal at step {rung}")
    assert "was 7.5, is now" in said or "another histogram" in said


def test_a_measurement_that_is_no_longer_made_is_missed(run):
    path = paths.metrics_parquet(run)
    table = pq.read_table(path, partitioning=None)
    row = pa.table([["curves/gone"], [BETWEEN], [1.0]], schema=table.schema)
    pq.write_table(pa.concat_tables([table, row]), path)
    assert BETWEEN not in table["step"].to_pylist()
    said = difference(run)
    assert said == f"at step {BETWEEN}: curves/gone was measured, now nothing is; every tensor is equal at step {AFTER}"


@pytest.mark.parametrize("at", [BEFORE, BETWEEN])
def test_one_weight_off_by_one_ulp_is_found_at_the_next_rung(run, at, monkeypatch):
    disturb(monkeypatch, at, lambda net, optimizer: one_ulp(net.blocks[0].linear.weight))
    said = difference(run)
    rung = at if at in RUNGS else AFTER
    equal = max(s for s in RUNGS if s < rung)
    assert f"at step {rung} (equal at step {equal}): blocks.0.linear.weight" in said
    assert (said.endswith(": blocks.0.linear.weight")) == (at in RUNGS)  # between two rungs it spreads


def test_a_buffer_that_does_not_feed_back_is_named_alone(run, monkeypatch):
    disturb(monkeypatch, BETWEEN, lambda net, optimizer: net.blocks[1].norm.running_mean.add_(1e-3))
    assert difference(run).endswith(f"at step {AFTER} (equal at step {BEFORE}): blocks.1.norm.running_mean")


def test_what_the_optimiser_keeps_is_compared(run, monkeypatch):
    def nudge(net, optimizer):
        one_ulp(optimizer.state[net.output.weight]["momentum_buffer"])

    disturb(monkeypatch, BEFORE, nudge)
    assert difference(run).endswith(": output.weight:momentum_buffer")


def test_a_resumed_run_has_the_ladder_of_an_undisturbed_one(run, tmp_path, monkeypatch):
    stopped = paths.run_dir(tmp_path / "stopped", "bn", run.name)
    original = Report.between_steps
    rung_and_checkpoint = 140
    for stop_at in (0, RUNGS[30], rung_and_checkpoint, BETWEEN, STEPS - 1):

        def between_steps(self, stop_at=stop_at) -> bool:
            if self._run.step == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            return original(self)

        monkeypatch.setattr(Report, "between_steps", between_steps)
        assert run_one(CONFIG, stopped, {}) == "preempted"
    monkeypatch.setattr(Report, "between_steps", original)
    assert run_one(CONFIG, stopped, {}) == "done"
    assert paths.digests_jsonl(stopped).read_bytes() == paths.digests_jsonl(run).read_bytes()
    assert verify(stopped) == verify(run)


def test_rungs_of_lost_work_are_replaced_after_a_kill(run, results):
    """What a kill leaves: rows after the last checkpoint, the last of them torn."""
    killed = paths.run_dir(results / "killed", "bn", run.name)
    code = (
        "import json, os, sys; from pathlib import Path\n"
        "from bnlab.config import from_dict; from bnlab import running\n"
        "original = running.Report.between_steps\n"
        "def between_steps(self):\n"
        f"    if self._run.step == {BETWEEN} + 20: os._exit(9)\n"
        "    return original(self)\n"
        "running.Report.between_steps = between_steps\n"
        "config = from_dict(json.loads(Path(sys.argv[1]).read_text())['config'])\n"
        "running.run_one(config, Path(sys.argv[2]), {})"
    )
    done = subprocess.run([sys.executable, "-c", code, paths.config_json(run), killed], timeout=120)
    assert done.returncode == 9 and ladder_of(killed)[-1]["step"] > 140
    with open(paths.digests_jsonl(killed), "ab") as file:
        file.write(b'{"step": 170, "dig')
    assert run_one(CONFIG, killed, {}) == "done"
    assert "resumed at step 140" in store.read_status(killed).notes
    assert paths.digests_jsonl(killed).read_bytes() == paths.digests_jsonl(run).read_bytes()


def test_a_diverged_run_is_verified_up_to_its_divergence(results, monkeypatch):
    config = dataclasses.replace(CONFIG, lr=1e25, optim=OptimConfig())
    run = trained(config, results)
    status = store.read_status(run)
    assert status.state == "diverged" and 0 < status.step < STEPS
    assert verify(run).steps == status.step
    later = dataclasses.replace(status, step=status.step - 1, diverged_at=status.step - 1)
    store.write_status(run, later)
    assert difference(run) == f"at step {later.step}: it diverged there, now it goes on"
    store.write_status(run, dataclasses.replace(status, state="done", step=STEPS, diverged_at=None))
    assert difference(run) == f"at step {status.step}: diverged, was done at step {STEPS}"


def test_without_digests_measurements_and_final_weights_are_compared(run, capsys, monkeypatch):
    paths.digests_jsonl(run).unlink()
    assert cli.main(["verify", run.name]) == 0
    said = capsys.readouterr().out
    assert "no digests of its tensors are stored" in said and "tensors at" not in said.splitlines()[-1]
    disturb(monkeypatch, STEPS - 1, lambda net, optimizer: one_ulp(net.output.bias))
    assert difference(run).startswith(f"at step {STEPS}: final weights were")
    disturb(monkeypatch, BETWEEN, lambda net, optimizer: net.output.weight.mul_(1.5))
    files = (paths.metrics_parquet(run), paths.distributions_parquet(run))
    measured = {step for file in files for step in pq.read_table(file, partitioning=None)["step"].to_pylist()}
    assert difference(run).startswith(f"at step {min(s for s in measured if s >= BETWEEN)}: ")


def test_other_ground_is_named(run, capsys):
    status = store.read_status(run)
    store.write_status(run, dataclasses.replace(status, environment={**status.environment, "torch": "1.0.0"}))
    assert cli.main(["verify", run.name]) == 0
    said = capsys.readouterr().out
    assert f"torch was 1.0.0, is now {torch.__version__}: bits may differ" in said
    assert said.count("bits may differ") == 1


def test_damaged_digests_are_not_taken_for_absent_ones(run, capsys):
    path = paths.digests_jsonl(run)
    path.write_bytes(path.read_bytes()[:-20])
    assert cli.main(["verify", run.name]) == 5
    assert "digests.jsonl: cannot be read" in capsys.readouterr().err


def test_sources_that_were_changed_then_and_are_not_now_are_named(run, monkeypatch):
    monkeypatch.setattr("bnlab.running._source_state", lambda: ("", False))
    status = store.read_status(run)
    environment = {**status.environment, "commit": "", "dirty": True}
    store.write_status(run, dataclasses.replace(status, environment=environment))
    assert Verification(store.read_recorded(run)).apart == ["dirty was True, is now False: bits may differ"]


def test_only_finished_runs_are_verified(run, capsys):
    status = dataclasses.replace(store.read_status(run), state="preempted", step=70)
    store.write_status(run, status)
    assert cli.main(["verify", run.name]) == 4
    assert "not finished (preempted at step 70 of 300)" in capsys.readouterr().err
    paths.status_json(run).unlink()
    assert cli.main(["verify", run.name]) == 4


def test_a_run_that_trains_nothing_is_refused(run, capsys):
    stored = json.loads(paths.config_json(run).read_text())
    stored["config"]["procedure"] = "identities"
    paths.config_json(run).write_text(json.dumps(stored))
    assert cli.main(["verify", run.name]) == 2
    assert "trains nothing" in capsys.readouterr().err


@pytest.mark.parametrize("file", [paths.config_json, paths.metrics_parquet, paths.distributions_parquet])
def test_a_damaged_file_is_named(run, file, capsys):
    file(run).write_bytes(b"not what it was")
    assert cli.main(["verify", run.name]) == 5
    assert str(file(run)) in capsys.readouterr().err


def test_words_are_checked_without_torch(results, no_torch):
    for number in (0, 1, 10):
        folder = paths.run_dir(paths.setting_dir(results, "x", "digits", "smoke"), "bn", f"1f3a09c2-s{number}")
        store.create_run(folder, dataclasses.replace(CONFIG, seed=number), folder.name, {})
    said = {word: no_torch(["verify", word]) for word in ("1f3a", "1f3a09c2-s1", "1f3b", "", "results", str(results))}
    codes = {word: done.returncode for word, done in said.items()}
    assert codes == {"1f3a": 2, "1f3a09c2-s1": 4, "1f3b": 2, "": 2, "results": 2, str(results): 2}
    assert "3 runs begin so: 1f3a09c2-s0, 1f3a09c2-s1, 1f3a09c2-s10" in said["1f3a"].stderr
    assert "1f3a09c2-s1: not finished (never started)" in said["1f3a09c2-s1"].stderr
    assert all(len(done.stderr.splitlines()) == 1 and len(done.stderr) <= 241 for done in said.values())


def test_ctrl_c_leaves_nothing_behind(results, tmp_path):
    run = trained(dataclasses.replace(CONFIG, steps=4000, probe=ProbeConfig(names=())), results)
    before = {path: path.read_bytes() for path in run.iterdir()}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = subprocess.Popen(
        [sys.executable, "-m", "bnlab", "verify", run.name],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
        env={**os.environ, "TMPDIR": str(scratch)},
    )
    assert "10 %" in command.stderr.readline()
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=60)
    assert command.returncode == 130 and "Traceback" not in said, said
    assert not list(scratch.iterdir())
    assert {path: path.read_bytes() for path in run.iterdir()} == before
