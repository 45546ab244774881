"""What `bnlab data` does: list, fetch, import, verify. Imports torch only to download."""

from __future__ import annotations

import contextlib
import gzip
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bnlab import data
from bnlab.config import DATASETS as NAMES
from bnlab.data import cache
from bnlab.data.sources import (
    SOURCES,
    Check,
    RawFile,
    Source,
    absent,
    check_file,
    digest,
    missing_files,
    open_raw,
    require_intact,
    shorten,
)
from bnlab.errors import BadInput, EnvironmentFault, IntegrityError
from bnlab.ranges import nearest

BUILT_IN = {
    "digits": "comes with scikit-learn: 1437 + 360 images, 1x8x8",
    "synthetic": "made on the spot, for tests only: 512 + 128 images, 1x8x8 or 3x32x32",
    "gaussian_map": "drawn by each seed: 1000 + 1000 vectors of 10 entries and their images under a Gaussian matrix",
}


def list_datasets() -> list[dict[str, str]]:
    """One row for each set: name, `state` (ready, incomplete, absent), `about`, `next` (what to type, or "")."""
    return [_row(name) for name in NAMES]


def _row(name: str) -> dict[str, str]:
    if name in BUILT_IN:
        return {"name": name, "state": "ready", "about": BUILT_IN[name], "next": ""}
    source = SOURCES[name]
    missing = missing_files(source, data.root() / source.folder)
    state = "ready" if not missing else "absent" if len(missing) == len(source.files) else "incomplete"
    if missing and cache.stored_copies(data.root(), name):
        state = "ready"  # checked when the prepared copy was made
    shape = "x".join(map(str, source.shape))
    about = f"{source.train} + {source.test} images, {shape}, in {shorten(data.root() / source.folder)}"
    return {
        "name": name,
        "state": state,
        "about": about,
        "next": "" if state == "ready" else f"bnlab data fetch {name}",
    }


def fetch(name: str) -> list[str]:
    """Download a set through torchvision into a folder aside, check it, put it in place; says what was done."""
    source = _source(name)
    if source is None:
        return [f"{name} {BUILT_IN[name]}; nothing to fetch"]
    with contextlib.suppress(IntegrityError):
        require_intact(source, data.root() / source.folder)
        return [f"{name}: already in {shorten(data.root() / source.folder)}, and intact"]
    with _staging() as staging:
        _download(source, staging)
        return _install(source, staging)


def import_from(name: str, folder: str | Path) -> list[str]:
    """Copy a set from a local folder that has its files, packed (.gz, .tar.gz) or unpacked.

    Every checksum is checked before anything is put in place. Raises BadInput when there is no such
    folder, IntegrityError when a file is missing from it or damaged, EnvironmentFault when the data
    folder cannot be written.
    """
    source = _source(name)
    if source is None:
        raise BadInput(f"{name} {BUILT_IN[name]}; there is nothing to import")
    if not Path(folder).is_dir():
        raise BadInput(f"{shorten(Path(folder))}: no such folder; type `bnlab data import {name} FOLDER`")
    return _install(source, Path(folder))


def verify(name: str) -> list[dict[str, str]]:
    """Check every file of a set and its prepared copies in full: rows of file, check, found.

    Raises IntegrityError when the set is absent or damaged; a damaged prepared copy is removed, since
    it can be built again.
    """
    source = _source(name)
    root = data.root()
    copies = cache.stored_copies(root, name)
    rows = []
    if source is not None and (not copies or not missing_files(source, root / source.folder)):
        rows += [_check_row(source, check) for check in require_intact(source, root / source.folder)]
    for copy in copies:
        damage = cache.damage_of(copy)
        if damage:
            with _environment_faults(copy):
                cache.discard(copy)
            raise IntegrityError(f"{name}: {damage}; it was removed and is built again when next needed")
        rows.append({"file": f"prepared copy {copy.name}", "check": "sha256", "found": "as recorded when it was built"})
    return rows or [{"file": name, "check": "none", "found": BUILT_IN.get(name, "")}]


def _check_row(source: Source, check: Check) -> dict[str, str]:
    found = check.found
    if check.kind == "header":
        found = "right length and header; a published checksum exists only for the packed file (.gz)"
    return {"file": f"{source.folder}/{check.file}", "check": check.kind, "found": found}


def _source(name: str) -> Source | None:
    if name not in NAMES:
        raise BadInput(f"data={name}: no such data set{nearest(name, NAMES)}; there are {', '.join(NAMES)}")
    return SOURCES.get(name)


