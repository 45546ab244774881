"""Prepared copies: damaged, built by several at once, in folders that cannot be written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_sets import TEST, TRAIN, flip_byte, lay, one_line

from bnlab import data
from bnlab.config import DataConfig
from bnlab.data import cache, library
from bnlab.errors import IntegrityError

pytest_plugins = ["tiny_sets"]
pytestmark = pytest.mark.usefixtures("data_root")


def prepared_folder(data_root: Path, key: str) -> Path:
    return data_root / ".cache/prepared" / f"{key}-v{cache.FORMAT}"


def test_verify_finds_a_flipped_byte_in_a_prepared_copy_and_removes_it(
    data_root: Path, mnist: dict[str, bytes]
) -> None:
    lay(data_root / "MNIST/raw", mnist)
    before = data.load(DataConfig("mnist")).fingerprint
    copy = prepared_folder(data_root, "mnist-28")
    status = (copy / "train_images.npy").stat()
    flip_byte(copy / "train_images.npy")
    os.utime(copy / "train_images.npy", ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(IntegrityError, match=r"train_images.npy: expected sha256 .* found .* removed") as caught:
        library.verify("mnist")
    one_line(caught.value)
    assert not copy.exists()
    assert data.load(DataConfig("mnist")).fingerprint == before
    assert [row["file"] for row in library.verify("mnist")][-1] == "prepared copy mnist-28-v1"


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "index"])
def test_a_damaged_copy_is_built_again_where_its_source_is_there(
    data_root: Path, mnist: dict[str, bytes], damage: str
) -> None:
    lay(data_root / "MNIST/raw", mnist)
    good = data.load(DataConfig("mnist"))
    path = prepared_folder(data_root, "mnist-28") / "test_labels.npy"
    if damage == "flip":
        flip_byte(path)
    elif damage == "truncate":
        path.write_bytes(path.read_bytes()[:-4])
    elif damage == "remove":
        path.unlink()
    else:
        (path.parent / "index.json").write_text('{"sources": 1}')
    again = data.load(DataConfig("mnist"))
    assert again.fingerprint == good.fingerprint
    assert again.test.labels.tolist() == [i % 10 for i in range(TEST)]


def test_a_copy_without_its_source_is_enough_and_damage_to_it_is_said(data_root: Path, mnist: dict[str, bytes]) -> None:
    lay(data_root / "MNIST/raw", mnist)
    before = data.load(DataConfig("mnist")).fingerprint
    shutil.rmtree(data_root / "MNIST")
    assert data.load(DataConfig("mnist")).fingerprint == before
    assert next(row["state"] for row in library.list_datasets() if row["name"] == "mnist") == "ready"
    flip_byte(prepared_folder(data_root, "mnist-28") / "train_images.npy")
    with pytest.raises(
        IntegrityError, match=r"train_images.npy: expected sha256 .* `bnlab data fetch mnist`"
    ) as caught:
        data.load(DataConfig("mnist"))
    one_line(caught.value)


def test_a_copy_whose_times_changed_is_trusted_by_its_checksums(data_root: Path, mnist: dict[str, bytes]) -> None:
    lay(data_root / "MNIST/raw", mnist)
    data.load(DataConfig("mnist"))
    copy = prepared_folder(data_root, "mnist-28")
    inode = copy.stat().st_ino
    os.utime(copy / "train_images.npy")
    data.load(DataConfig("mnist"))
    assert copy.stat().st_ino == inode


@pytest.mark.parametrize("both", [False, True])
def test_a_data_folder_that_cannot_be_written(data_root: Path, tmp_path: Path, both: bool) -> None:
    data_root.mkdir()
    (data_root / ".cache").write_text("a file where a folder would be: no one can make one, not even root")
    if both:
        (tmp_path / "home").write_text("the same here")
    first, second = (data.load(DataConfig("digits")) for _ in range(2))
    assert first.fingerprint == second.fingerprint and len(second.train) == 1437
    assert bool(list(tmp_path.glob("home/bnlab/*/prepared/digits-8-v1/index.json"))) != both


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_data_folder(data_root: Path, tmp_path: Path, mnist: dict[str, bytes]) -> None:
    lay(data_root / "MNIST/raw", mnist)
    data_root.chmod(0o555)
    try:
        assert len(data.load(DataConfig("mnist")).train) == TRAIN
        assert list(tmp_path.glob("home/bnlab/*/prepared/mnist-28-v1/index.json"))
    finally:
        data_root.chmod(0o755)


_BUILDER = """
import sys, time
from pathlib import Path
import numpy as np
from bnlab.data import cache
root, me, other = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
def build():
    me.touch()
    while not other.exists():
        time.sleep(0.001)
    images = np.arange(40000, dtype=np.uint8).reshape(100, 20, 20, 1)
    return cache.Arrays(images, np.arange(100), images[:9], np.arange(9), 100)
copy = cache.prepared(root, "raced-20", [], build)
print(copy.fingerprint, copy.folder, int(copy.arrays.train_images.astype(int).sum()))
"""


def test_two_processes_that_build_at_once(data_root: Path, tmp_path: Path) -> None:
    marks = [str(tmp_path / "a"), str(tmp_path / "b")]
    for _ in range(3):
        commands = [
            [sys.executable, "-c", _BUILDER, str(data_root), *marks],
            [sys.executable, "-c", _BUILDER, str(data_root)],
        ]
        commands[1] += reversed(marks)
        processes = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True) for c in commands]
        outputs = [process.communicate(timeout=60)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        assert outputs[0] == outputs[1]
        assert str(data_root) in outputs[0]
        assert [p.name for p in (data_root / ".cache/prepared").iterdir()] == ["raced-20-v1"]
        shutil.rmtree(data_root)
        for mark in marks:
            Path(mark).unlink()


def test_what_a_killed_builder_left_is_removed_later(data_root: Path) -> None:
    base = data_root / ".cache/prepared"
    old, new = base / ".digits-8-v1.1-dead", base / ".digits-8-v1.2-alive"
    for folder in (old, new):
        folder.mkdir(parents=True)
    long_ago = time.time() - 2 * cache.ABANDONED_AFTER
    os.utime(old, (long_ago, long_ago))
    data.load(DataConfig("digits"))
    assert not old.exists() and new.exists()


def test_a_loaded_set_cannot_alter_the_stored_copy(data_root: Path) -> None:
    sets = data.load(DataConfig("digits"))
    sets.train.rows[0] += 1
    assert cache.damage_of(prepared_folder(data_root, "digits-8")) == ""
    index = json.loads((prepared_folder(data_root, "digits-8") / "index.json").read_text())
    assert index["fingerprint"] == sets.fingerprint
