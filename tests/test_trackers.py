"""A tracker mirrors a run, and whatever becomes of the tracker, the run is the same."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bnlab import paths
from bnlab.config import TRACKERS as NAMES
from bnlab.config import DataConfig, ModelConfig, RunConfig, to_dict
from bnlab.store import Histogram, RunWriter, Status, create_run, read_status, write_status
from bnlab.trackers import TRACKERS, Handle, finish, folder_of, forget, start
from bnlab.trackers.ledger import Ledger
from bnlab.trackers.mirror import mirror
from bnlab.trackers.rows import Tail
from bnlab.trackers.tracker import Tracker

CONFIG = RunConfig(experiment="toy", variant="bn", seed=3, tracker="wandb")
HISTOGRAM = Histogram(0.0, 1.0, tuple(range(64)))


class Recorder:
    """A sink that remembers what it was given, and can be told to fail at a step."""

    def __init__(self, fail_at: int | None = None, next_step: int = 0) -> None:
        self.next_step = next_step
        self.rows: list[tuple[int, dict, dict]] = []
        self.state = ""
        self._fail_at = fail_at

    def record(self, step: int, values: dict, histograms: dict) -> None:
        if step == self._fail_at:
            raise RuntimeError("the service\nis away")
        self.rows.append((step, values, histograms))

    def close(self, state: str) -> None:
        self.state = state


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = tmp_path / "runs" / "bn" / "0a1b2c3d-s3"
    create_run(directory, CONFIG, directory.name, {})
    return directory


def train(run: Path, steps: range, state: str = "done", resume_at: int = 0) -> None:
    """Write what a training process writes."""
    writer = RunWriter(run, resume_at=resume_at)
    write_status(run, Status("running", steps.start, 100))
    for step in steps:
        values: dict = {"curves/train_loss": 2.0 - step / 100}
        writer.record(step, values | ({"activations/hist_output/01": HISTOGRAM} if step % 10 == 0 else {}))
    writer.close()
    write_status(run, Status(state, steps.stop, 100))


def mirrored(run: Path, sink: Recorder) -> str:
    ended = threading.Event()
    ended.set()
    folder = folder_of("wandb", run)
    folder.mkdir(exist_ok=True)
    return mirror(Tracker(lambda watched: sink, lambda: "here"), run, folder, to_dict(CONFIG), ended)


def ledger(run: Path) -> Ledger:
    return Ledger(folder_of("wandb", run))


def begin(run: Path) -> Handle:
    (handle,) = start("wandb", run, to_dict(CONFIG))
    return handle


def steps_of(sink: Recorder) -> list[int]:
    return [step for step, _, _ in sink.rows]


def fake_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Put a `wandb` made of this code before the real one, for the side process."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "wandb.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


def wait_for(condition, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_every_tracker_a_configuration_can_name_is_registered() -> None:
    assert set(TRACKERS) == set(NAMES)


def test_no_tracker_starts_nothing(run: Path) -> None:
    assert start("none", run, to_dict(CONFIG)) == [] == finish([], "toy")
    assert not folder_of("wandb", run).exists()


def test_a_sink_gets_every_row_once_and_the_final_state(run: Path) -> None:
    train(run, range(30), state="diverged")
    sink = Recorder()
    assert mirrored(run, sink) == ""
    assert steps_of(sink) == list(range(30))
    assert sink.rows[10][1] == {"curves/train_loss": 1.9}
    assert sink.rows[10][2]["activations/hist_output/01"] == {"lo": 0.0, "hi": 1.0, "counts": list(range(64))}
    assert sink.rows[11][2] == {}
    assert sink.state == "diverged"


def test_a_resumed_run_continues_where_the_mirror_was(run: Path) -> None:
    first, second = Recorder(), Recorder(next_step=30)
    train(run, range(30), state="preempted")
    mirrored(run, first)
    train(run, range(20, 50), resume_at=20)
    mirrored(run, second)
    assert steps_of(first) + steps_of(second) == list(range(50))
    assert (first.state, second.state) == ("preempted", "done")


def test_the_attempts_share_a_key_until_the_run_is_forgotten(run: Path) -> None:
    train(run, range(5))
    mirrored(run, Recorder())
    key = ledger(run).key
    assert ledger(run).key == key
    forget(run)
    again = Recorder()
    mirrored(run, again)
    assert steps_of(again) == list(range(5))
    assert ledger(run).key != key


def test_a_file_that_is_replaced_while_it_is_followed_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"step": step, "values": {}}) + "\n" for step in range(6)]
    tail = Tail(path)
    assert tail.rows() == []
    path.write_text("".join(lines[:4]))
    assert [row["step"] for row in tail.rows()] == [0, 1, 2, 3]
    aside = tmp_path / "aside"
    aside.write_text("".join(lines[:5]))
    aside.replace(path)
    assert [row["step"] for row in tail.rows()] == [4]
    with open(path, "a") as file:
        file.write(lines[5])
    assert [row["step"] for row in tail.rows()] == [5]


def test_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    line = json.dumps({"step": 0, "values": {"a": 1.0}}) + "\n"
    tail = Tail(path)
    path.write_text(line[:9])
    assert tail.rows() == []
    with open(path, "a") as file:
        file.write(line[9:])
    assert tail.rows() == [{"step": 0, "values": {"a": 1.0}}]


def test_a_sink_that_raises_ends_the_mirror_in_one_line(run: Path) -> None:
    train(run, range(30))
    sink = Recorder(fail_at=7)
    assert mirrored(run, sink) == "RuntimeError: the service is away"
    assert steps_of(sink) == list(range(7))
    assert ledger(run).problem == "RuntimeError: the service is away"
    assert ledger(run).rows("here") == 0


def test_wandb_offline_holds_curves_histograms_group_tags_and_config(run: Path, monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "wandb", raising=False)  # another test of this process may have loaded it
    handle = begin(run)
    train(run, range(30))
    assert handle.finish(60) == ""
    assert "wandb" not in sys.modules
    (stored,) = run.glob("wandb/offline-run-*/*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(stored)]
    inspected = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    records = [json.loads(line) for line in inspected.stdout.splitlines()]
    about = next(record["run"] for record in records if record["type"] == "run")
    text = json.dumps(about)
    assert all(word in text for word in ('"toy"', '"bn"', '"seed-3"', '"bn/0a1b2c3d-s3"', "full_images"))
    history = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert [item["_step"] for item in history] == list(range(30))
    assert history[20]["curves/train_loss"] == pytest.approx(1.8)
    assert history[20]["activations/hist_output/01.values"] == list(range(64))
    assert len(history[20]["activations/hist_output/01.bins"]) == 65


@pytest.mark.parametrize(
    "code, expected",
    [
        ("raise ModuleNotFoundError(\"No module named 'wandb'\")", "No module named 'wandb'"),
        ("Settings = dict\ndef init(**words):\n    raise OSError('no route to host')", "no route to host"),
        ("import os\nos._exit(7)", "exit code 7"),
    ],
    ids=["missing", "failing", "dying"],
)
def test_a_broken_wandb_costs_one_warning(tmp_path, monkeypatch, run, code: str, expected: str) -> None:
    fake_wandb(tmp_path, monkeypatch, code)
    handle = begin(run)
    train(run, range(10))
    (warning,) = finish([handle], "toy", 30)
    assert expected in warning and "`bnlab sync toy`" in warning
    assert warning.startswith("tracker wandb: ") and len(warning) <= 240 and "\n" not in warning


def test_a_wandb_that_hangs_is_stopped(tmp_path, monkeypatch, run) -> None:
    code = "import time, pathlib\npathlib.Path(__file__).with_name('here').touch()\ntime.sleep(999)"
    fake_wandb(tmp_path, monkeypatch, code)
    handle = begin(run)
    train(run, range(10))
    wait_for((tmp_path / "fake" / "here").exists)
    assert "did not finish within 0.2 s" in handle.finish(0.2)
    assert handle.process.returncode == -signal.SIGKILL


def test_a_mirror_that_is_killed_costs_one_warning(tmp_path, monkeypatch, run) -> None:
    fake_wandb(tmp_path, monkeypatch, "import time\ntime.sleep(999)")
    handle = begin(run)
    os.kill(handle.process.pid, signal.SIGKILL)
    train(run, range(10))
    assert "killed (signal 9)" in handle.finish(30)


def test_a_mirror_that_cannot_be_started_costs_one_warning(monkeypatch, run) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    handle = begin(run)
    train(run, range(10))
    assert "could not be started" in handle.finish(30)


def test_the_end_of_the_training_process_ends_its_mirror(isolated, run) -> None:
    """However that process dies: its end of the mirror's standard input closes with it."""
    code = (
        "import os, pathlib\nfrom bnlab.trackers import start\n"
        f"(handle,) = start('wandb', pathlib.Path({str(run)!r}), {to_dict(CONFIG)!r})\n"
        "print(handle.process.pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    train(run, range(10), state="running")
    died = isolated(code)
    assert died.returncode == -signal.SIGKILL
    pid = int(died.stdout)
    wait_for(lambda: not _is_alive(pid))
    assert ledger(run).sent["offline"] == {"step": 9, "state": "interrupted", "rows": 10}


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_run_writes_the_same_files_with_a_tracker_without_and_with_a_broken_one(tmp_path, monkeypatch) -> None:
    written = []
    fake_wandb(tmp_path, monkeypatch, "raise RuntimeError('broken')")
    for name in ("none", "wandb"):
        run = tmp_path / name / "0a1b2c3d-s3"
        create_run(run, CONFIG, run.name, {})
        handles = start(name, run, to_dict(CONFIG))
        train(run, range(20))
        assert len(finish(handles, "toy", 30)) == (name == "wandb")
        written.append([path(run).read_bytes() for path in (paths.config_json, paths.metrics_jsonl, paths.status_json)])
    assert written[0] == written[1]


def test_a_run_ends_in_the_same_place_with_a_broken_tracker_and_says_so(tmp_path, monkeypatch) -> None:
    from bnlab.running import run_one

    fake_wandb(tmp_path, monkeypatch, "raise RuntimeError('broken')")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    config = dataclasses.replace(CONFIG, data=DataConfig("synthetic"), model=ModelConfig(widths=(8, 4)), steps=12)
    runs, ends = {}, {}
    try:
        for name in ("none", "wandb"):
            runs[name] = tmp_path / name / "0a1b2c3d-s3"
            assert run_one(dataclasses.replace(config, tracker=name), runs[name], {}) == "done"
            ends[name] = read_status(runs[name])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert ends["none"].weights_sha256 == ends["wandb"].weights_sha256 != ""
    for path in (paths.metrics_parquet, paths.distributions_parquet):
        assert path(runs["none"]).read_bytes() == path(runs["wandb"]).read_bytes()
    assert [note for note in ends["none"].notes if "tracker" in note] == []
    (note,) = [note for note in ends["wandb"].notes if "tracker" in note]
    assert note.startswith("tracker wandb: RuntimeError: broken")
