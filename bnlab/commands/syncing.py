"""`bnlab sync`: sends to a tracker what it lacks of stored runs, later than they ran or again."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bnlab import paths, trackers
from bnlab.commands.tables import count_text
from bnlab.commands.words import Target, add_selection, need_results, parse_selection, targets
from bnlab.compose import card
from bnlab.config import tracker_names
from bnlab.errors import BadInput, EnvironmentFault, Incomplete
from bnlab.store import is_owned
from bnlab.store.directories import read_config

PATIENCE = 600.0  # seconds for the rows of one run
SYNC_EXAMPLES = """examples:
  bnlab sync                              all stored runs, figures and verdicts to Weights & Biases
  bnlab sync ics_vgg data=cifar10         of one setting
  bnlab sync --tracker tensorboard        as event files, also of runs that were trained without them
  WANDB_MODE=offline bnlab sync           into each run's directory instead of the service

Each row is sent once: the same command again sends nothing, and after an interruption what was not sent yet.
Runs that are at work are left to their own mirror.
"""


def configure_sync(parser: argparse.ArgumentParser) -> None:
    parser.epilog = SYNC_EXAMPLES
    add_selection(parser)
    parser.add_argument("--tracker", choices=tuple(trackers.TRACKERS), default="wandb", help="default: wandb")
    parser.set_defaults(act=sync)


def sync(arguments: argparse.Namespace) -> int:
    """Errors: Incomplete where nothing is stored; EnvironmentFault at the first run that does not arrive."""
    if arguments.tracker == "wandb" and os.environ.setdefault("WANDB_MODE", "online") not in ("online", "offline"):
        raise BadInput(
            f"WANDB_MODE={os.environ['WANDB_MODE']}: nothing would be sent; unset it, or use online or offline"
        )
    root = paths.results_root(arguments.results)
    chosen = targets(root, parse_selection(arguments.words))
    need_results(root)
    runs = [(target, run) for target in chosen for run in _runs(target)]
    if not runs:
        raise Incomplete(
            f"{root}: no run of this selection is stored; `bnlab run` makes them, `bnlab unpack` from a pack"
        )
    idle = [(target, run) for target, run in runs if not is_owned(run)]
    _send(arguments.tracker, idle, [target for target in chosen if any(target is other for other, _ in runs)])
    if len(idle) < len(runs):
        print(f"{count_text(len(runs) - len(idle), 'run')} at work: left to their own mirror")
    return 0


def _runs(target: Target) -> list[Path]:
    return sorted(path.parent for path in paths.runs_dir(target.directory).glob("*/*/config.json"))


def _send(tracker: str, runs: Sequence[tuple[Target, Path]], chosen: Sequence[Target]) -> None:
    """Every run, then the verdicts of every setting; a line for each that had something to send."""
    rows = of_runs = 0
    for what, sent in _sendings(tracker, runs, chosen):
        if sent.rows:
            rows, of_runs = rows + sent.rows, of_runs + 1
            print(f"sent  {what}: {count_text(sent.rows, 'row')}", flush=True)
        if sent.problem:
            already = f"; {count_text(rows, 'row')} arrived before" if rows else ""
            raise EnvironmentFault(f"{what} to {tracker}: {sent.problem}{already}; the same command goes on from there")
    where = trackers.TRACKERS[tracker].target()
    print(
        f"{count_text(rows, 'row')} sent to {tracker} ({where})"
        if rows
        else f"nothing to do: {tracker} ({where}) has all"
    )


def _sendings(
    tracker: str, runs: Sequence[tuple[Target, Path]], chosen: Sequence[Target]
) -> Iterator[tuple[str, trackers.Sent]]:
    for target, run in runs:
        config = read_config(run)["config"]
        label = f"{target.experiment} {target.data}-{target.scale} {run.parent.name}/{run.name}"
        yield label, trackers.send(tracker, run, config, PATIENCE)
    for target in chosen:
        label = f"verdicts of {target.experiment} {target.data}-{target.scale}"
        yield label, trackers.send_verdicts(tracker, target.directory, _about(target), PATIENCE)


def publish(chosen: Iterable[Target], asked: Iterable[str]) -> None:
    """Figures and verdicts to the trackers that the runs of a sweep had; a tracker that fails costs a warning."""
    names = {name for joined in asked for name in tracker_names(joined)}
    for name in sorted(names):
        for target in chosen:
            sent = trackers.send_verdicts(name, target.directory, _about(target), trackers.PATIENCE)
            if sent.problem:
                print(trackers.warning(name, sent.problem, target.experiment), file=sys.stderr)


def send_one(tracker: str, experiment: str, run: Path) -> None:
    """One stored run; a tracker that fails costs a warning."""
    sent = trackers.send(tracker, run, read_config(run)["config"], PATIENCE)
    if sent.problem:
        print(trackers.warning(tracker, sent.problem, experiment), file=sys.stderr)


def _about(target: Target) -> dict:
    said = card(target.experiment)
    about = {"experiment": target.experiment, "data": target.data, "scale": target.scale}
    return about | {"question": said.question, "source": said.source}
