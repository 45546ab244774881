"""One run, from its configuration to its finished directory."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import signal
import subprocess
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from bnlab import __version__, data, paths, trackers
from bnlab.cadence import Cadence
from bnlab.config import RunConfig, to_dict
from bnlab.errors import BnlabError, EnvironmentFault
from bnlab.measuring import measure
from bnlab.store import (
    FINISHED,
    RunWriter,
    Status,
    add_notes,
    create_run,
    drop_kept,
    keep,
    make_folder,
    owning,
    read_status,
    recorded_before,
    remove,
    write_status,
)
from bnlab.training import checkpoint
from bnlab.training.digests import ladder, tensor_digests
from bnlab.training.distributed import ALONE, Replicas, invited, replicated
from bnlab.training.loop import Outcome, train
from bnlab.training.state import TrainingState

SECONDS_BETWEEN_REPORTS = 1.0
SIGNAL_STATES = {signal.SIGTERM: "preempted", signal.SIGINT: "interrupted"}


def run_one(
    config: RunConfig,
    directory: Path,
    overrides: dict,
    rerun: bool = False,
    replicas: Replicas | None = None,
    leave_mirrors: bool = False,
) -> str:
    """Train in this process until the run is finished or told to stop; returns its state.

    A finished run is left as it is unless `rerun`; an interrupted one goes on from its checkpoint. `busy` means that
    another live process owns the directory. SIGTERM and SIGINT save the state at the next step boundary. An exception
    leaves the status `failed`, its traceback in run.log, and is raised again. The further processes of a run that has
    several are started here, unless `replicas` says that they are waiting. A finished run that is made again is kept
    until the new one is finished. With `leave_mirrors` its trackers send the last rows when this has returned.
    """
    make_folder(directory)
    with owning(directory) as mine:
        if not mine:
            return "busy"
        create_run(directory, config, directory.name, overrides)
        before = read_status(directory)
        if before and before.state in FINISHED and not rerun:
            return before.state
        if rerun and before and before.state in FINISHED:
            keep(directory)
        if rerun:
            _forget(directory)
        attempts = 1 + (before.attempts if before else 0)
        try:
            with contextlib.nullcontext(replicas) if replicas else replicated(config) as together:
                mirrored = _mirrored(config, directory, leave_mirrors)
                seconds = 0.0 if rerun or not before else before.seconds
                state = _train(config, directory, attempts, seconds, together, mirrored)
        except Exception as error:
            _mark_failed(config, directory, attempts, error)
            raise
        if state in FINISHED:
            drop_kept(directory)
        return state


def follow(request: dict) -> None:
    """Be a further process of a run, until process 0 needs it no more. Signals to stop are for process 0."""
    for number in SIGNAL_STATES:
        signal.signal(number, signal.SIG_IGN)
    with invited(request) as replicas:
        take_part(replicas)


def take_part(replicas: Replicas) -> None:
    """Train this process's share of whatever process 0 trains; writes nothing."""
    while (given := replicas.next_run()) is not None:
        config, state = given
        run, _ = begin(config, replicas)
        run.load_state_dict(state)
        train(run, lambda step, values: None, lambda: False)


def _train(
    config: RunConfig,
    directory: Path,
    attempts: int,
    seconds_before: float,
    replicas: Replicas,
    mirrored: contextlib.AbstractContextManager,
) -> str:
    if config.procedure != "train":
        with mirrored:
            return measure(config, directory, attempts, describe_environment(config, "cpu"))
    run, environment = begin(config, replicas)
    notes = _resume(run, directory, environment)
    replicas.begin(config, run.state_dict())
    writer = RunWriter(directory, resume_at=run.step)
    report = Report(directory, run, writer, attempts, seconds_before, environment, notes)
    with mirrored, contextlib.closing(writer):
        outcome = train(run, writer.record, report.between_steps)
        return _close(run, writer, report, outcome)


def begin(config: RunConfig, replicas: Replicas = ALONE) -> tuple[TrainingState, dict]:
    """A run before its first step, and what its bits may depend on: versions, machine, source state, data."""
    torch.set_num_threads(config.threads)
    device = _device(config.device)
    image_sets = data.load(config.data, device, config.seed)
    environment = describe_environment(config, device) | {"data": image_sets.fingerprint}
    return TrainingState(config, image_sets, device, replicas), environment


def _close(run: TrainingState, writer: RunWriter, report: Report, outcome: Outcome) -> str:
    if outcome.state == "stopped":
        report.save()
        report.write(SIGNAL_STATES[report.signal])
        return SIGNAL_STATES[report.signal]
    if outcome.state == "done":
        report.record_digests()
    writer.finish()
    report.write(outcome.state, diverged_at=outcome.diverged_at, weights_sha256=run.weights_sha256())
    with contextlib.suppress(EnvironmentFault):  # what stays of them costs room, and no result
        checkpoint.remove(report.directory)
    return outcome.state


@contextlib.contextmanager
def _mirrored(config: RunConfig, directory: Path, leave: bool) -> Iterator[None]:
    """While the run's trackers follow it. One that failed costs one line in the run's status, and nothing else.

    Where the run does not `leave` them to send their last rows by themselves, it waits.
    """
    grace = trackers.PATIENCE if leave else trackers.GRACE
    handles = trackers.start(config.tracker, directory, to_dict(config), grace)
    try:
        yield
    finally:
        if leave:
            trackers.leave(handles)
        else:
            add_notes(directory, trackers.finish(handles, config.experiment))


