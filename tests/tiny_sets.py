"""Tiny stand-ins for the downloaded sets, with checksums of their own: fixtures for the tests of data files.

PYTEST_DONT_REWRITE (test modules import it before pytest sees it as a plugin)
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bnlab.data.sources import SOURCES, RawFile

TRAIN, TEST = 12, 6


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder and an empty user cache."""
    monkeypatch.setenv("BNLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "data"


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def tiny_idx_files() -> dict[str, bytes]:
    random = np.random.RandomState(0)
    files = {}
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        files[f"{part}-images-idx3-ubyte"] = idx(random.randint(0, 256, (count, 28, 28)).astype(np.uint8))
        files[f"{part}-labels-idx1-ubyte"] = idx((np.arange(count) % 10).astype(np.uint8))
    return files


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def pin(monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, bytes], *, unpacked_sums: bool) -> None:
    """Stand a tiny set in for a real one, with its own checksums."""
    raws = []
    for file, content in files.items():
        count = TRAIN if file.startswith("train") else TEST
        sha256 = hashlib.sha256(content).hexdigest() if unpacked_sums else ""
        dims = (count, 28, 28) if "images" in file else (count,)
        md5 = hashlib.md5(packed(content)).hexdigest()
        raws.append(RawFile(file, sha256=sha256, packed_md5=md5, dims=dims))
    tiny = dataclasses.replace(SOURCES[name], files=tuple(raws), train=TRAIN, test=TEST)
    monkeypatch.setitem(SOURCES, name, tiny)


@pytest.fixture
def mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    files = tiny_idx_files()
    pin(monkeypatch, "mnist", files, unpacked_sums=True)
    return files


@pytest.fixture
def fashion(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    files = tiny_idx_files()
    pin(monkeypatch, "fashion_mnist", files, unpacked_sums=False)
    return files


def lay(folder: Path, files: dict[str, bytes], *, gz: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.gz" if gz else folder / name).write_bytes(packed(content) if gz else content)
    return folder


def one_line(error: Exception) -> str:
    text = str(error)
    assert "\n" not in text and len(text) <= 240, (len(text), text)
    return text


def flip_byte(path: Path, at: int = -3) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(bytes(content))


@pytest.fixture
def cifar(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Two images in each file; image k of the set has the constant red value k."""
    from bnlab.data.torchvision_compat import import_torchvision

    files = {"batches.meta": pickle.dumps({"label_names": list("abcdefghij")})}
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        pixels = np.zeros((2, 3, 32, 32), dtype=np.uint8)
        pixels[:, 0] = np.arange(2 * number, 2 * number + 2)[:, None, None]
        pixels[:, 2, :, 31] = 200
        files[name] = pickle.dumps({"data": pixels.reshape(2, -1), "labels": [number, 9]})
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    archive = hashlib.md5(cifar_archive(files)).hexdigest()
    raws = tuple(RawFile(name, md5=md5) for name, md5 in sums.items())
    tiny = dataclasses.replace(SOURCES["cifar10"], files=raws, train=10, test=2, archive_md5=archive)
    monkeypatch.setitem(SOURCES, "cifar10", tiny)
    reader = import_torchvision().datasets.CIFAR10
    monkeypatch.setattr(reader, "train_list", [[n, sums[n]] for n in sorted(sums) if n.startswith("data")])
    monkeypatch.setattr(reader, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": sums["batches.meta"]})
    return files


def cifar_archive(files: dict[str, bytes]) -> bytes:
    """With a member that would land outside, which nobody may follow."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, content in [*((f"cifar-10-batches-py/{n}", c) for n, c in files.items()), ("../escaped", b"x")]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(whole.getvalue(), mtime=0)
