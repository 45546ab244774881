"""Files of the downloaded sets: absent, damaged, imported, fetched, verified."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from tiny_sets import TEST, TRAIN, cifar_archive, flip_byte, idx, lay, one_line

from bnlab import data
from bnlab.config import DataConfig
from bnlab.data import library, sources
from bnlab.data.sources import SOURCES
from bnlab.errors import BadInput, EnvironmentFault, IntegrityError

pytest_plugins = ["tiny_sets"]
pytestmark = pytest.mark.usefixtures("data_root")
REAL_ROOT = os.environ.get("BNLAB_DATA")


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


def test_an_incomplete_set_names_the_file(data_root: Path, mnist: dict[str, bytes]) -> None:
    lay(data_root / "MNIST/raw", mnist)
    (data_root / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(IntegrityError, match="t10k-labels-idx1-ubyte is missing"):
        data.load(DataConfig("mnist"))
    row = next(row for row in library.list_datasets() if row["name"] == "mnist")
    assert (row["state"], row["next"]) == ("incomplete", "bnlab data fetch mnist")


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "page"])
def test_a_damaged_idx_file(data_root: Path, mnist: dict[str, bytes], damage: str) -> None:
    path = lay(data_root / "MNIST/raw", mnist) / "train-images-idx3-ubyte"
    good = path.read_bytes()
    bad = {"flip": good[:-1] + b"\x01", "truncate": good[:-9], "empty": b"", "page": b"<html>404</html>"}[damage]
    path.write_bytes(bad)
    with pytest.raises(IntegrityError) as caught:
        data.load(DataConfig("mnist"))
    text = one_line(caught.value)
    assert "train-images-idx3-ubyte is damaged" in text
    assert hashlib.sha256(good).hexdigest()[:16] in text and hashlib.sha256(bad).hexdigest()[:16] in text
    assert not (data_root / ".cache").exists()


def test_a_damaged_cifar10_file_is_named_before_anything_is_unpickled(data_root: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    bomb = f"cos\nsystem\n(S'touch {canary}'\ntR.".encode()
    lay(data_root / "cifar-10-batches-py", {raw.name: bomb for raw in SOURCES["cifar10"].files})
    with pytest.raises(IntegrityError) as caught:
        data.load(DataConfig("cifar10"))
    text = one_line(caught.value)
    assert "data_batch_1 is damaged" in text and "c99cafc152244af753f735de768cd75f" in text
    assert hashlib.md5(bomb).hexdigest() in text
    assert not canary.exists()


def test_a_file_damaged_after_the_set_was_prepared_is_noticed(data_root: Path, mnist: dict[str, bytes]) -> None:
    folder = lay(data_root / "MNIST/raw", mnist)
    before = data.load(DataConfig("mnist")).fingerprint
    flip_byte(folder / "train-images-idx3-ubyte")
    with pytest.raises(IntegrityError, match="train-images-idx3-ubyte is damaged"):
        data.load(DataConfig("mnist"))
    lay(folder, mnist)
    assert data.load(DataConfig("mnist")).fingerprint == before


def test_fashion_mnist_unpacked_is_checked_by_header_and_length(data_root: Path, fashion: dict[str, bytes]) -> None:
    folder = lay(data_root / "FashionMNIST/raw", fashion)
    assert len(data.load(DataConfig("fashion_mnist")).train) == TRAIN
    rows = library.verify("fashion_mnist")
    assert sum("a published checksum exists only for the packed file" in row["found"] for row in rows) == 4
    (folder / "t10k-images-idx3-ubyte").write_bytes(fashion["t10k-images-idx3-ubyte"][:-1])
    with pytest.raises(IntegrityError, match=f"expected {16 + TEST * 784} bytes, found {15 + TEST * 784} bytes"):
        library.verify("fashion_mnist")
    (folder / "t10k-images-idx3-ubyte").write_bytes(b"\0\0\x09" + fashion["t10k-images-idx3-ubyte"][3:])
    with pytest.raises(IntegrityError, match="its header or length is not that of the set"):
        library.verify("fashion_mnist")


def test_labels_out_of_range_are_refused(data_root: Path, fashion: dict[str, bytes]) -> None:
    fashion["train-labels-idx1-ubyte"] = idx(np.full(TRAIN, 11, dtype=np.uint8))
    lay(data_root / "FashionMNIST/raw", fashion)
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
    data_root: Path, tmp_path: Path, mnist: dict[str, bytes], gz: bool, below: str
) -> None:
    lay(tmp_path / "copy" / below, mnist, gz=gz)
    assert "4 files checked" in library.import_from("mnist", tmp_path / "copy")[0]
    assert {p.name: p.read_bytes() for p in (data_root / "MNIST/raw").iterdir()} == mnist
    sets = data.load(DataConfig("mnist"))
    pixels = np.frombuffer(mnist["train-images-idx3-ubyte"][16:], np.uint8).reshape(TRAIN, 1, 28, 28)
    assert np.array_equal(sets.train.images.numpy(), pixels)
    assert sets.train.labels.tolist() == [i % 10 for i in range(TRAIN)]
    assert not list(data_root.glob(".incoming*"))


@pytest.mark.parametrize("gz", [False, True])
def test_nothing_is_put_in_place_when_one_file_is_damaged(
    data_root: Path, tmp_path: Path, mnist: dict[str, bytes], gz: bool
) -> None:
    folder = lay(tmp_path / "copy", mnist, gz=gz)
    last = sorted(folder.iterdir())[-1]
    flip_byte(last, at=-9)
    with pytest.raises(IntegrityError) as caught:
        library.import_from("mnist", folder)
    assert last.name in one_line(caught.value) and "nothing was imported" in str(caught.value)
    assert not (data_root / "MNIST").exists() and not list(data_root.glob(".incoming*"))


def test_importing_packed_fashion_mnist_keeps_what_it_can_be_verified_by(
    data_root: Path, tmp_path: Path, fashion: dict[str, bytes]
) -> None:
    library.import_from("fashion_mnist", lay(tmp_path / "copy", fashion, gz=True))
    assert {row["check"] for row in library.verify("fashion_mnist")} == {"sha256"}
    flip_byte(data_root / "FashionMNIST/raw/train-labels-idx1-ubyte")
    with pytest.raises(IntegrityError, match="train-labels-idx1-ubyte is damaged: expected sha256"):
        library.verify("fashion_mnist")
    library.import_from("fashion_mnist", lay(tmp_path / "plain", fashion))
    assert not list((data_root / "FashionMNIST/raw").glob("*.gz"))
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


@pytest.mark.parametrize("form", ["archive", "folder", "files"])
def test_importing_cifar10(data_root: Path, tmp_path: Path, cifar: dict[str, bytes], form: str) -> None:
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


def test_a_damaged_archive_is_not_opened(data_root: Path, tmp_path: Path, cifar: dict[str, bytes]) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(cifar_archive(cifar)[:-20])
    with pytest.raises(IntegrityError, match="cifar-10-python.tar.gz is damaged: expected md5"):
        library.import_from("cifar10", tmp_path)
    assert not (data_root / "cifar-10-batches-py").exists()


def test_fetching(data_root: Path, mnist: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The download itself is torchvision's; here it lays the files out as torchvision does."""

    def download(source: sources.Source, folder: Path) -> None:
        lay(folder / source.folder, mnist, gz=True)

    lay(data_root / "MNIST/raw", dict.fromkeys(mnist, b"half a file"))
    monkeypatch.setattr(library, "_download", download)
    assert "4 files checked" in library.fetch("mnist")[0]
    assert "already" in library.fetch("mnist")[0]
    assert len(data.load(DataConfig("mnist")).test) == TEST
    assert "nothing to fetch" in library.fetch("digits")[0]


def test_a_download_that_fails(data_root: Path, mnist: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    from bnlab.data.torchvision_compat import import_torchvision

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading x:\nTried https://a, got:\n<urlopen error timed out>" + "." * 300)

    monkeypatch.setattr(import_torchvision().datasets, "MNIST", fail)
    with pytest.raises(EnvironmentFault, match="bnlab data import mnist FOLDER") as caught:
        library.fetch("mnist")
    one_line(caught.value)
    assert not list(data_root.glob(".incoming*"))


# Real files


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_real_files_have_their_published_sums(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNLAB_DATA", REAL_ROOT or "data")
    if sources.missing_files(SOURCES[name], data.root() / SOURCES[name].folder):
        pytest.skip(f"{name} is not in BNLAB_DATA")
    rows = library.verify(name)
    assert len(rows) >= len(SOURCES[name].files)
