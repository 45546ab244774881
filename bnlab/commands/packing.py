"""`bnlab pack` and `bnlab unpack`: between run directories and the form that is kept in git."""

from __future__ import annotations

import argparse

from bnlab import paths
from bnlab.commands.words import Target, add_selection, parse_selection, stored_targets, targets
from bnlab.errors import Incomplete

UNPACK_EXAMPLE = """example:
  bnlab unpack ics_vgg data=cifar10     then `bnlab run ics_vgg data=cifar10` trains only what the pack lacks
"""


def configure_pack(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.set_defaults(act=pack)


def pack(arguments: argparse.Namespace) -> int:
    from bnlab.store import finished, write_pack

    root = paths.results_root(arguments.results)
    written = 0
    for target in stored_targets(root, arguments.words):
        if not any(finished(run) for run in paths.runs_dir(target.directory).glob("*/*")):
            continue
        planned = _planned(target)
        folder = write_pack(target.directory, planned)
        there = sum(finished(paths.run_dir(target.directory, run.config.variant, run.id)) for run in planned)
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{folder}: {there} of {len(planned)} planned runs, {size / 1e6:.2f} MB")
        written += 1
    if not written:
        raise Incomplete(f"{root}: no run directories to pack; `bnlab unpack` makes them from a pack, `bnlab run` anew")
    return 0


def configure_unpack(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.epilog = UNPACK_EXAMPLE
    parser.set_defaults(act=unpack)


def unpack(arguments: argparse.Namespace) -> int:
    from bnlab.store import unpack as lay_out

    root = paths.results_root(arguments.results)
    admitted = targets(root, parse_selection(arguments.words))
    packed = [target for target in admitted if paths.pack_index(paths.pack_dir(target.directory)).exists()]
    if not packed:
        raise Incomplete(f"{root}: no pack of this selection; `bnlab pack` writes one from finished runs")
    for target in packed:
        print(f"{paths.runs_dir(target.directory)}: {lay_out(target.directory)} runs laid out")
    return 0


def _planned(target: Target):
    from bnlab.sweeping.plan import make_plan

    return make_plan(target.experiment, [f"data={target.data}", f"scale={target.scale}"]).complete
