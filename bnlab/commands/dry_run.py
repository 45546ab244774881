"""`bnlab run --dry-run`: the runs of a plan with their states, and what they would cost."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bnlab import paths
from bnlab.commands.checks import check_data, check_devices
from bnlab.commands.costs import FinishedRun, bytes_ahead, bytes_text, seconds_ahead
from bnlab.commands.tables import count_text, minutes_text, overrides_text, table
from bnlab.errors import EnvironmentFault, IntegrityError
from bnlab.store import FINISHED, Status, read_status
from bnlab.sweeping.plan import Plan, PlannedRun

# What a run's directory says -> what a sweep would do about it.
STATES = {"interrupted": "to resume", "preempted": "to resume", "failed": "failed before", "damaged": "failed before"}
ORDER = ("new", "done", "running", "to resume", "failed before")
# A longer table helps nobody; of such a plan only the two ends are shown.
MOST_ROWS, FIRST_ROWS, LAST_ROWS = 10_000, 20, 5


def print_plan(plan: Plan, root: Path, rerun: bool, jobs: int) -> None:
    """`jobs` is how many runs are at work at a time, 0 where a scheduler decides that."""
    setting = paths.setting_dir(root, plan.experiment, plan.data, plan.scale)
    states = Stored(setting)
    statuses = [states.status(run) for run in plan.runs]
    _print_table(plan, statuses, states)
    counts = Counter(state_text(status) for status in statuses)
    order = [*ORDER, *sorted(set(counts) - set(ORDER))]
    totals = ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
    print(f"{count_text(len(plan.runs), 'run')}: {totals}; {_costs(plan, statuses, states, rerun, jobs)}")
    try:
        check_devices({run.config.device for run in plan.runs})
        check_data([plan.data])
    except (EnvironmentFault, IntegrityError) as error:
        print(f"not yet: {error}")


class Stored:
    """The runs that a setting has on the disk. Ten thousand that are absent cost one look into their folder."""

    def __init__(self, setting: Path) -> None:
        self._runs = paths.runs_dir(setting)
        self._present: dict[str, set[str]] = {}

    def directory(self, run: PlannedRun) -> Path:
        return self._runs / run.config.variant / run.id

    def status(self, run: PlannedRun) -> Status | None:
        variant = run.config.variant
        if variant not in self._present:
            folder = self._runs / variant
            self._present[variant] = set(os.listdir(folder)) if folder.is_dir() else set()
        return read_status(self.directory(run)) if run.id in self._present[variant] else None


def _print_table(plan: Plan, statuses: Sequence[Status | None], stored: Stored) -> None:
    pairs = list(zip(plan.runs, statuses))
    shown = pairs if len(pairs) <= MOST_ROWS else [*pairs[:FIRST_ROWS], *pairs[-LAST_ROWS:]]
    rows = [
        (c.variant, overrides_text(run.overrides), c.seed, run.id, state_text(status), stored.directory(run))
        for run, status in shown
        for c in (run.config,)
    ]
    print(table(("variant", "overrides", "seed", "id", "state", "directory"), rows, right=("seed",)))
    if len(shown) < len(pairs):
        print(f"shown are the first {FIRST_ROWS} and the last {LAST_ROWS} of {len(pairs)} runs")
    if plan.following:
        print(f"not shown, because they follow from these: {' '.join(plan.following)}")


def _costs(plan: Plan, statuses: Sequence[Status | None], stored: Stored, rerun: bool, jobs: int) -> str:
    """Time and disk of what is still to do."""
    ahead = [(run.config, _steps_ahead(run, status, rerun)) for run, status in zip(plan.runs, statuses)]
    to_do = [(config, steps) for config, steps in ahead if steps]
    if not to_do:
        return "nothing left to do"
    finished = _finished(plan, statuses, stored)
    seconds = seconds_ahead(to_do, finished)
    if seconds is None:
        share = sum(steps for _, steps in to_do) / sum(run.config.steps for run in plan.complete)
        minutes = plan_minutes(plan) * share
        time = f"{minutes_text(minutes)}{' on 2 cores' if minutes else ''}"
    else:
        time = minutes_text(seconds / 60 / min(max(jobs, 1), len(to_do)))
    disk = bytes_text(bytes_ahead((config for config, _ in to_do), finished))
    measured = f", as {count_text(len(finished), 'finished run')} of this setting took" if finished else ""
    return f"{time}, {disk}{measured}; {_pace(jobs, known=seconds is not None)}"


def _pace(jobs: int, known: bool) -> str:
    """What the time is meant for; where a scheduler decides, measured seconds are those of one run after another."""
    if jobs:
        return f"{jobs} at a time here"
    return "one after another" if known else "as many at a time as fit"


def _finished(plan: Plan, statuses: Sequence[Status | None], stored: Stored) -> list[FinishedRun]:
    """Those among the runs that were asked for, else among those of the whole plan."""
    asked = list(zip(plan.runs, statuses))
    for pairs in (asked, ((run, stored.status(run)) for run in plan.complete)):
        found = [FinishedRun(run.config, s, stored.directory(run)) for run, s in pairs if s and s.state in FINISHED]
        if found:
            return found
    return []


def state_text(status: Status | None) -> str:
    if status is None:
        return "new"
    return "done" if status.state in FINISHED else STATES.get(status.state, status.state)


def plan_minutes(plan: Plan) -> float:
    """Minutes of the whole plan on two cores, as its YAML gives them; 0 where they were not measured."""
    from bnlab.compose import card

    return card(plan.experiment).setting(plan.data, plan.scale).minutes


def _steps_ahead(run: PlannedRun, status: Status | None, rerun: bool) -> int:
    if status is None or rerun:
        return run.config.steps
    return 0 if status.state in FINISHED else max(run.config.steps - status.step, 0)
