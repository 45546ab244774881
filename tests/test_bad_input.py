"""Every mistake is one short line, the right exit code, and nothing on disk."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnlab import cli
from bnlab.cli import main
from bnlab.commands.checks import BUILT_IN_TRAINING_IMAGES, training_images
from bnlab.data.sources import SOURCES

CHECKOUT = Path(__file__).resolve().parents[1]
RUN = ["run", "ics_vgg", "scale=smoke"]


def fails(capsys, words: list[str], code: int) -> str:
    """The one line that the command says; it must end with this exit code."""
    assert main(words) == code
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("bnlab: ") and len(line) <= 240 and line.isprintable()
    return line


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["rnu"], "did you mean 'run'"),
        (["run"], "are required: EXPERIMENT;"),
        (["run", "ics_vg"], "did you mean 'ics_vgg'"),
        ([*RUN, "--jbos", "1"], "--jbos"),
        ([*RUN, "--jobs", "two"], "'two'"),
        ([*RUN, "--jobs", "0"], "--jobs 0"),
        ([*RUN, "--jobs", "100000"], "cores"),
        ([*RUN, "threads=100000"], "at most 1024"),
        ([*RUN, "threads=1000"], "cores"),
        ([*RUN, "lrr=1"], "did you mean 'lr'"),
        ([*RUN, "+lrr=1"], "did you mean 'lr'"),
        ([*RUN, "lr=-1"], "lr=-1"),
        ([*RUN, "lr=nan"], "lr=nan"),
        ([*RUN, "lr=fast"], "lr=fast"),
        ([*RUN, "batch_size=0"], "batch_size=0"),
        ([*RUN, "batch_size=100000"], "there are only 256 training images"),
        ([*RUN, "data.train_subset=1400", "data.validation=100"], "1437"),
        (["run", "activation_histograms", "scale=smoke", "variant=bn", "model=mlp", "batch_size=1"], "batch_size=1"),
        ([*RUN, "seed=abc"], "seed=abc"),
        ([*RUN, "seed=-1"], "seed=-1"),
        ([*RUN, "variant=bm"], "did you mean 'bn'"),
        ([*RUN, "data=cifar100"], "cifar10"),
        ([*RUN, "model._target_=os.system"], "no such key"),
        ([*RUN, "_target_=os.system"], "no such key"),
        ([*RUN, "probe.names=[curvse]"], "did you mean 'curves'"),
        ([*RUN, "lr=${oc.env:HOME}"], "lr="),
        ([*RUN, "lr=0.1\n\x1b[31mred"], "\\x1b"),
        ([*RUN, "variant=" + "x" * 5000], " ... "),
        ([*RUN, "ics_vgg"], "key=value"),
        (["status", "ics_vg"], "did you mean 'ics_vgg'"),
        (["status", "../../etc"], "not the name"),
        (["claims", "ics_vg"], "did you mean 'ics_vgg'"),
        (["claims", "seed=1"], "data= and scale="),
        (["claims", "data=mnits"], "did you mean 'mnist'"),
        (["figures", "ics_vgg", "data=mnist"], "no experiment has such a plan"),
        (["figures", "--from", "nowhere"], "nowhere"),
        (["reproduce", "ics_vg"], "did you mean 'ics_vgg'"),
        (["reproduce", "data=fashion_mnist"], "data=fashion_mnist"),
        (["reproduce", "lrr=1"], "did you mean 'lr'"),
        (["data", "fetch"], "bnlab data fetch NAME"),
        (["data", "fetch", "mnits"], "did you mean 'mnist'"),
        (["data", "list", "mnist"], "too many"),
        (["data", "import", "mnist", "/no/such/folder"], "no such folder"),
        (["data", "steal"], "steal"),
    ],
    ids=lambda x: " ".join(x)[:40].encode("unicode_escape").decode() if isinstance(x, list) else "",
)
def test_bad_input_is_one_line_and_creates_nothing(capsys, results, tmp_path, monkeypatch, words, part):
    monkeypatch.setenv("BNLAB_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    assert part in fails(capsys, words, 2)
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_told_within_two_seconds_without_torch(no_torch):
    before = os.times().children_user  # processor time: a busy machine must not decide this
    done = no_torch(["run", "ics_vgg", "lr=-1"])
    assert done.returncode == 2 and "lr=-1" in done.stderr
    assert os.times().children_user - before < 2.0


def test_absent_data_says_what_to_type(capsys, results, tmp_path, monkeypatch):
    monkeypatch.setenv("BNLAB_DATA", str(tmp_path / "data"))
    line = fails(capsys, ["run", "ics_vgg", "data=cifar10"], 5)
    assert "bnlab data fetch cifar10" in line and "bnlab data import cifar10 FOLDER" in line
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there_is_missed_before_anything_is_created(capsys, results, monkeypatch):
    monkeypatch.setattr("bnlab.commands.checks.GPU_FILES", ("no-such-device*",))
    assert "device=cuda: this machine shows no GPU" in fails(capsys, [*RUN, "device=cuda"], 6)
    assert not results.exists()
    assert main([*RUN, "device=cuda", "--dry-run"]) == 0
    assert "not yet: device=cuda" in capsys.readouterr().out


def test_damaged_data_is_named_with_both_checksums(capsys, results, tmp_path, monkeypatch):
    monkeypatch.setenv("BNLAB_DATA", str(tmp_path / "data"))
    source = SOURCES["cifar10"]
    folder = tmp_path / "data" / source.folder
    folder.mkdir(parents=True)
    for raw in source.files:
        (folder / raw.name).write_bytes(b"not what it was")
    line = fails(capsys, ["run", "ics_vgg", "data=cifar10"], 5)
    assert "data_batch_1" in line and source.files[0].md5[:16] in line and re.search("found [0-9a-f]{16}", line)
    assert not results.exists()


def test_a_results_folder_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    line = fails(capsys, [*RUN, "--results", str(tmp_path / "file" / "below")], 6)
    assert "--results DIR" in line and str(tmp_path / "file") in line
    assert "/proc/" in fails(capsys, [*RUN, "--results", "/proc/nowhere"], 6)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_results_folder_without_permission(capsys, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert "locked" in fails(capsys, [*RUN, "--results", str(locked / "results")], 6)


@pytest.mark.parametrize("words", [["claims"], ["figures"], ["claims", "ics_vgg"], ["pack"], ["unpack"]], ids=" ".join)
def test_nothing_to_read_is_incomplete(capsys, results, words):
    assert "type `bnlab" in fails(capsys, words, 4) or words == ["unpack"]
    assert not results.exists()


def test_a_fault_of_ours_is_one_line_with_its_traceback_in_a_file(capsys, results, monkeypatch):
    def break_down(arguments):
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("bnlab.commands.listing.list_experiments", break_down)
    results.mkdir()
    line = fails(capsys, ["list"], 1)
    (log,) = results.glob("bnlab-fault-*.log")
    assert "ZeroDivisionError: a b" in line and str(log) in line
    assert "break_down" in log.read_text() and ": list\n" in log.read_text()


@pytest.mark.parametrize(("number", "code", "by"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 75, "SIGTERM")])
def test_a_signal_outside_of_training(capsys, monkeypatch, number, code, by):
    def stop(arguments):
        os.kill(os.getpid(), number)
        time.sleep(10)

    monkeypatch.setattr("bnlab.commands.listing.show_status", stop)
    before = signal.getsignal(signal.SIGTERM)
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts behind it ignores Ctrl-C
    try:
        line = fails(capsys, ["status", "ics_vgg"], code)
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert f"stopped by {by}" in line and line.endswith("start again with: bnlab status ics_vgg")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("closed", "code"), [("list >&-", 0), ("rnu 2>&-", 2), ("list <&- >&- 2>&-", 0)])
def test_closed_streams_are_no_fault(tmp_path, closed, code):
    words = f"{sys.executable} -m bnlab {closed}"
    done = subprocess.run(["bash", "-c", words], cwd=CHECKOUT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_what_the_system_refuses_is_no_fault_of_ours(capsys, results, monkeypatch):
    def refuse(arguments):
        raise OSError(28, "No space left on device", "/some/where")

    monkeypatch.setattr("bnlab.commands.listing.show_status", refuse)
    assert "/some/where: No space left" in fails(capsys, ["status"], 6)


def test_long_messages_keep_both_ends(capsys):
    cli.say("start " + "x" * 1000 + " end")
    line = capsys.readouterr().err
    assert line.startswith("bnlab: start") and line.endswith(" end\n") and len(line) <= 241


@pytest.mark.parametrize("name", BUILT_IN_TRAINING_IMAGES)
def test_the_sizes_checked_against_are_those_of_the_sets(name, tmp_path):
    code = (
        f"from pathlib import Path; from bnlab.data import DATASETS, DRAWN; name = '{name}'; "
        f"prepared = DRAWN[name](0) if name in DRAWN else DATASETS[name](Path('{tmp_path}'), 0); "
        "print(len(prepared.arrays.train_labels))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True)
    assert int(done.stdout) == training_images(name)
