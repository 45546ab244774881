"""A death or a refusal at every storage call of a run: nothing committed is lost, and the same bits come out."""

from __future__ import annotations

import errno
import functools
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_tools import AFTER, BEFORE, REFUSED, SHORT, TORN, Attempt, Fault, attempt, digest, tiny
from survival import Survey

pytestmark = pytest.mark.thorough

CHECKOUT = Path(__file__).resolve().parents[1]
SMALL = ["scale=smoke", "model=mlp", "model.activation=sigmoid", "probe.names=[curves]", "probe.curves.full=never"]
COMMAND = ["run", "activation_histograms", *SMALL, "variant=bn", "lr=0.03", "seed=0", "checkpoint=100it"]


@pytest.fixture(scope="module")
def survey(tmp_path_factory) -> Survey:
    return Survey(tiny(), tmp_path_factory.mktemp("survey"))


def places(survey: Survey) -> range:
    return range(1, len(survey.undisturbed.calls) + 1)


def test_every_storage_call_is_counted(tmp_path):
    """What Python itself reports of a run is an independent list: opens for writing, renames, deletions, folders."""
    log = tmp_path / "audit"
    run = tmp_path / "runs" / "run"
    made = attempt(tiny(), run, prepare=functools.partial(audit, str(log), str(run)))
    same = {"rename": "replace", "remove": "unlink"}
    counted = [(same.get(call, call), name) for call, name in made.calls if call not in ("write", "fsync")]
    heard = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
    assert counted == [(same.get(call, call), name) for call, name in heard] and len(counted) > 25, made
    assert {call for call, _ in made.calls} >= {"open", "write", "fsync", "replace", "mkdir"}


def audit(log: str, folder: str) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def hear(event: str, arguments: tuple) -> None:
        call = {"os.rename": "rename", "os.remove": "remove", "os.mkdir": "mkdir", "open": "open"}.get(event)
        if call is None or isinstance(arguments[0], int):
            return
        place = os.path.abspath(os.fsdecode(arguments[0]))
        for_writing = call != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if for_writing and place.startswith(folder):
            os.write(handle, json.dumps([call, os.path.basename(place)]).encode() + b"\n")

    sys.addaudithook(hear)


@pytest.mark.parametrize("kind", [BEFORE, TORN, AFTER])
def test_killed_at_every_storage_call(kind, survey):
    chosen = [n for n in places(survey) if kind != TORN or survey.undisturbed.calls[n - 1][0] == "write"]
    met = {n: survey.meet(Fault(n, kind)) for n in chosen}
    assert sum(first.killed for first, _ in met.values()) == len(chosen) > 15
    assert not {n: (survey.undisturbed.calls[n - 1], broken) for n, (_, broken) in met.items() if broken}
    reached = {first.committed[-1:] for first, _ in met.values()}
    assert reached >= {(), (2,), (4,), (6,)}  # deaths fell between all the checkpoints


