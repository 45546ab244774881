"""What can go wrong with the real wandb costs a run one warning, and `bnlab sync` sends each missing row once."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import socket
import time
from pathlib import Path

import pytest
from mirrored_runs import CONFIG, directory, offline_rows, train
from wandb_service import KEY, Service, serving

from bnlab import paths
from bnlab.cli import main
from bnlab.config import DataConfig, ModelConfig, to_dict
from bnlab.store import read_status
from bnlab.trackers import Handle, finish, folder_of, start
from bnlab.trackers.wandb_tracker import UNFINISHED

pytestmark = pytest.mark.wandb


@pytest.fixture
def run(results: Path) -> Path:
    folder = directory(results)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    with serving() as standing_in:
        go_online(monkeypatch, standing_in.address)
        yield standing_in


def go_online(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for name, value in {"MODE": "online", "BASE_URL": address, "API_KEY": KEY}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)


def begin(run: Path) -> Handle:
    (handle,) = start("wandb", run, to_dict(CONFIG))
    return handle


def the_warning(handle: Handle, patience: float = 60) -> str:
    (warning,) = finish([handle], CONFIG.experiment, patience)
    assert len(warning) <= 240 and "\n" not in warning and "`bnlab sync ics_vgg` sends what is missing" in warning
    return warning


def steps(rows: list[dict]) -> list[int]:
    return [row["_step"] for row in rows]


def wait_for(condition, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def cores_of(handle: Handle) -> list[int]:
    """The processes named wandb-core that belong to this mirror."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        if name.endswith("(wandb-core") and rest.split()[1] == str(handle.process.pid) and rest.split()[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def test_a_killed_wandb_core_costs_one_warning_and_no_row(run):
    handle = begin(run)
    train(run, range(10), state="running")
    wait_for(
        lambda: cores_of(handle) and list(folder_of("wandb", run).glob(f"{UNFINISHED}/wandb/offline-run-*/*.wandb"))
    )
    for core in cores_of(handle):
        os.kill(core, signal.SIGKILL)
    train(run, range(30))
    assert the_warning(handle).startswith("tracker wandb: ")
    assert main(["sync"]) == 0
    assert steps(offline_rows(folder_of("wandb", run))) == list(range(30))


def test_a_full_disk_is_noticed_although_wandb_says_nothing(run):
    """By a limit on the size of files, which the side process and its wandb-core inherit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        handle = begin(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    train(run, range(200))
    assert "of 200 rows reached the disk" in the_warning(handle)
    assert offline_rows(folder_of("wandb", run)) == []
    assert main(["sync"]) == 0
    assert steps(offline_rows(folder_of("wandb", run))) == list(range(200))


def test_no_network_costs_one_warning_and_sync_sends_all_later(run, monkeypatch, service):
    go_online(monkeypatch, "http://127.0.0.1:9")
    handle = begin(run)
    train(run, range(20))
    assert "did not finish within 3 s" in the_warning(handle, 3)
    go_online(monkeypatch, service.address)
    assert main(["sync"]) == 0
    ((_, rows),) = service.rows.items()
    assert steps(rows) == list(range(20))


def test_a_service_that_never_answers_leaves_no_process(run, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as hole:
        go_online(monkeypatch, f"http://127.0.0.1:{hole.getsockname()[1]}")
        handle = begin(run)
        train(run, range(20))
        wait_for(lambda: cores_of(handle))
        cores = cores_of(handle)
        assert "did not finish within 1 s" in the_warning(handle, 1)
        wait_for(lambda: not any(Path(f"/proc/{core}/exe").exists() for core in cores))


def test_an_outage_in_the_middle_doubles_nothing(run, service):
    service.most_rows = 10
    handle = begin(run)
    train(run, range(30), state="running")
    wait_for(lambda: service.total == 10)
    train(run, range(30))
    assert "did not finish" in the_warning(handle, 3)
    service.most_rows = None
    assert main(["sync"]) == 0
    ((_, rows),) = service.rows.items()
    assert steps(rows) == list(range(30))


def test_online_without_a_key_nobody_is_asked(run, monkeypatch, tmp_path):
    go_online(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_API_KEY")
    for name in ("HOME", "NETRC", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    handle = begin(run)
    train(run, range(5))
    assert "no API key" in the_warning(handle)


def test_a_run_is_bit_identical_with_all_trackers(tmp_path, monkeypatch):
    from test_tensorboard import assert_equal_to_the_columns

    from bnlab.running import run_one

    config = dataclasses.replace(CONFIG, data=DataConfig("synthetic"), model=ModelConfig(widths=(8, 4)), steps=60)
    monkeypatch.setattr("bnlab.trackers.PATIENCE", 60)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    runs, ends = {}, {}
    try:
        for names in ("none", "wandb+tensorboard"):
            runs[names] = tmp_path / names / "0a1b2c3d-s3"
            assert run_one(dataclasses.replace(config, tracker=names), runs[names], {}) == "done"
            ends[names] = read_status(runs[names])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    plain, mirrored = runs.values()
    assert ends["none"].weights_sha256 == ends["wandb+tensorboard"].weights_sha256 != ""
    for path in (paths.metrics_jsonl, paths.metrics_parquet, paths.distributions_parquet):
        assert path(plain).read_bytes() == path(mirrored).read_bytes()
    assert [note for note in ends["wandb+tensorboard"].notes if "tracker" in note] == []
    assert_equal_to_the_columns(mirrored)
    assert len(offline_rows(folder_of("wandb", mirrored))) == len(
        paths.metrics_jsonl(mirrored).read_text().splitlines()
    )
