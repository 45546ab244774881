"""A run that other processes take up again and again ends with the bits of one that was left alone."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
from pathlib import Path

import pytest
from fault_tools import Fault, attempt, digest, recorded_steps, tiny

from bnlab import store
from bnlab.config import DataConfig, ModelConfig, RunConfig
from bnlab.sweeping.plan import PlannedRun
from bnlab.sweeping.progress import Lines
from bnlab.sweeping.tasks import Outcome, Task

EVERY_VARIANT = sorted(
    path.stem for path in (Path(__file__).resolve().parents[1] / "configs" / "variant").glob("*.yaml")
)
# Instance normalisation needs maps, which a dense layer has none of; tests/test_norms_variants.py resumes it in a VGG.
VARIANTS = [variant for variant in EVERY_VARIANT if variant != "instance"]
# The conv net costs more: it is for what draws numbers, or keeps statistics of its own.
IN_CONVNET = ("bn", "bn_noise", "ghost", "plain", "plain_noise", "renorm")
# An epoch is four steps, and the nets are evaluated at 0 and 5: before step 4 lies an edge, before 6 an evaluation.
EVERY_STEP = (1, 2, 3, 4, 5, 6)


def stop_before(step: int) -> None:
    """A process whose run gets SIGTERM when it has made `step` updates."""
    from bnlab import running

    between_steps = running.Report.between_steps

    def stopping(self) -> bool:
        if self._run.step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return between_steps(self)

    running.Report.between_steps = stopping


def test_the_variants_are_found():
    assert {"bn", "bn_noise", "plain", "plain_noise", "renorm"} <= set(VARIANTS)


@pytest.mark.parametrize(("variant", "net"), [*((v, "mlp") for v in VARIANTS), *((v, "convnet") for v in IN_CONVNET)])
def test_stopped_in_an_epoch_at_its_edge_and_after_an_evaluation(variant, net, tmp_path):
    config = tiny(variant)
    stops = EVERY_STEP
    if net == "convnet":  # with dropout, which draws from torch's own generator
        images = DataConfig(name="synthetic", size=32, train_subset=64, crop=2, flip=True)
        config = dataclasses.replace(config, data=images, model=ModelConfig(name=net, width=0.0625, dropout=0.3))
        stops = (2, 4, 6)
    _compare(config, stops, tmp_path)


def test_stopped_where_batches_hold_a_few_classes(tmp_path):
    config = tiny("renorm")
    curves = dataclasses.replace(config.probe.curves, by_batch="2it")
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, batch_classes=2),
        probe=dataclasses.replace(config.probe, curves=curves),
    )
    _compare(config, EVERY_STEP, tmp_path)


def _compare(config: RunConfig, stops: tuple[int, ...], root: Path) -> None:
    assert attempt(config, root / "a" / "run").state == "done"
    for number, stop in enumerate(stops, 1):
        made = attempt(config, root / "b" / "run", prepare=functools.partial(stop_before, stop))
        status = store.read_status(root / "b" / "run")
        assert made.state == "preempted", made.error
        assert (status.step, status.attempts) == (stop, number)
    assert attempt(config, root / "b" / "run").state == "done"
    assert store.read_status(root / "b" / "run").notes == tuple(f"resumed at step {stop}" for stop in stops)
    assert digest(root / "a" / "run") == digest(root / "b" / "run")
    assert recorded_steps(root / "a" / "run") == recorded_steps(root / "b" / "run") == list(range(8))


def other_torch() -> None:
    import torch

    torch.__version__ = "2.99.0"


def other_device() -> None:
    from bnlab import running

    describe = running.describe_environment
    running.describe_environment = lambda config, device: {**describe(config, device), "device": "A GPU"}


def test_another_torch_device_or_thread_count_is_noticed_and_recorded(tmp_path):
    """Also when the attempt that met it fails before it could end."""
    run = tmp_path / "run"
    attempt(tiny(), run, prepare=functools.partial(stop_before, 3))
    torch_before = store.read_status(run).environment["torch"]
    whole = attempt(tiny(), tmp_path / "whole" / "run")
    full = Fault(len(whole.calls) // 2, "refused", 28)
    assert attempt(tiny(), run, full, prepare=other_torch).code == 6 and store.read_status(run).state == "failed"
    other_threads = dataclasses.replace(tiny(), threads=2)
    assert attempt(other_threads, run, prepare=other_device).state == "done"
    status = store.read_status(run)
    for note in (f"torch was {torch_before}, is now 2.99.0", f"torch was 2.99.0, is now {torch_before}"):
        assert any(said.startswith(f"{note}: bits may differ") for said in status.notes), status.notes
    assert "device was cpu, is now A GPU: bits may differ" in status.notes
    assert "threads was 1, is now 2: bits may differ" in status.notes
    assert (status.environment["device"], status.environment["threads"]) == ("A GPU", 2)


def test_what_a_run_notes_is_said_once_when_it_is_noticed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("bnlab.sweeping.progress.SECONDS_BETWEEN_LOOKS", 0.0)
    store.write_status(tmp_path, store.Status("interrupted", 3, 7, notes=("resumed at step 2",)))
    task = Task(PlannedRun(tiny(), "id", {}), tmp_path)
    lines = Lines([task], 1)
    lines.started(task)
    changed = "threads was 1, is now 2: bits may differ"
    store.write_status(tmp_path, store.Status("done", 7, 7, notes=("resumed at step 2", "resumed at step 3", changed)))
    lines.look([task], 0)
    lines.look([task], 0)
    lines.ended(Outcome(task, "done"))
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("note ")] == [
        f"note     {task.label}: resumed at step 3",
        f"note     {task.label}: {changed}",
    ]
    assert said[-1].startswith("done ")