@contextlib.contextmanager
def _environment_faults(place: Path) -> Iterator[None]:
    """Turns what the disk refuses into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        advice = "make room there, or set BNLAB_DATA to a folder you may write"
        raise EnvironmentFault(f"{shorten(place)}: {reason}; {advice}") from error


@contextlib.contextmanager
def _staging() -> Iterator[Path]:
    """A folder inside the data folder, gone afterwards; what is complete is renamed out of it."""
    root = data.root()
    staging = root / f".incoming-{os.getpid()}-{secrets.token_hex(4)}"
    with _environment_faults(root):
        staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _download(source: Source, folder: Path) -> None:
    from bnlab.data.torchvision_compat import import_torchvision

    reader = getattr(import_torchvision().datasets, source.torchvision_class)
    try:
        reader(str(folder), train=True, download=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:80]
        raise EnvironmentFault(
            f"{source.name}: download failed ({reason}); without a network, bring the files in a folder "
            f"and type `bnlab data import {source.name} FOLDER`"
        ) from error


def _install(source: Source, folder: Path) -> list[str]:
    target = data.root() / source.folder
    with _staging() as staging, _environment_faults(target):
        _stage(source, folder, staging)
        target.mkdir(parents=True, exist_ok=True)
        _replace(source, staging, target)
    return [f"{source.name}: {len(source.files)} files checked and put into {shorten(target)}"]


def _replace(source: Source, staging: Path, target: Path) -> None:
    for raw in source.files:
        packed = f"{raw.name}.gz"
        if (staging / packed).exists():
            os.replace(staging / packed, target / packed)
        elif raw.packed_md5 and not raw.sha256:  # an older packed file says nothing about the new one
            (target / packed).unlink(missing_ok=True)
        os.replace(staging / raw.name, target / raw.name)


def _stage(source: Source, folder: Path, staging: Path) -> None:
    """Copy or unpack every file into `staging` and check it there, so that what was checked is what is kept."""
    archive = _find(source, folder, source.archive)
    if archive:
        _require(source, archive, Check(archive.name, "md5", source.archive_md5, digest(archive, "md5")))
        _unpack_archive(source, archive, staging)
    for raw in source.files:
        origin = archive or _stage_one(source, raw, folder, staging)
        _require(source, origin, check_file(staging, raw))


def _stage_one(source: Source, raw: RawFile, folder: Path, staging: Path) -> Path:
    """Bring one file, from its packed form where that is there; returns what it came from."""
    packed = _find(source, folder, f"{raw.name}.gz") if raw.packed_md5 else None
    if packed:
        _require(source, packed, Check(packed.name, "md5", raw.packed_md5, digest(packed, "md5")))
        with gzip.open(packed) as stream:
            _copy(stream, staging / raw.name)
        if not raw.sha256:  # only the packed file has a published sum: keep it, for `verify`
            with open_raw(packed) as stream:
                _copy(stream, staging / packed.name)
        return packed
    plain = _find(source, folder, raw.name)
    if plain is None:
        wanted = f"{raw.name}.gz or {raw.name}" if raw.packed_md5 else f"{source.archive} or {raw.name}"
        raise IntegrityError(f"{source.name}: no {wanted} in {shorten(folder)}; nothing was imported")
    with open_raw(plain) as stream:
        _copy(stream, staging / raw.name)
    return plain


def _find(source: Source, folder: Path, file: str) -> Path | None:
    """A file in `folder`, or where torchvision would put it below."""
    parts = Path(source.folder).parts
    places = [folder, folder / source.folder, folder / parts[-1], folder / parts[0]]
    return next((place / file for place in places if file and (place / file).is_file()), None)


def _unpack_archive(source: Source, archive: Path, staging: Path) -> None:
    """Read only the members that belong to the set, by name: no path of the archive is ever followed."""
    with tarfile.open(archive) as tar:
        for raw in source.files:
            stream = tar.extractfile(f"{source.folder}/{raw.name}")
            if stream is None:
                raise absent(source, archive)
            _copy(stream, staging / raw.name)


def _copy(stream: BinaryIO, target: Path) -> None:
    with target.open("wb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())


def _require(source: Source, origin: Path, check: Check) -> None:
    if check.ok:
        return
    detail = f"expected {check.kind} {check.expected[:32]}, found {check.found[:32]}"
    if check.kind == "header":
        detail = "its header or length is not that of the set"
    raise IntegrityError(
        f"{source.name}: {shorten(origin, 50)} is damaged: {detail}; nothing was imported, get another copy"
    )
