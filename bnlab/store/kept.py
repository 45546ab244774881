"""A finished run that is made again stays readable until the new one is finished."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bnlab import paths
from bnlab.store.files import ASIDE, disk_fault, sync_folder, write_aside


def keep(run: Path) -> None:
    """Put the files of a finished run aside as well, all of them or none, before they are removed here.

    They are links to the same content; whoever writes a run replaces its files and never changes one in place.
    Errors: EnvironmentFault.
    """
    kept = paths.kept_run(run)
    aside = kept.with_name(kept.name + ASIDE)
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for file in paths.OF_A_RUN:
            if file(run).exists():
                _link(file(run), file(aside))
        sync_folder(aside)
        shutil.rmtree(kept, ignore_errors=True)  # of an earlier time, left by a death just before it was dropped
        os.replace(aside, kept)
        sync_folder(run)
    except OSError as error:
        raise disk_fault(error, kept) from error


def drop_kept(run: Path) -> None:
    """What stays of it, where the disk refuses, costs room and no result."""
    shutil.rmtree(paths.kept_run(run), ignore_errors=True)


def _link(file: Path, to: Path) -> None:
    try:
        os.link(file, to)
    except OSError:  # a file system without links
        write_aside(to, file.read_bytes())
