"""A sweep whose real processes are killed at random instants, and started again, until it is done: the same bits.

`BNLAB_KILLS` sets how many kills there are (25; `make kill-storm`: 500). At each, every process of the sweep is first
held still, so that what it was doing can be told before some of them are killed and the others go on.
"""

from __future__ import annotations

import collections
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fault_tools import digest, recorded_steps

from bnlab import store
from bnlab.sweeping import local
from bnlab.training import checkpoint

CHECKOUT = Path(__file__).resolve().parents[1]
KILLS = int(os.environ.get("BNLAB_KILLS", "25"))
STEPS = 1500
WORDS = ["scale=smoke", "model=mlp", "model.activation=sigmoid", "probe.names=[curves]", "probe.curves.full=never"]
WORDS += ["variant=bn_noise,plain", "lr=0.03", "seed=0,1", f"steps={STEPS}", "checkpoint=50it", "data.flip=true"]
EVERYTHING, COMMAND, SERVER, RUN = "everything", "command", "server", "run"


def start(results: Path) -> subprocess.Popen:
    jobs = str(min(2, local.cores()))
    words = ["run", "activation_histograms", *WORDS, "--jobs", jobs, "--results", str(results)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "bnlab", *words], cwd=CHECKOUT, **silent)


def offspring(pid: int) -> list[int]:
    """The children of a process that are not dead."""
    try:
        found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [child for child in found if _state(child) not in ("Z", "X", "")]
    except OSError:
        return []


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def family(command: int) -> dict[str, list[int]]:
    """Who is who: the command starts the server, the server the runs."""
    servers = offspring(command)
    runs = [run for server in servers for run in offspring(server)]
    return {COMMAND: [command], SERVER: servers, RUN: runs}


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


@dataclass
class Storm:
    """What the kills hit."""

    rng: random.Random
    kills: collections.Counter = field(default_factory=collections.Counter)
    in_training: int = 0  # kills that ended a run between its first and its last step
    redone: int = 0  # steps that runs had made since their last checkpoint when they were killed
    finished: dict[Path, int] = field(default_factory=dict)  # status file of a finished run -> when it was written

    def strike(self, command: subprocess.Popen, results: Path) -> None:
        """Hold the sweep still, look, kill one kind of its processes, let the others go on."""
        for kind in (COMMAND, SERVER, RUN):  # from the top, so that nothing new starts meanwhile
            send(family(command.pid)[kind], signal.SIGSTOP)
        people = family(command.pid)
        whole = [pid for pids in people.values() for pid in pids]
        try:
            present = [kind for kind, pids in people.items() if pids]
            target = self.rng.choice([EVERYTHING, EVERYTHING, *present, *2 * present[2:]])  # mostly what loses steps
            victims = whole if target == EVERYTHING else people[target]
            if target == RUN:
                victims = [self.rng.choice(victims)]
            at_work = working(results) if target in (EVERYTHING, RUN) else []
            send(victims, signal.SIGKILL)
            gone(victims)
            lost = [step for run, step in at_work if not store.is_owned(run)]
            self.kills[target] += 1
            self.in_training += bool(lost)
            self.redone += sum(lost)
        finally:
            send(whole, signal.SIGCONT)
        self.note_finished(results)

    def note_finished(self, results: Path) -> None:
        """A run that is done is never made again."""
        for path in results.glob("*/*/runs/*/*/status.json"):
            if store.finished(path.parent):
                written = path.stat().st_mtime_ns
                assert self.finished.setdefault(path, written) == written, f"{path.parent} was made again"


def working(results: Path) -> list[tuple[Path, int]]:
    """The runs in the middle of their training, with how many rows each has beyond its newest checkpoint."""
    found = []
    for run in {path.parent for path in results.glob("*/*/runs/*/*/metrics.jsonl")}:
        rows = store.read_lines(run / "metrics.jsonl")
        if rows and rows[-1]["step"] < STEPS and store.is_owned(run) and not store.finished(run):
            saved = checkpoint.load(run)[0]
            found.append((run, max(0, rows[-1]["step"] + 1 - (saved["step"] if saved else 0))))
    return found


def gone(pids: list[int], seconds: float = 60.0) -> None:
    """Wait until they hold nothing any more."""
    deadline = time.monotonic() + seconds
    while any(_state(pid) not in ("Z", "X", "") for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.005)


def runs(results: Path) -> dict[str, tuple]:
    """Bits and rows of every run; each of its steps is there once."""
    found = {}
    for run in sorted(results.glob("*/*/runs/*/*")):
        rows = recorded_steps(run)
        assert len(rows) == len(set(rows)), f"{run}: a step is there twice"
        found[f"{run.parent.name}/{run.name}"] = (*digest(run), rows)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[dict, float, float]:
    """The sweep left alone; seconds until its first step, and in all."""
    results = tmp_path_factory.mktemp("undisturbed") / "results"
    began = time.monotonic()
    command = start(results)
    while command.poll() is None and not list(results.glob("*/*/runs/*/*/metrics.jsonl")):
        time.sleep(0.01)
    first = time.monotonic() - began
    assert command.wait(600) == 0
    return runs(results), first, time.monotonic() - began


@pytest.mark.kill_storm
def test_killed_again_and_again_a_sweep_ends_with_the_same_bits(undisturbed, tmp_path):
    expected, first, whole = undisturbed
    assert len(expected) == 4
    storm = Storm(random.Random(20))
    sweeps = 0
    while sum(storm.kills.values()) < KILLS:
        sweeps += 1
        results = tmp_path / str(sweeps)
        _sweep_through(storm, results, first, whole)
        assert runs(results) == expected
    print(f"{dict(storm.kills)}: {storm.in_training} in training, {storm.redone} steps redone, {sweeps} sweeps")
    assert sum(storm.kills.values()) >= KILLS
    assert storm.in_training >= KILLS // 6 and storm.redone >= 5 * storm.in_training
    assert set(storm.kills) == {EVERYTHING, COMMAND, SERVER, RUN}
    assert len(storm.finished) == 4 * sweeps


def _sweep_through(storm: Storm, results: Path, first: float, whole: float) -> None:
    """The same command until it is done: killed at instants of its start and of its training until there were enough.

    Of five commands one is hit while it starts, the others after their first process trains. Instants lie a fraction
    of the sweep apart, so that more is trained than lost.
    """
    code = None
    while code != 0:
        command = start(results)
        starting = storm.rng.random() < 0.2
        if not starting:
            _until_trained(command)
        wait = storm.rng.uniform(0, first if starting else whole / 4)
        while (code := _wait(command, wait)) is None:
            if sum(storm.kills.values()) < KILLS:
                storm.strike(command, results)
            wait = storm.rng.uniform(0, whole / 4) if command.poll() is None else 0.0
        storm.note_finished(results)


def _until_trained(command: subprocess.Popen) -> None:
    """Return when a process trains or the command ended: however slow the machine is."""
    while command.poll() is None and not family(command.pid)[RUN]:
        time.sleep(0.01)


def _wait(command: subprocess.Popen, seconds: float) -> int | None:
    try:
        return command.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
