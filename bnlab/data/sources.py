"""The downloaded sets as files: their names, published checksums and headers, and the check of one file."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bnlab.errors import EnvironmentFault, IntegrityError

BLOCK = 1 << 20


@dataclass(frozen=True)
class RawFile:
    """A file as it lies in the data folder, and what it is checked against.

    `packed_md5` belongs to `name`.gz. `dims` is the header of an idx file: images, rows, columns.
    """

    name: str
    md5: str = ""
    sha256: str = ""
    packed_md5: str = ""
    dims: tuple[int, ...] = ()


@dataclass(frozen=True)
class Source:
    """A set that torchvision reads; `shape` is (channels, rows, columns)."""

    name: str
    torchvision_class: str
    folder: str
    files: tuple[RawFile, ...]
    train: int
    test: int
    shape: tuple[int, int, int]
    classes: int = 10
    archive: str = ""
    archive_md5: str = ""


def _idx_files(sums: dict[str, tuple[str, str]]) -> tuple[RawFile, ...]:
    """The four idx files of an MNIST-like set from {name: (md5 of the .gz, sha256 unpacked or "")}."""
    files = []
    for name, (packed_md5, sha256) in sums.items():
        count = 60_000 if name.startswith("train") else 10_000
        dims = (count, 28, 28) if "images" in name else (count,)
        files.append(RawFile(name, sha256=sha256, packed_md5=packed_md5, dims=dims))
    return tuple(files)


# MD5 sums: those torchvision 0.28 checks. SHA-256 sums of unpacked MNIST: of files whose .gz has that MD5.
_MNIST = {
    "train-images-idx3-ubyte": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        "d53e105ee54ea40749a09fcbcd1e9432",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        "9fb629c4189551a2d022fa330f9573f3",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        "ec29112dd5afa0611ce80d1b7f02629c",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
_FASHION_MNIST = {
    "train-images-idx3-ubyte": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", ""),
    "train-labels-idx1-ubyte": ("25c81989df183df01b3e8a0aad5dffbe", ""),
    "t10k-images-idx3-ubyte": ("bef4ecab320f06d8554ea6380940ec79", ""),
    "t10k-labels-idx1-ubyte": ("bb300cfdad3c16e7a12a480ee83cd310", ""),
}
_CIFAR10 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}

SOURCES: dict[str, Source] = {
    "mnist": Source("mnist", "MNIST", "MNIST/raw", _idx_files(_MNIST), 60_000, 10_000, (1, 28, 28)),
    "fashion_mnist": Source(
        "fashion_mnist", "FashionMNIST", "FashionMNIST/raw", _idx_files(_FASHION_MNIST), 60_000, 10_000, (1, 28, 28)
    ),
    "cifar10": Source(
        "cifar10",
        "CIFAR10",
        "cifar-10-batches-py",
        tuple(RawFile(name, md5=md5) for name, md5 in _CIFAR10.items()),
        50_000,
        10_000,
        (3, 32, 32),
        archive="cifar-10-python.tar.gz",
        archive_md5="c58f30108f718f92721af3b95e74349a",
    ),
}


@dataclass(frozen=True)
class Check:
    """What one file was compared with; `kind` is md5, sha256, `md5 of the .gz` or header."""

    file: str
    kind: str
    expected: str
    found: str

    @property
    def ok(self) -> bool:
        return self.expected == self.found


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block


def digest(path: Path, kind: str) -> str:
    """Hexadecimal `md5` or `sha256` of a file."""
    with open_raw(path) as stream:
        return hashlib.file_digest(stream, kind).hexdigest()


def open_raw(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except PermissionError as error:
        raise EnvironmentFault(f"{shorten(path)}: no permission to read it; change its mode") from error


def check_file(folder: Path, raw: RawFile) -> Check:
    """Compare a file with the strongest sum known for it.

    Where only the packed file has a published sum, `name`.gz beside it is used; without that the
    header alone is compared with the size of the file.
    """
    path = folder / raw.name
    packed = folder / f"{raw.name}.gz"
    if raw.md5:
        return Check(raw.name, "md5", raw.md5, digest(path, "md5"))
    if raw.sha256:
        return Check(raw.name, "sha256", raw.sha256, digest(path, "sha256"))
    if packed.exists():
        return _check_against_packed(path, packed, raw)
    return check_header(path, raw)


def _check_against_packed(path: Path, packed: Path, raw: RawFile) -> Check:
    found = digest(packed, "md5")
    if found != raw.packed_md5:
        return Check(packed.name, "md5", raw.packed_md5, found)
    unpacked = hashlib.sha256()
    with gzip.open(packed) as stream:
        for block in blocks(stream):
            unpacked.update(block)
    return Check(raw.name, "sha256", unpacked.hexdigest(), digest(path, "sha256"))


def check_header(path: Path, raw: RawFile) -> Check:
    """Compare the header of an idx file, and the length that follows from it, with what the set has.

    The format: two zero bytes, 0x08 for unsigned bytes, the number of dimensions, then each of them
    as a big-endian 32-bit integer, then the bytes.
    """
    header = struct.pack(f">BBBB{len(raw.dims)}I", 0, 0, 8, len(raw.dims), *raw.dims)
    with open_raw(path) as stream:
        found = stream.read(len(header))
    size = path.stat().st_size
    expected_size = len(header) + math.prod(raw.dims)
    return Check(raw.name, "header", f"{header.hex()} {expected_size} bytes", f"{found.hex()} {size} bytes")


def missing_files(source: Source, folder: Path) -> list[str]:
    return [raw.name for raw in source.files if not os.path.isfile(folder / raw.name)]


def absent(source: Source, folder: Path) -> IntegrityError:
    """The error for a set that is not, or only partly, in the data folder."""
    missing = missing_files(source, folder)
    partly = f"{missing[0]} is missing" if 0 < len(missing) < len(source.files) else "not there"
    return IntegrityError(
        f"{source.name}: {partly} in {shorten(folder)}; type `bnlab data fetch {source.name}`, "
        f"or `bnlab data import {source.name} FOLDER` with a folder that has its files"
    )


def damaged(source: str, check: Check) -> IntegrityError:
    """The error for a file that is not what it should be; long sums are cut to 16 digits."""
    if check.kind == "header":
        detail = "its header or length is not that of the set"
        if check.expected.split()[1] != check.found.split()[1]:
            detail = f"expected {' '.join(check.expected.split()[1:])}, found {' '.join(check.found.split()[1:])}"
    else:
        detail = f"expected {check.kind} {_cut(check.expected)}, found {_cut(check.found)}"
    advice = f"type `bnlab data fetch {source}` or `bnlab data import {source} FOLDER`"
    return IntegrityError(f"{source}: {check.file} is damaged: {detail}; {advice}")


def require_intact(source: Source, folder: Path) -> list[Check]:
    """Check every file of a set; raises IntegrityError for the first that is absent or damaged."""
    if missing_files(source, folder):
        raise absent(source, folder)
    checks = []
    for raw in source.files:
        check = check_file(folder, raw)
        if not check.ok:
            raise damaged(source.name, check)
        checks.append(check)
    return checks


def _cut(checksum: str) -> str:
    return checksum if len(checksum) <= 32 else f"{checksum[:16]}..."


def shorten(path: Path, most: int = 60) -> str:
    """A path of at most `most` characters, its end kept."""
    text = str(path)
    return text if len(text) <= most else f"...{text[3 - most :]}"