class Report:
    """Tells the run's directory how far it is, saves checkpoints when due, and listens for a signal to stop."""

    def __init__(
        self,
        directory: Path,
        run: TrainingState,
        writer: RunWriter,
        attempts: int,
        seconds: float,
        environment: dict,
        notes: list[str],
    ) -> None:
        self.directory = directory
        self._run, self._writer, self._attempts = run, writer, attempts
        self._environment, self._notes = environment, notes
        self._started = time.monotonic() - seconds
        self._written = float("-inf")
        cadence = Cadence.parse(run.config.checkpoint)
        self._checkpoints = cadence.steps(run.config.steps, run.batches.steps_per_epoch) - {0, run.step}
        self._ladder = ladder(run.config, run.batches.steps_per_epoch)
        self.signal: int | None = None
        for number in SIGNAL_STATES:
            signal.signal(number, self._note_signal)

    def _note_signal(self, number: int, frame: object) -> None:
        self.signal = number

    def between_steps(self) -> bool:
        """Save and report what is due; True when a signal asked the run to stop."""
        if self._run.step in self._checkpoints:
            self.save()
        if self._run.step in self._ladder:
            self.record_digests()
        if time.monotonic() - self._written > SECONDS_BETWEEN_REPORTS:
            self.write("running")
        return self.signal is not None

    def record_digests(self) -> None:
        self._writer.record_digests(self._run.step, tensor_digests(self._run.net, self._run.optimizer))

    def save(self) -> None:
        """A checkpoint, which names the rows it relies on; they reach the disk first."""
        checkpoint.save(self.directory, {**self._run.state_dict(), "recorded": self._writer.sync()})

    def write(self, state: str, diverged_at: int | None = None, weights_sha256: str = "") -> None:
        self._written = time.monotonic()
        write_status(
            self.directory,
            Status(
                state=state,
                step=self._run.step,
                steps=self._run.config.steps,
                seconds=round(self._written - self._started, 2),
                attempts=self._attempts,
                diverged_at=diverged_at,
                environment=self._environment,
                notes=tuple(self._notes),
                weights_sha256=weights_sha256,
            ),
        )


def _resume(run: TrainingState, directory: Path, environment: dict) -> list[str]:
    """Take up the newest checkpoint, if there is one; returns what the run's status should say of it."""
    state, damaged = checkpoint.load(directory, lambda s: s.get("recorded") == recorded_before(directory, s["step"]))
    notes = [damaged] if damaged else []
    before = read_status(directory)
    if state is None:
        return notes
    run.load_state_dict(state)
    notes.append(f"resumed at step {run.step}")
    for key in ("torch", "machine", "device", "threads", "commit"):
        if before and before.environment.get(key) != environment[key]:
            was, now = (values.get(key) or "unknown" for values in (before.environment, environment))
            notes.append(f"{key} was {was}, is now {now}: bits may differ")
    return [*(before.notes if before else ()), *notes]


def _forget(directory: Path) -> None:
    """Checkpoints and status go first: whatever stays when this is cut short must not pass for a finished run."""
    checkpoint.remove(directory)
    recorded = (paths.metrics_jsonl, paths.digests_jsonl, paths.metrics_parquet, paths.distributions_parquet)
    for path in (paths.status_json, *recorded):
        remove(path(directory))
    trackers.forget(directory)


def _mark_failed(config: RunConfig, directory: Path, attempts: int, error: Exception) -> None:
    """As far as the disk still takes it, so that the error itself reaches the caller; a finished run stays one."""
    line = str(error) if isinstance(error, BnlabError) else f"{type(error).__name__}: {error}".splitlines()[0]
    before = read_status(directory) or Status("failed", 0, config.steps)
    if before.state in FINISHED:
        return
    status = dataclasses.replace(before, state="failed", steps=config.steps, attempts=attempts, error=line[:200])
    with contextlib.suppress(OSError, EnvironmentFault):
        write_status(directory, status)
        paths.run_log(directory).write_text(traceback.format_exc())


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EnvironmentFault("device=cuda: torch sees no CUDA device here; use device=cpu or device=auto")
    return wanted


def describe_environment(config: RunConfig, device: str) -> dict:
    """Versions, machine and source state that a run's bits may depend on."""
    commit, dirty = _source_state()
    return {
        "bnlab": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "keras": _version("keras"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "threads": config.threads,
        "commit": commit,
        "dirty": dirty,
    }


def _version(package: str) -> str:
    """Of an installed package, without importing it; empty where it is absent."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _source_state() -> tuple[str, bool]:
    """The commit of the checkout that bnlab runs from, and whether its code differs from it; empty outside one."""
    source = Path(__file__).resolve().parent
    git = ["git", "-C", str(source)]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        options = {"capture_output": True, "text": True, "timeout": 10, "env": environment}
        head = subprocess.run([*git, "rev-parse", "HEAD"], **options)
        code = [".", "../configs", "../experiments"]
        dirty = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *code], **options)
    except (OSError, subprocess.TimeoutExpired):
        return "", False
    return head.stdout.strip(), dirty.returncode == 1
