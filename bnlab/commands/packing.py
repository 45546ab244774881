"""`bnlab pack` and `bnlab unpack`: between run directories and the form that is kept in git."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnlab import paths
from bnlab.commands.words import Target, add_selection, need_results, parse_selection, stored_targets, targets
from bnlab.errors import INCOMPLETE, Incomplete

if TYPE_CHECKING:
    from bnlab.sweeping.plan import PlannedRun

UNPACK_EXAMPLE = """example:
  bnlab unpack ics_vgg data=cifar10     then `bnlab run ics_vgg data=cifar10` trains only what the pack lacks
"""


def configure_pack(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.set_defaults(act=pack)


def pack(arguments: argparse.Namespace) -> int:
    """Returns exit code 0, or 4 when a pack that is there would lose runs and was therefore kept as it is."""
    root = paths.results_root(arguments.results)
    found = [(target, _planned(target)) for target in stored_targets(root, arguments.words)]
    packable = [(target, planned) for target, planned in found if _finished(target, planned)]
    if not packable:
        reason = "no run of a plan to pack; `bnlab unpack` makes them from a pack, `bnlab run` anew"
        raise Incomplete(f"{root}: {reason}")
    refused = [error for error in (_pack_one(target, planned) for target, planned in packable) if error]
    if len(refused) == len(packable):
        raise refused[0]
    for error in refused:
        print(f"bnlab: {error}", file=sys.stderr)
    return INCOMPLETE if refused else 0


def _pack_one(target: Target, planned: Sequence[PlannedRun]) -> Incomplete | None:
    from bnlab.store import write_pack

    try:
        folder = write_pack(target.directory, planned)
    except Incomplete as error:
        return error
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {_finished(target, planned)} of {len(planned)} planned runs, {size / 1e6:.2f} MB")
    return None


def _finished(target: Target, planned: Sequence[PlannedRun]) -> int:
    from bnlab.store import finished

    return sum(finished(paths.run_dir(target.directory, run.config.variant, run.id)) for run in planned)


def configure_unpack(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.epilog = UNPACK_EXAMPLE
    parser.set_defaults(act=unpack)


def unpack(arguments: argparse.Namespace) -> int:
    from bnlab.store import unpack as lay_out

    root = paths.results_root(arguments.results)
    admitted = targets(root, parse_selection(arguments.words))
    need_results(root)
    packed = [target for target in admitted if paths.pack_index(paths.pack_dir(target.directory)).exists()]
    if not packed:
        raise Incomplete(f"{root}: no pack of this selection; `bnlab pack` writes one from finished runs")
    for target in packed:
        print(f"{paths.runs_dir(target.directory)}: {lay_out(target.directory)} runs laid out")
    return 0


def _planned(target: Target) -> Sequence[PlannedRun]:
    from bnlab.sweeping.plan import make_plan

    return make_plan(target.experiment, [f"data={target.data}", f"scale={target.scale}"]).complete
