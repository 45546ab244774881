"""Faults at any storage call of a run: the functions of `os` and `io` that write are swapped in a forked process.

Nothing in bnlab knows of this. A storage call is an open for writing, a write, an fsync, a rename, an unlink or a
mkdir; they are counted from 1, and a fault is put at one of them. Attempts are forked from a server that has imported
torch and run nothing, so one costs little more than its steps.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from bnlab import paths, store
from bnlab.compose import build
from bnlab.config import (
    ActivationsConfig,
    CurvesConfig,
    DataConfig,
    ModelConfig,
    MomentsConfig,
    OptimConfig,
    ProbeConfig,
    RunConfig,
)
from bnlab.sweeping.forkserver import LATE_IMPORTS

# What may be met at a call: the process dies before it, in the middle of a write, or after it; the call is refused; a
# write takes half of what it was given, which is no error.
BEFORE, TORN, AFTER, REFUSED, SHORT = "before", "torn", "after", "refused", "short"
SECONDS = 120.0


@dataclass(frozen=True)
class Fault:
    """Death at storage call `at` (0: nowhere), or a refusal with `error` there, or with `lasting` at every call on."""

    at: int = 0
    kind: str = BEFORE
    error: int = 0
    lasting: bool = False
    spared: tuple[str, ...] = ()  # calls that a lasting refusal does not meet


@dataclass(frozen=True)
class Attempt:
    """How one process fared: its exit code, what `run_one` gave or raised, the storage calls and what was committed."""

    exit: int
    state: str = ""
    error: str = ""
    code: int = 0
    calls: tuple[tuple[str, str], ...] = ()  # (call, name of its file)
    injected: int = 0
    committed: tuple[int, ...] = ()  # steps of the checkpoints whose saving returned
    done: bool = False  # whether the status of a finished run was written

    @property
    def killed(self) -> bool:
        return self.exit == -signal.SIGKILL


@dataclass
class Injector:
    """Counts storage calls under a folder, and makes one of them fail."""

    folder: Path
    fault: Fault
    calls: list[tuple[str, str]] = field(default_factory=list)
    injected: int = 0

    def __call__(self, call: str, path: object, act: Callable[[], object], half: Callable[[], object] | None = None):
        """Do `act`, the real call, unless the fault is here."""
        if not os.path.abspath(os.fsdecode(path)).startswith(str(self.folder)):
            return act()
        self.calls.append((call, os.path.basename(os.fsdecode(path))))
        if not self._is_here(call):
            return act()
        self.injected += 1
        if self.fault.kind == REFUSED:
            raise OSError(self.fault.error, os.strerror(self.fault.error), os.fsdecode(path))
        if self.fault.kind == SHORT:
            return half() if half else act()
        if self.fault.kind == TORN and half:
            half()
        try:
            if self.fault.kind == AFTER:
                act()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_here(self, call: str) -> bool:
        at = len(self.calls)
        if self.fault.lasting:
            return 0 < self.fault.at <= at and call not in self.fault.spared
        return at == self.fault.at

    def install(self) -> None:
        """For good: the process is thrown away. The real fsync is left out: a death of processes never misses it."""
        for name in ("replace", "rename", "unlink", "remove", "mkdir"):
            setattr(os, name, self._named(name, getattr(os, name)))
        create, writing = os.open, os.O_WRONLY | os.O_RDWR | os.O_CREAT
        os.open = lambda path, flags, *rest, **more: (
            self("open", path, lambda: create(path, flags, *rest, **more))
            if flags & writing
            else create(path, flags, *rest, **more)
        )
        os.fsync = lambda handle: self("fsync", os.readlink(f"/proc/self/fd/{handle}"), lambda: None)
        builtins.open = io.open = self._open(io.open)

    def _named(self, name: str, real: Callable) -> Callable:
        return lambda path, *rest, **more: self(name, path, lambda: real(path, *rest, **more))

    def _open(self, real: Callable) -> Callable:
        """`open` whose files count every write that reaches the system, after Python's own buffers."""
        injector = self

        class File(io.FileIO):
            def write(self, content) -> int:
                whole = super().write
                half = bytes(content[: (len(content) + 1) // 2])
                return injector("write", self.name, lambda: whole(content), lambda: whole(half))

        def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **rest):
            if not set(mode) & set("wax+") or isinstance(file, int):
                return real(file, mode, buffering, encoding, errors, newline, **rest)
            raw = self("open", file, lambda: File(os.fspath(file), mode.replace("b", "").replace("t", "")))
            if buffering == 0:
                return raw
            buffered = io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline)

        return opened


