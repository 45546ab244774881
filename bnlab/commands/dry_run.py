"""`bnlab run --dry-run`: the runs of a plan with their states, and how long they would take."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from bnlab import paths
from bnlab.commands.checks import check_data, check_devices
from bnlab.commands.tables import minutes_text, overrides_text, table
from bnlab.errors import EnvironmentFault, IntegrityError
from bnlab.store import FINISHED, Status, read_status
from bnlab.sweeping.plan import Plan, PlannedRun

# What a run's directory says -> what a sweep would do about it.
STATES = {"interrupted": "to resume", "preempted": "to resume", "failed": "failed before", "damaged": "failed before"}
# A longer table helps nobody; of such a plan only the two ends are shown.
MOST_ROWS, FIRST_ROWS, LAST_ROWS = 10_000, 20, 5


def print_plan(plan: Plan, root: Path, rerun: bool, jobs: int) -> None:
    setting = paths.setting_dir(root, plan.experiment, plan.data, plan.scale)
    directories = [paths.run_dir(setting, run.config.variant, run.id) for run in plan.runs]
    statuses = [read_status(directory) for directory in directories]
    rows = [
        (run.config.variant, overrides_text(run.overrides), run.config.seed, run.id, state_text(status), directory)
        for run, status, directory in zip(plan.runs, statuses, directories)
    ]
    shown = rows if len(rows) <= MOST_ROWS else [*rows[:FIRST_ROWS], *rows[-LAST_ROWS:]]
    print(table(("variant", "overrides", "seed", "id", "state", "directory"), shown, right=("seed",)))
    if len(shown) < len(rows):
        print(f"shown are the first {FIRST_ROWS} and the last {LAST_ROWS} of {len(rows)} runs")
    counts = Counter(state_text(status) for status in statuses)
    order = ("new", "done", "running", "to resume", "failed before")
    totals = ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
    minutes = plan_minutes(plan) * _share(plan, statuses, rerun)
    left = minutes_text(minutes) if minutes or not plan_minutes(plan) else "nothing left to do"
    print(f"{len(plan.runs)} runs: {totals}; {left}{' on 2 cores' if minutes else ''}, {jobs} at a time here")
    try:
        check_devices({run.config.device for run in plan.runs})
        check_data([plan.data])
    except (EnvironmentFault, IntegrityError) as error:
        print(f"not yet: {error}")


def state_text(status: Status | None) -> str:
    if status is None:
        return "new"
    return "done" if status.state in FINISHED else STATES.get(status.state, status.state)


def plan_minutes(plan: Plan) -> float:
    """Minutes of the whole plan on two cores, as its YAML gives them; 0 where they were not measured."""
    from bnlab.compose import card

    return card(plan.experiment).setting(plan.data, plan.scale).minutes


def _share(plan: Plan, statuses: list[Status | None], rerun: bool) -> float:
    """The steps still to be made, as a share of all steps of the complete plan."""
    ahead = sum(_steps_ahead(run, status, rerun) for run, status in zip(plan.runs, statuses))
    return ahead / sum(run.config.steps for run in plan.complete)


def _steps_ahead(run: PlannedRun, status: Status | None, rerun: bool) -> int:
    if status is None or rerun:
        return run.config.steps
    return 0 if status.state in FINISHED else max(run.config.steps - status.step, 0)
