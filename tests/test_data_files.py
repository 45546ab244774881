"""Files: absent, damaged, imported, prepared by several at once, in folders that cannot be written."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from bnlab import data
from bnlab.config import DataConfig
from bnlab.data import cache, library, sources
from bnlab.data.sources import SOURCES, RawFile
from bnlab.errors import BadInput, EnvironmentFault, IntegrityError

TRAIN, TEST = 12, 6
REAL_ROOT = os.environ.get("BNLAB_DATA")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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


# Absent and damaged


@pytest.mark.parametrize("name", list(SOURCES))
def test_an_absent_set_says_what_to_type(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BNLAB_DATA", str(tmp_path / ("deep" * 30)))
    with pytest.raises(IntegrityError) as caught:
        data.load(DataConfig(name))
    text = one_line(caught.value)
    assert f"`bnlab data fetch {name}`" in text and f"`bnlab data import {name} FOLDER`" in text
    assert caught.value.code == 5
    assert not (tmp_path / ("deep" * 30)).exists()


def test_an_incomplete_set_names_the_file(root: Path, mnist: dict[str, bytes]) -> None:
    lay(root / "MNIST/raw", mnist)
    (root / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(IntegrityError, match="t10k-labels-idx1-ubyte is missing"):
        data.load(DataConfig("mnist"))
    row = next(row for row in library.list_datasets() if row["name"] == "mnist")
    assert (row["state"], row["next"]) == ("incomplete", "bnlab data fetch mnist")


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "page"])
def test_a_damaged_idx_file(root: Path, mnist: dict[str, bytes], damage: str) -> None:
    path = lay(root / "MNIST/raw", mnist) / "train-images-idx3-ubyte"
    good = path.read_bytes()
    bad = {"flip": good[:-1] + b"\x01", "truncate": good[:-9], "empty": b"", "page": b"<html>404</html>"}[damage]
    path.write_bytes(bad)
    with pytest.raises(IntegrityError) as caught:
        data.load(DataConfig("mnist"))
    text = one_line(caught.value)
    assert "train-images-idx3-ubyte is damaged" in text
    assert hashlib.sha256(good).hexdigest()[:16] in text and hashlib.sha256(bad).hexdigest()[:16] in text
    assert not (root / ".cache").exists()


def test_a_damaged_cifar10_file_is_named_before_anything_is_unpickled(root: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    bomb = f"cos\nsystem\n(S'touch {canary}'\ntR.".encode()
    lay(root / "cifar-10-batches-py", {raw.name: bomb for raw in SOURCES["cifar10"].files})
    with pytest.raises(IntegrityError) as caught:
        data.load(DataConfig("cifar10"))
    text = one_line(caught.value)
    assert "data_batch_1 is damaged" in text and "c99cafc152244af753f735de768cd75f" in text
    assert hashlib.md5(bomb).hexdigest() in text
    assert not canary.exists()


def test_a_file_damaged_after_the_set_was_prepared_is_noticed(root: Path, mnist: dict[str, bytes]) -> None:
    folder = lay(root / "MNIST/raw", mnist)
    before = data.load(DataConfig("mnist")).fingerprint
    flip_byte(folder / "train-images-idx3-ubyte")
    with pytest.raises(IntegrityError, match="train-images-idx3-ubyte is damaged"):
        data.load(DataConfig("mnist"))
    lay(folder, mnist)
    assert data.load(DataConfig("mnist")).fingerprint == before


def test_fashion_mnist_unpacked_is_checked_by_header_and_length(root: Path, fashion: dict[str, bytes]) -> None:
    folder = lay(root / "FashionMNIST/raw", fashion)
    assert len(data.load(DataConfig("fashion_mnist")).train) == TRAIN
    rows = library.verify("fashion_mnist")
    assert sum("a published checksum exists only for the packed file" in row["found"] for row in rows) == 4
    (folder / "t10k-images-idx3-ubyte").write_bytes(fashion["t10k-images-idx3-ubyte"][:-1])
    with pytest.raises(IntegrityError, match=f"expected {16 + TEST * 784} bytes, found {15 + TEST * 784} bytes"):
        library.verify("fashion_mnist")
    (folder / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x09" + fashion["t10k-images-idx3-ubyte"][3:])
    with pytest.raises(IntegrityError, match="its header or length is not that of the set"):
        library.verify("fashion_mnist")


def test_labels_out_of_range_are_refused(root: Path, fashion: dict[str, bytes]) -> None:
    fashion["train-labels-idx1-ubyte"] = idx(np.full(TRAIN, 11, dtype=np.uint8))
    lay(root / "FashionMNIST/raw", fashion)
    with pytest.raises(IntegrityError, match="labels up to 11"):
        data.load(DataConfig("fashion_mnist"))


def test_the_pinned_sums_are_those_that_torchvision_checks() -> None:
    from bnlab.data.torchvision_compat import import_torchvision

    sets = import_torchvision().datasets
    for name in ("mnist", "fashion_mnist"):
        ours = {f"{raw.name}.gz": raw.packed_md5 for raw in SOURCES[name].files}
        assert ours == dict(getattr(sets, SOURCES[name].torchvision_class).resources)
    cifar = SOURCES["cifar10"]
    reader = sets.CIFAR10
    theirs = dict([*reader.train_list, *reader.test_list, (reader.meta["filename"], reader.meta["md5"])])
    assert {raw.name: raw.md5 for raw in cifar.files} == theirs
    assert (cifar.archive, cifar.archive_md5, cifar.folder) == (reader.filename, reader.tgz_md5, reader.base_folder)


# Import and fetch


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("below", [".", "MNIST/raw", "raw"])
def test_importing_packed_and_unpacked_files(
    root: Path, tmp_path: Path, mnist: dict[str, bytes], gz: bool, below: str
) -> None:
    lay(tmp_path / "copy" / below, mnist, gz=gz)
    assert "4 files checked" in library.import_from("mnist", tmp_path / "copy")[0]
    assert {p.name: p.read_bytes() for p in (root / "MNIST/raw").iterdir()} == mnist
    sets = data.load(DataConfig("mnist"))
    pixels = np.frombuffer(mnist["train-images-idx3-ubyte"][16:], np.uint8).reshape(TRAIN, 1, 28, 28)
    assert np.array_equal(sets.train.images.numpy(), pixels)
    assert sets.train.labels.tolist() == [i % 10 for i in range(TRAIN)]
    assert not list(root.glob(".incoming*"))


@pytest.mark.parametrize("gz", [False, True])
def test_nothing_is_put_in_place_when_one_file_is_damaged(
    root: Path, tmp_path: Path, mnist: dict[str, bytes], gz: bool
) -> None:
    folder = lay(tmp_path / "copy", mnist, gz=gz)
    last = sorted(folder.iterdir())[-1]
    flip_byte(last, at=-9)
    with pytest.raises(IntegrityError) as caught:
        library.import_from("mnist", folder)
    assert last.name in one_line(caught.value) and "nothing was imported" in str(caught.value)
    assert not (root / "MNIST").exists() and not list(root.glob(".incoming*"))


def test_importing_packed_fashion_mnist_keeps_what_it_can_be_verified_by(
    root: Path, tmp_path: Path, fashion: dict[str, bytes]
) -> None:
    library.import_from("fashion_mnist", lay(tmp_path / "copy", fashion, gz=True))
    assert {row["check"] for row in library.verify("fashion_mnist")} == {"sha256"}
    flip_byte(root / "FashionMNIST/raw/train-labels-idx1-ubyte")
    with pytest.raises(IntegrityError, match="train-labels-idx1-ubyte is damaged: expected sha256"):
        library.verify("fashion_mnist")
    library.import_from("fashion_mnist", lay(tmp_path / "plain", fashion))
    assert not list((root / "FashionMNIST/raw").glob("*.gz"))
    assert "header" in {row["check"] for row in library.verify("fashion_mnist")}


def test_an_import_from_the_wrong_folder(tmp_path: Path, mnist: dict[str, bytes]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(IntegrityError, match=r"no train-images-idx3-ubyte.gz or train-images-idx3-ubyte in"):
        library.import_from("mnist", tmp_path / "empty")
    with pytest.raises(BadInput, match="no such folder"):
        library.import_from("mnist", tmp_path / "absent")
    with pytest.raises(BadInput, match="did you mean 'mnist'"):
        library.import_from("mnits", tmp_path)
    with pytest.raises(BadInput, match="nothing to import"):
        library.import_from("digits", tmp_path)


def test_an_import_into_a_folder_that_cannot_be_written(
    tmp_path: Path, mnist: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BNLAB_DATA", str(tmp_path / "file"))
    with pytest.raises(EnvironmentFault, match="set BNLAB_DATA") as caught:
        library.import_from("mnist", lay(tmp_path / "copy", mnist))
    assert one_line(caught.value) and caught.value.code == 6


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


@pytest.mark.parametrize("form", ["archive", "folder", "files"])
def test_importing_cifar10(root: Path, tmp_path: Path, cifar: dict[str, bytes], form: str) -> None:
    copy = tmp_path / "copy"
    if form == "archive":
        copy.mkdir()
        (copy / "cifar-10-python.tar.gz").write_bytes(cifar_archive(cifar))
    else:
        lay(copy / "cifar-10-batches-py" if form == "folder" else copy, cifar)
    library.import_from("cifar10", copy)
    assert not list(tmp_path.rglob("escaped"))
    sets = data.load(DataConfig("cifar10"))
    assert sets.train.images[:, 0, 5, 7].tolist() == list(range(10))
    assert sets.test.images[:, 0, 5, 7].tolist() == [10, 11]
    assert sets.train.images[:, 2].float().mean((0, 1)).tolist() == [0.0] * 31 + [200.0]
    assert sets.train.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]


def test_a_damaged_archive_is_not_opened(root: Path, tmp_path: Path, cifar: dict[str, bytes]) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(cifar_archive(cifar)[:-20])
    with pytest.raises(IntegrityError, match="cifar-10-python.tar.gz is damaged: expected md5"):
        library.import_from("cifar10", tmp_path)
    assert not (root / "cifar-10-batches-py").exists()


def test_fetching(root: Path, mnist: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The download itself is torchvision's; here it lays the files out as torchvision does."""

    def download(source: sources.Source, folder: Path) -> None:
        lay(folder / source.folder, mnist, gz=True)

    lay(root / "MNIST/raw", dict.fromkeys(mnist, b"half a file"))
    monkeypatch.setattr(library, "_download", download)
    assert "4 files checked" in library.fetch("mnist")[0]
    assert "already" in library.fetch("mnist")[0]
    assert len(data.load(DataConfig("mnist")).test) == TEST
    assert "nothing to fetch" in library.fetch("digits")[0]


