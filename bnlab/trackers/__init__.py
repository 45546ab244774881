"""Where measurements go besides the run's own files: a registry of trackers, and what a run and `bnlab sync` call."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from bnlab.config import tracker_names
from bnlab.trackers.ledger import Ledger, ledger_file
from bnlab.trackers.mirror import final_state
from bnlab.trackers.rows import rows_of
from bnlab.trackers.side_process import GRACE, PATIENCE, Handle, launch, too_slow
from bnlab.trackers.tensorboard_tracker import open_tensorboard, tensorboard_target
from bnlab.trackers.tracker import Tracker, log_file
from bnlab.trackers.verdicts import content_sum
from bnlab.trackers.wandb_tracker import open_wandb, publish_verdicts, wandb_target

TRACKERS = {
    "wandb": Tracker(open_wandb, wandb_target, publish_verdicts),
    "tensorboard": Tracker(open_tensorboard, tensorboard_target),
}

SECONDS_TO_SAY_SO = 2.0  # that a mirror which has used up its patience gets to write it down


@dataclass(frozen=True)
class Sent:
    """`rows` that arrived; `problem` is empty, or in a few words why not all did."""

    rows: int
    problem: str = ""


def folder_of(name: str, watched: Path) -> Path:
    """The folder of a tracker, in the directory of a run or of a setting."""
    return watched / name


def start(names: str, run: Path, config: dict, grace: float = GRACE) -> list[Handle]:
    """Begin to mirror a run into the trackers that `tracker=NAMES` asks for.

    `config` is the nested form of the run's `RunConfig` (`bnlab.config.to_dict`). Returns at once and never raises:
    whatever goes wrong, now or later, is a line that `finish` returns. `grace` is how many seconds after the run's end
    a mirror that nobody ends gives up by itself.
    """
    request = {"config": config, "grace": grace}
    return [launch("run", name, run, folder_of(name, run), request) for name in tracker_names(names)]


def finish(handles: list[Handle], experiment: str, timeout: float | None = None) -> list[str]:
    """End the mirrors of a run whose status is final; one warning of at most 240 characters for each that failed."""
    for handle in handles:
        handle.end_input()
    found = [(handle.name, handle.finish(PATIENCE if timeout is None else timeout)) for handle in handles]
    return [warning(name, problem, experiment) for name, problem in found if problem]


def leave(handles: list[Handle]) -> None:
    """Let the mirrors of a run whose status is final end by themselves; `what_became` tells how each fares."""
    for handle in handles:
        handle.leave()


def what_became(name: str, run: Path, seconds: float) -> str | None:
    """Of a mirror that was left so many seconds ago: "" where all rows arrived, why not, None while it is sending."""
    ledger = Ledger(folder_of(name, run))
    if ledger.problem:
        return ledger.problem
    if ledger.holds(TRACKERS[name].target(), {"state": final_state(run)}):
        return ""
    return too_slow(PATIENCE) if seconds > PATIENCE + SECONDS_TO_SAY_SO else None


def warning(name: str, problem: str, experiment: str) -> str:
    how = f"`{sync_command(name, experiment)}` sends what is missing"
    return f"tracker {name}: {problem[: 200 - len(how)]}; the run's own files are complete, {how}"


def sync_command(name: str, experiment: str) -> str:
    return f"bnlab sync {experiment}{'' if name == 'wandb' else f' --tracker {name}'}"


def send(name: str, run: Path, config: dict, timeout: float) -> Sent:
    """Send the rows of a run that has ended and that the tracker lacks."""
    folder, target = folder_of(name, run), TRACKERS[name].target()
    source = rows_of(run)
    source.rows()
    if source.seen < 0 or Ledger(folder).holds(target, {"step": source.seen, "state": final_state(run)}):
        return Sent(0)
    before = Ledger(folder).rows(target)
    problem = launch("run", name, run, folder, {"config": config, "grace": timeout}).finish(timeout)
    return Sent(Ledger(folder).rows(target) - before, problem)


def send_verdicts(name: str, setting: Path, about: dict, timeout: float) -> Sent:
    """Send figures and verdicts of a setting, where the tracker shows them and lacks these; rows is then 1."""
    tracker, folder, content = TRACKERS[name], folder_of(name, setting), content_sum(setting)
    if tracker.publish is None or not content or Ledger(folder).holds(tracker.target(), {"sum": content}):
        return Sent(0)
    problem = launch("verdicts", name, setting, folder, {"about": about, "grace": timeout}).finish(timeout)
    return Sent(0 if problem else 1, problem)


def forget(run: Path) -> None:
    """Let the next attempt at this run appear as a new one, from its first row: for a run that is made again."""
    for name in TRACKERS:
        folder = folder_of(name, run)
        ledger_file(folder).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


__all__ = [
    "GRACE",
    "PATIENCE",
    "TRACKERS",
    "Handle",
    "Sent",
    "finish",
    "folder_of",
    "forget",
    "leave",
    "log_file",
    "send",
    "send_verdicts",
    "start",
    "sync_command",
    "warning",
    "what_became",
]
