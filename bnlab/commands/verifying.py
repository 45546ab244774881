"""`bnlab verify`: trains a stored run again and says where it first differs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from bnlab import paths
from bnlab.commands.checks import check_data, check_devices
from bnlab.commands.words import add_results, need_results
from bnlab.errors import BadInput
from bnlab.store import read_recorded, runs_named

EXAMPLES = """examples:
  bnlab verify 1f3a09c2-s3                                           an id, or the beginning of one
  bnlab verify results/ics_vgg/digits-laptop/runs/bn/1f3a09c2-s3     a run directory

The run is trained in memory; nothing that is stored changes. Exit codes: 0 no difference, 2 no such run, 4 not
finished, 5 a difference, which is printed with its step, 130 stopped by Ctrl-C.
"""
PARTS = 10  # of a training, with a line after each
IDS_SHOWN = 5


def configure_verify(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("run", metavar="RUN", help="directory or id; `bnlab status` lists the ids")
    add_results(parser)
    parser.set_defaults(act=verify)


def verify(arguments: argparse.Namespace) -> int:
    run = _find(paths.results_root(arguments.results), arguments.run)
    stored = read_recorded(run)
    if stored.config.procedure != "train":
        raise BadInput(f"{run}: its procedure, {stored.config.procedure}, trains nothing; choose a run that trains")
    if stored.config.replicas > 1:
        raise BadInput(f"{run}: replicas={stored.config.replicas} trained it together; choose a run of one process")
    check_devices([stored.config.device])
    check_data([stored.config.data.name])
    from bnlab.verification import Verification  # here: from now on torch is needed

    verification = Verification(stored)
    print(f"{run}: training {stored.status.step} steps again")
    for line in (*stored.status.notes, *verification.apart):
        print(f"  {line}")
    if not stored.digests:
        print("  no digests of its tensors are stored: what was measured and the final weights are compared")
    sys.stdout.flush()
    found = verification.train(_progress(stored.status.step))
    tensors = f"{found.tensors} tensors at {found.rungs} steps, " if found.rungs else ""
    weights = f", final weights {found.weights[:12]}" if found.weights else ""
    print(f"no difference: {found.steps} steps, {tensors}{found.values:,} values{weights}")
    return 0


def _find(root: Path, word: str) -> Path:
    """The run directory that the word is, or whose id it begins. Errors: BadInput, Incomplete."""
    if paths.config_json(Path(word)).is_file():
        return Path(word)
    if not word.strip(".") or "/" in word:
        raise BadInput(f"{word or 'an empty word'}: not a run directory; `bnlab status` lists the runs and their ids")
    need_results(root)
    found = runs_named(root, word)
    if not found:
        raise BadInput(f"{word}: no such run in {root}; `bnlab status` lists them, `bnlab unpack` lays out a pack's")
    if len(found) > 1:
        names = ", ".join(run.name for run in found[:IDS_SHOWN])
        more = f" and {len(found) - IDS_SHOWN} more" if len(found) > IDS_SHOWN else ""
        raise BadInput(f"{word}: {len(found)} runs begin so: {names}{more}; write one of them in full")
    return found[0]


def _progress(steps: int) -> Callable[[int], None]:
    """Says on stderr, ten times at most, how far the training is."""
    due = {steps * part // PARTS: f"{100 * part // PARTS} %" for part in range(1, PARTS)}

    def say(step: int) -> None:
        if step in due and step > 0:
            print(f"{due[step]:>5}  step {step} of {steps}", file=sys.stderr, flush=True)

    return say
