"""Prepared sets as .npy files, memory-mapped: built aside, renamed whole, safe for many builders at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnlab.errors import IntegrityError

FORMAT = 1
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
ABANDONED_AFTER = 3600.0  # seconds; a folder of a builder that was killed
Stamp = list[list]


@dataclass(frozen=True)
class Arrays:
    """Images are uint8 (N, rows, columns, channels), labels int64 (N,); for both, a set of vectors has float32."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: int


@dataclass(frozen=True)
class Prepared:
    """`fingerprint` is a SHA-256 over the four arrays; `folder` is None when they are only in memory."""

    arrays: Arrays
    fingerprint: str
    folder: Path | None


def prepared(root: Path, key: str, sources: list[Path], build: Callable[[], Arrays]) -> Prepared:
    """The arrays stored under `key`, built first where they are absent, damaged or older than `sources`.

    They are kept in the data folder, or the user's cache where that cannot be written, or in memory.
    A copy whose files have the recorded sizes and times is taken as it is; else its checksums decide.
    """
    stamp = stamp_of(sources)
    places = _places(root, key)
    for folder in places:
        found = _open(folder, stamp)
        if found:
            return found
    arrays = _build(build, places, gone=bool(sources) and not stamp)
    for folder in places:
        with contextlib.suppress(OSError):
            _write(folder, arrays, stamp)
            found = _open(folder, stamp)
            if found:
                return found
    return in_memory(arrays)


def in_memory(arrays: Arrays) -> Prepared:
    return Prepared(arrays, _fingerprint({name: array_digest(getattr(arrays, name)) for name in ARRAYS}), None)


def _build(build: Callable[[], Arrays], places: list[Path], *, gone: bool) -> Arrays:
    """Build; where the sources are gone and a damaged copy is all there is, the error says that."""
    try:
        return build()
    except IntegrityError as error:
        damage = next(filter(None, map(damage_of, places)), "") if gone else ""
        if not damage:
            raise
        name = str(error).split(":")[0]
        raise IntegrityError(f"{name}: {damage}; it cannot be built again: type `bnlab data fetch {name}`") from error


def stamp_of(sources: list[Path]) -> Stamp:
    """Name, size and time of change of every source; empty when not all of them are there."""
    try:
        status = [(path.name, path.stat()) for path in sources]
    except OSError:
        return []
    return [[name, s.st_size, s.st_mtime_ns] for name, s in status]


def _bases(root: Path) -> list[Path]:
    bases = [root / ".cache" / "prepared"]
    with contextlib.suppress(RuntimeError):  # a user without a home
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        mark = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
        bases.append(home / "bnlab" / mark / "prepared")
    return bases


def _places(root: Path, key: str) -> list[Path]:
    return [base / f"{key}-v{FORMAT}" for base in _bases(root)]


def stored_copies(root: Path, name: str) -> list[Path]:
    """The folders in which prepared copies of a set lie, of every size."""
    return [copy for base in _bases(root) for copy in sorted(base.glob(f"{name}-*-v{FORMAT}"))]


def _open(folder: Path, stamp: Stamp) -> Prepared | None:
    """The copy in `folder`, or None where there is none that can be trusted."""
    try:
        index = json.loads((folder / "index.json").read_text())
        if stamp and index["sources"] != stamp:
            return None
        if not _sizes_and_times_hold(folder, index) and not _checksums_hold(folder, index):
            return None
        arrays = Arrays(**{name: _map(folder / f"{name}.npy") for name in ARRAYS}, classes=index["classes"])
        return Prepared(arrays, index["fingerprint"], folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _map(path: Path) -> np.ndarray:
    # copy-on-write: torch takes only writable arrays without a warning, and nothing reaches the file
    return np.load(path, mmap_mode="c")


def _sizes_and_times_hold(folder: Path, index: dict) -> bool:
    for name in ARRAYS:
        status = (folder / f"{name}.npy").stat()
        if [status.st_size, status.st_mtime_ns] != index["files"][name]["stat"]:
            return False
    return True


def _checksums_hold(folder: Path, index: dict) -> bool:
    return all(array_digest(_map(folder / f"{n}.npy")) == index["files"][n]["sha256"] for n in ARRAYS)


def damage_of(folder: Path) -> str:
    """Full check of a stored copy: empty when it is intact (or absent), else file, expected and found checksum."""
    if not folder.is_dir():
        return ""
    name = "index"
    try:
        index = json.loads((folder / "index.json").read_text())
        for name in ARRAYS:
            expected, found = index["files"][name]["sha256"], array_digest(_map(folder / f"{name}.npy"))
            if found != expected:
                file = f"{folder.name}/{name}.npy"
                return f"prepared copy {file}: expected sha256 {expected[:16]}..., found {found[:16]}..."
    except (OSError, ValueError, KeyError, TypeError):
        return f"prepared copy {folder.name}: {name} cannot be read"
    return ""


def discard(folder: Path) -> None:
    """Remove a stored copy; it is built again when next needed."""
    aside = _aside(folder)
    os.rename(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)


def array_digest(array: np.ndarray) -> str:
    """SHA-256 of type, shape and bytes."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _fingerprint(digests: dict[str, str]) -> str:
    return hashlib.sha256(" ".join(digests[name] for name in ARRAYS).encode()).hexdigest()


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}")


def _write(folder: Path, arrays: Arrays, stamp: Stamp) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    aside = _aside(folder)
    aside.mkdir()
    try:
        files = {name: _save(aside / f"{name}.npy", getattr(arrays, name)) for name in ARRAYS}
        fingerprint = _fingerprint({name: entry["sha256"] for name, entry in files.items()})
        index = {"fingerprint": fingerprint, "classes": arrays.classes, "sources": stamp, "files": files}
        write_text(aside / "index.json", json.dumps(index))
        _put(aside, folder, stamp)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _save(path: Path, array: np.ndarray) -> dict:
    with path.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)
        stream.flush()
        os.fsync(stream.fileno())
    status = path.stat()
    return {"sha256": array_digest(array), "stat": [status.st_size, status.st_mtime_ns]}


def write_text(path: Path, text: str) -> None:
    """Write a whole file under a temporary name, then rename it."""
    aside = _aside(path)
    with aside.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(aside, path)


def _put(aside: Path, folder: Path, stamp: Stamp) -> None:
    """Rename a finished folder into place; a sound copy that another builder put there first stays."""
    try:
        os.rename(aside, folder)  # refused by the kernel while a filled folder is there, so nobody's copy is lost
    except OSError:
        if _open(folder, stamp):
            return
        discard(folder)
        os.rename(aside, folder)


def _remove_abandoned(folder: Path) -> None:
    for other in folder.parent.glob(f".{folder.name}.*"):
        with contextlib.suppress(OSError):
            if time.time() - other.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(other, ignore_errors=True)


def remembered(copy: Prepared, name: str, compute: Callable[[], list]) -> list:
    """A small result kept as `name`.json beside the arrays it was computed from."""
    if copy.folder is None:
        return compute()
    path = copy.folder / f"{name}.json"
    with contextlib.suppress(OSError, ValueError):
        return json.loads(path.read_text())
    value = compute()
    with contextlib.suppress(OSError):
        write_text(path, json.dumps(value))
    return value