def test_a_download_that_fails(root: Path, mnist: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    from bnlab.data.torchvision_compat import import_torchvision

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading x:\nTried https://a, got:\n<urlopen error timed out>" + "." * 300)

    monkeypatch.setattr(import_torchvision().datasets, "MNIST", fail)
    with pytest.raises(EnvironmentFault, match="bnlab data import mnist FOLDER") as caught:
        library.fetch("mnist")
    one_line(caught.value)
    assert not list(root.glob(".incoming*"))


# Prepared copies


def prepared_folder(root: Path, key: str) -> Path:
    return root / ".cache/prepared" / f"{key}-v{cache.FORMAT}"


def test_verify_finds_a_flipped_byte_in_a_prepared_copy_and_removes_it(root: Path, mnist: dict[str, bytes]) -> None:
    lay(root / "MNIST/raw", mnist)
    before = data.load(DataConfig("mnist")).fingerprint
    copy = prepared_folder(root, "mnist-28")
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
    root: Path, mnist: dict[str, bytes], damage: str
) -> None:
    lay(root / "MNIST/raw", mnist)
    good = data.load(DataConfig("mnist"))
    path = prepared_folder(root, "mnist-28") / "test_labels.npy"
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


def test_a_copy_without_its_source_is_enough_and_damage_to_it_is_said(root: Path, mnist: dict[str, bytes]) -> None:
    lay(root / "MNIST/raw", mnist)
    before = data.load(DataConfig("mnist")).fingerprint
    shutil.rmtree(root / "MNIST")
    assert data.load(DataConfig("mnist")).fingerprint == before
    assert next(row["state"] for row in library.list_datasets() if row["name"] == "mnist") == "ready"
    flip_byte(prepared_folder(root, "mnist-28") / "train_images.npy")
    with pytest.raises(
        IntegrityError, match=r"train_images.npy: expected sha256 .* `bnlab data fetch mnist`"
    ) as caught:
        data.load(DataConfig("mnist"))
    one_line(caught.value)


