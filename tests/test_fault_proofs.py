"""The fault tests can fail: bnlab is broken on purpose, in a process of its own, and each check has to notice."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_tools import BEFORE, TORN, Fault, attempt, digest, recorded_steps, tiny
from survival import Survey
from test_resume import stop_before

from bnlab import paths
from bnlab.config import ModelConfig
from bnlab.training import checkpoint

STREAMS = ("order", "augment", "noise")


def leave_out(name: str) -> None:
    """A checkpoint that lacks the state of one generator: the next process has it as it was at the start."""
    from bnlab.training.state import TrainingState

    start, whole = TrainingState.__init__, TrainingState.state_dict

    def starting(self, *arguments) -> None:
        start(self, *arguments)
        self.at_start = whole(self)

    def incomplete(self) -> dict:
        state = whole(self)
        if name == "global":
            return {**state, "global_generator": self.at_start["global_generator"]}
        place = STREAMS.index(name)
        state["generators"][place] = self.at_start["generators"][place]
        kept = {name: self.at_start["batches"][name]} if name in state["batches"] else {}
        return {**state, "batches": {**state["batches"], **kept}}

    TrainingState.__init__, TrainingState.state_dict = starting, incomplete


@pytest.mark.parametrize("name", [*STREAMS, "global"])
def test_a_generator_left_out_of_the_checkpoint_shows(name, tmp_path):
    changes = {"model": ModelConfig(name="convnet", width=0.0625, dropout=0.3)} if name == "global" else {}
    config = tiny(**changes)
    assert attempt(config, tmp_path / "a" / "run").state == "done"
    stopped = functools.partial(stop_then, 6, functools.partial(leave_out, name))
    assert attempt(config, tmp_path / "b" / "run", prepare=stopped).state == "preempted"
    assert attempt(config, tmp_path / "b" / "run").state == "done"
    assert digest(tmp_path / "a" / "run") != digest(tmp_path / "b" / "run")


def stop_then(step: int, mutate: Callable[[], None]) -> None:
    stop_before(step)
    mutate()


def write_plainly() -> None:
    """`write_aside` without the aside."""
    from bnlab.store import files

    careful = files.write_aside

    def plain(path: Path, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content)

    for module in [m for name, m in sys.modules.items() if name.startswith("bnlab")]:
        if getattr(module, "write_aside", None) is careful:
            module.write_aside = plain


def keep_rows() -> None:
    """A resumed run that appends to whatever rows there are."""
    from bnlab import running
    from bnlab.store import writer

    before = writer.lines_before
    running.recorded_before = lambda run, step: hashlib.sha256(before(paths.metrics_jsonl(run), step)).hexdigest()
    writer.lines_before = lambda path, step: path.read_bytes() if path.exists() else b""


def trust_every_file() -> None:
    checkpoint._read = lambda path: path.read_bytes().partition(b"\n")[2] if path.exists() else None


@pytest.mark.parametrize(
    ("mutate", "kind", "call", "which", "told"),
    [
        (write_plainly, TORN, ("write", "config.json"), 0, "the next attempt ends with IntegrityError"),
        (keep_rows, BEFORE, ("fsync", "metrics.jsonl"), 1, "steps [0, 1, 2, 3, 2, 3,"),
    ],
)
def test_a_survey_notices_what_is_broken(mutate, kind, call, which, told, tmp_path):
    broken = Survey(tiny(), tmp_path / "broken", mutate)
    as_mutated = attempt(tiny(), tmp_path / "calls" / "run", prepare=mutate).calls
    first, problems = broken.meet(Fault(_place(as_mutated, call, which), kind))
    assert first.killed and any(told in problem for problem in problems), problems
    whole = Survey(tiny(), tmp_path / "whole")
    unchanged = [(name, file.split(".tmp")[0]) for name, file in whole.undisturbed.calls]
    at = next(n for n, (name, file) in enumerate(unchanged, 1) if name == call[0] and call[1] in file)
    assert whole.meet(Fault(at, kind))[1] == []


def _place(calls: tuple[tuple[str, str], ...], call: tuple[str, str], which: int) -> int:
    return [n for n, made in enumerate(calls, 1) if made == call][which]


@pytest.mark.parametrize("mutate", [None, trust_every_file])
def test_a_checkpoint_whose_sum_is_not_checked_shows(mutate, tmp_path):
    """One bit of a weight: torch loads it without a word."""
    run = tmp_path / "b" / "run"
    assert attempt(tiny(), tmp_path / "a" / "run").state == "done"
    attempt(tiny(), run, prepare=functools.partial(stop_before, 6))
    _flip_a_bit_of_a_weight(paths.checkpoint(run))
    assert attempt(tiny(), run, prepare=mutate).state == "done"
    assert (digest(run) == digest(tmp_path / "a" / "run")) == (mutate is None)
    assert recorded_steps(run) == list(range(8))


def _flip_a_bit_of_a_weight(path: Path) -> None:
    whole = path.read_bytes()
    state = checkpoint.load(path.parent)[0]
    weight = next(tensor for tensor in state["net"].values() if tensor.dim() > 1)
    place = whole.index(weight.numpy().tobytes()) + 2  # the upper part of its first fraction
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