REFUSALS = {
    "full once": (errno.ENOSPC, False, ("open", "write", "fsync", "replace", "mkdir")),  # deleting needs no room
    "full for good": (errno.ENOSPC, True, ("open", "write", "fsync", "replace", "mkdir")),
    "broken once": (errno.EIO, False, ("fsync", "replace", "unlink")),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refused_at_every_storage_call(refusal, survey):
    """A disk that is full or broken, once or from then on: exit code 6 and one line that names the file."""
    error, lasting, refused = REFUSALS[refusal]
    spared = tuple({"open", "write", "fsync", "replace", "unlink", "mkdir"} - set(refused))
    chosen = [n for n in places(survey) if survey.undisturbed.calls[n - 1][0] in refused]
    injected = 0
    for n in chosen:
        first, broken = survey.meet(Fault(n, REFUSED, error, lasting, spared))
        place = survey.undisturbed.calls[n - 1]
        assert not broken, (n, place, broken)
        injected += first.injected > 0
        if first.state == "done":  # its checkpoints, which nobody needs any more, or a folder that was there already
            assert place[0] in ("unlink", "mkdir") and first.done
        else:
            assert is_one_line_of_the_disk(first), (n, place, first)
            assert os.strerror(errno.EIO) in first.error or "the disk is full" in first.error
    assert injected == len(chosen) > 25


def is_one_line_of_the_disk(made: Attempt) -> bool:
    line = made.error.removeprefix("EnvironmentFault: ")
    return made.code == 6 and line.startswith("cannot write /") and "\n" not in line and "/run" in line


def test_a_disk_that_takes_only_a_part_of_a_row_gets_the_rest(tmp_path):
    """A write may take less than it was given without any error."""
    assert attempt(tiny(), tmp_path / "a" / "run").state == "done"
    made = attempt(tiny(), tmp_path / "b" / "run", Fault(1, SHORT, lasting=True))
    assert made.state == "done" and digest(tmp_path / "a" / "run") == digest(tmp_path / "b" / "run")
    assert made.calls.count(("write", "metrics.jsonl")) > 16  # a twin that is never cut short writes 8 times


def test_a_read_only_folder_is_one_line_before_any_step(tmp_path):
    made = attempt(tiny(), tmp_path / "run", Fault(1, REFUSED, errno.EROFS, lasting=True))
    assert is_one_line_of_the_disk(made) and "Read-only file system" in made.error and not (tmp_path / "run").exists()


def test_what_a_checkpoint_relies_on_reaches_the_disk_first(survey):
    """Power loss: content before its name, rows before the checkpoint that counts them, names before what follows."""
    calls = survey.undisturbed.calls
    renames = [n for n, (call, name) in enumerate(calls) if call == "replace" and name.endswith(".tmp")]
    assert len(renames) >= 9
    for n in renames:
        assert calls[n - 1] == ("fsync", calls[n][1]) and calls[n + 1] == ("fsync", "run")
        if "checkpoint" in calls[n][1]:
            written = max(i for i in range(n) if calls[i] == ("write", "metrics.jsonl"))
            assert ("fsync", "metrics.jsonl") in calls[written:n]


def command(words: list[str], results: Path, **options) -> subprocess.Popen:
    whole = [sys.executable, "-m", "bnlab", *words, "--results", str(results)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(whole, cwd=CHECKOUT, **pipes, **options)


def the_run(results: Path) -> Path:
    (found,) = results.glob("*/*/runs/*/*")
    return found


def one_line(said: str) -> str:
    (line,) = [line for line in said.splitlines() if line.startswith("bnlab: ")]
    assert "Traceback" not in said and len(line) <= 240
    return line


def test_a_real_refusal_ends_the_command_with_6_and_the_same_again_goes_on(tmp_path):
    """By a limit on the size of files, which needs no disk to be filled."""
    words = [*COMMAND, "steps=150"]
    small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))  # noqa: E731
    refused = command(words, tmp_path / "a", preexec_fn=small)
    _, said = refused.communicate(timeout=300)
    assert refused.returncode == 6 and "File too large" in one_line(said) and str(tmp_path / "a") in one_line(said)
    assert command(words, tmp_path / "a").wait(300) == command(words, tmp_path / "b").wait(300) == 0
    assert digest(the_run(tmp_path / "a")) == digest(the_run(tmp_path / "b"))


def test_a_results_folder_that_vanishes_in_the_middle_is_one_line_and_goes_on_elsewhere(tmp_path):
    words = [*COMMAND, "steps=4000"]
    sweep = command(words, tmp_path / "a")
    deadline = time.monotonic() + 300
    while not list((tmp_path / "a").rglob("checkpoint.pt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    (tmp_path / "a").rename(tmp_path / "moved")
    _, said = sweep.communicate(timeout=300)
    assert sweep.returncode == 6 and "No such file or directory" in one_line(said), said
    assert not (tmp_path / "a").exists()
    again = command(words, tmp_path / "moved")
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0 and "resumed at step" in said
    undisturbed = command(words, tmp_path / "b")
    undisturbed.communicate(timeout=300)
    assert digest(the_run(tmp_path / "moved")) == digest(the_run(tmp_path / "b"))