def test_a_copy_whose_times_changed_is_trusted_by_its_checksums(root: Path, mnist: dict[str, bytes]) -> None:
    lay(root / "MNIST/raw", mnist)
    data.load(DataConfig("mnist"))
    copy = prepared_folder(root, "mnist-28")
    inode = copy.stat().st_ino
    os.utime(copy / "train_images.npy")
    data.load(DataConfig("mnist"))
    assert copy.stat().st_ino == inode


@pytest.mark.parametrize("both", [False, True])
def test_a_data_folder_that_cannot_be_written(root: Path, tmp_path: Path, both: bool) -> None:
    root.mkdir()
    (root / ".cache").write_text("a file where a folder would be: no one can make one, not even root")
    if both:
        (tmp_path / "home").write_text("the same here")
    first, second = (data.load(DataConfig("digits")) for _ in range(2))
    assert first.fingerprint == second.fingerprint and len(second.train) == 1437
    assert bool(list(tmp_path.glob("home/bnlab/*/prepared/digits-8-v1/index.json"))) != both


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_data_folder(root: Path, tmp_path: Path, mnist: dict[str, bytes]) -> None:
    lay(root / "MNIST/raw", mnist)
    root.chmod(0o555)
    try:
        assert len(data.load(DataConfig("mnist")).train) == TRAIN
        assert list(tmp_path.glob("home/bnlab/*/prepared/mnist-28-v1/index.json"))
    finally:
        root.chmod(0o755)


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