def attempt(
    config: RunConfig, folder: Path, fault: Fault = Fault(), prepare: Callable[[], None] | None = None, rerun=False
) -> Attempt:
    """Run `config` in a process of its own until it is finished, refused or killed by `fault`.

    `prepare` is a function of a test module, called there first: a mutation of bnlab that a check has to notice.
    """
    near, far = _context().Pipe(duplex=False)
    process = _context().Process(target=_run, args=(config, folder, fault, prepare, rerun, far))
    process.start()
    far.close()
    said: dict = {"committed": []}
    while near.poll(SECONDS):
        try:
            told = near.recv()
        except EOFError:
            break
        said["committed"] += told.pop("committed", [])
        said |= told
    process.join(SECONDS)
    if process.exitcode is None:
        process.kill()
    return Attempt(process.exitcode, **{**said, "committed": tuple(said["committed"])})


def _context():
    """A server that has imported what a run needs, and done nothing else: numpy's and torch's threads stay unborn."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fault_tools", "bnlab.running", "torch.utils.serialization", *LATE_IMPORTS])
    return context


def _run(config: RunConfig, folder: Path, fault: Fault, prepare: Callable | None, rerun: bool, far: Connection) -> None:
    import torch

    from bnlab import running
    from bnlab.errors import BnlabError

    torch.set_num_threads(1)
    sys.stdout = sys.stderr = io.StringIO()
    running.SECONDS_BETWEEN_REPORTS = 1e9  # by the clock no two attempts would make the same calls
    running._source_state = lambda: ("", False)  # two processes of git for each attempt
    if prepare is not None:
        prepare()
    _tell_commits(running, far)
    injector = Injector(folder.absolute(), fault)
    injector.install()
    told: dict = {}
    try:
        told["state"] = running.run_one(config, folder, {}, rerun=rerun)
    except Exception as error:
        code = error.code if isinstance(error, BnlabError) else 1
        told |= {"error": f"{type(error).__name__}: {error}", "code": code}
    far.send({**told, "calls": tuple(injector.calls), "injected": injector.injected})
    far.close()


def _tell_commits(running, far: Connection) -> None:
    """Say, before anything else can happen, what the run may count on from now."""
    save, write_status = running.checkpoint.save, running.write_status

    def saving(run: Path, state: dict) -> None:
        save(run, state)
        far.send({"committed": [state["step"]]})

    def writing(run: Path, status: store.Status) -> None:
        write_status(run, status)
        if status.state in store.FINISHED:
            far.send({"done": True})

    running.checkpoint.save, running.write_status = saving, writing


def tiny(variant: str = "bn_noise", **changes) -> RunConfig:
    """Seven steps, four of them an epoch, with every generator at work; checkpoints at 2, 4 and 6."""
    values = {
        "experiment": "x",
        "variant": variant,
        "data": DataConfig(name="synthetic", train_subset=64, crop=1, flip=True),
        "model": ModelConfig(name="mlp", widths=(5,)),
        "norm": build({"variant": variant}, {"batch_size": 16}).norm,
        "optim": OptimConfig(name="adam"),
        "probe": ProbeConfig(
            curves=CurvesConfig(cadence="1it", full="5it"),
            activations=ActivationsConfig(cadence="3it", histograms="3it"),
            moments=MomentsConfig(cadence="3it"),
        ),
        "lr": 0.01,
        "batch_size": 16,
        "steps": 7,
        "scale": "smoke",
        "checkpoint": "2it",
    }
    return RunConfig(**{**values, **changes})


def digest(run: Path) -> tuple[str, str, str]:
    """The final weights and the two tables of a finished run, as sums."""
    tables = (paths.metrics_parquet(run), paths.distributions_parquet(run))
    return store.read_status(run).weights_sha256, *(hashlib.sha256(t.read_bytes()).hexdigest() for t in tables)


def recorded_steps(run: Path) -> list[int]:
    """The step of every row as it was appended."""
    return [json.loads(line)["step"] for line in paths.metrics_jsonl(run).read_bytes().splitlines()]