def test_two_processes_that_build_at_once(root: Path, tmp_path: Path) -> None:
    marks = [str(tmp_path / "a"), str(tmp_path / "b")]
    for _ in range(3):
        commands = [[sys.executable, "-c", _BUILDER, str(root), *marks], [sys.executable, "-c", _BUILDER, str(root)]]
        commands[1] += reversed(marks)
        processes = [subprocess.Popen(c, stdout=subprocess.PIPE, text=True) for c in commands]
        outputs = [process.communicate(timeout=60)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        assert outputs[0] == outputs[1]
        assert str(root) in outputs[0]
        assert [p.name for p in (root / ".cache/prepared").iterdir()] == ["raced-20-v1"]
        shutil.rmtree(root)
        for mark in marks:
            Path(mark).unlink()


def test_what_a_killed_builder_left_is_removed_later(root: Path) -> None:
    base = root / ".cache/prepared"
    old, new = base / ".digits-8-v1.1-dead", base / ".digits-8-v1.2-alive"
    for folder in (old, new):
        folder.mkdir(parents=True)
    long_ago = time.time() - 2 * cache.ABANDONED_AFTER
    os.utime(old, (long_ago, long_ago))
    data.load(DataConfig("digits"))
    assert not old.exists() and new.exists()


def test_a_loaded_set_cannot_alter_the_stored_copy(root: Path) -> None:
    sets = data.load(DataConfig("digits"))
    sets.train.rows[0] += 1
    assert cache.damage_of(prepared_folder(root, "digits-8")) == ""
    index = json.loads((prepared_folder(root, "digits-8") / "index.json").read_text())
    assert index["fingerprint"] == sets.fingerprint


# Real files


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_real_files_have_their_published_sums(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNLAB_DATA", REAL_ROOT or "data")
    if sources.missing_files(SOURCES[name], data.root() / SOURCES[name].folder):
        pytest.skip(f"{name} is not in BNLAB_DATA")
    rows = library.verify(name)
    assert len(rows) >= len(SOURCES[name].files)
