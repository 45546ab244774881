"""`bnlab run` and `bnlab reproduce`: the commands that train."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bnlab import paths
from bnlab.commands.checks import check_agent, check_data, check_devices, check_sizes, check_writable, works_for_agent
from bnlab.commands.dry_run import print_plan
from bnlab.commands.tables import count_text
from bnlab.commands.words import add_results, split_words
from bnlab.compose import split_launcher
from bnlab.config import LauncherConfig, RunConfig, tracker_names
from bnlab.errors import INTERRUPTED, PREEMPTED, RUNS_FAILED, BadInput, EnvironmentFault, Incomplete
from bnlab.store import finished
from bnlab.sweeping import torchrun
from bnlab.sweeping.local import choose_jobs, listening
from bnlab.sweeping.plan import DEFAULT_DATA, DEFAULT_SCALE, Plan, make_plan
from bnlab.sweeping.progress import failure_line, watch
from bnlab.sweeping.sweep import Sweep, make_sweep, started_by_torchrun
from bnlab.sweeping.tasks import USUAL, Outcome, Patience, Task

RUN_EXAMPLES = """examples:
  bnlab run ics_vgg                                    the plan for the digits, on this machine's cores
  bnlab run ics_vgg variant=bn,plain 'seed=range(2)'   values of the plan narrow it
  bnlab run ics_vgg lr=0.05 steps=500                  other values override, as runs of their own
  bnlab run ics_vgg data=cifar10 --dry-run             what would run, where, for how long

Finished runs are skipped, interrupted ones go on from their checkpoint, failed ones are tried again.
Exit codes: 0 good, 2 bad input, 3 some runs failed, 5 data, 6 disk or memory, 75 stopped by SIGTERM, 130 by Ctrl-C.
"""
REPRODUCE_EXAMPLES = """examples:
  bnlab reproduce                              all experiments on the digits
  bnlab reproduce ics_vgg data=cifar10         one experiment, at the scale kept in the repository
"""


def configure_run(parser: argparse.ArgumentParser) -> None:
    parser.epilog = RUN_EXAMPLES
    parser.add_argument("experiment", metavar="EXPERIMENT", help="`bnlab list` shows them")
    grammar = "Hydra's grammar: lr=0.1,0.2 seed=range(5)"
    parser.add_argument("words", nargs="*", default=[], metavar="key=value", help=grammar)  # a default: not required
    _add_common(parser)
    parser.set_defaults(act=run)


def configure_reproduce(parser: argparse.ArgumentParser) -> None:
    parser.epilog = REPRODUCE_EXAMPLES
    parser.add_argument("words", nargs="*", metavar="EXPERIMENT | key=value", help="default: all experiments, digits")
    _add_common(parser)
    parser.set_defaults(act=reproduce)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, metavar="N", help="runs at a time (default: as many as the cores take)")
    parser.add_argument("--rerun", action="store_true", help="train finished runs again")
    again = f"how often a run that failed is tried again (default: {USUAL.retries})"
    parser.add_argument("--retries", type=int, default=USUAL.retries, metavar="N", help=again)
    hangs = f"a run without progress for so long is ended (default: {USUAL.hang_minutes:g})"
    parser.add_argument("--hang-minutes", type=float, default=USUAL.hang_minutes, metavar="M", help=hangs)
    dry = "print the runs, their states, and what they would cost; train nothing"
    parser.add_argument("--dry-run", action="store_true", help=dry)
    add_results(parser)


@dataclass(frozen=True)
class Launch:
    """How a sweep is run; `jobs` is 0 where the scheduler decides how many runs are at work at a time."""

    launcher: LauncherConfig
    jobs: int
    patience: Patience


def run(arguments: argparse.Namespace) -> int:
    if started_by_torchrun() and not torchrun.is_process_0():
        return torchrun.take_part()
    launcher, words = split_launcher(arguments.words)
    plan = make_plan(arguments.experiment, words)
    launch = _check([plan], launcher, arguments)
    root = paths.results_root(arguments.results)
    if arguments.dry_run:
        return _print_plans([plan], root, launch, arguments)
    return _sweep([plan], root, launch, arguments)


def reproduce(arguments: argparse.Namespace) -> int:
    """Train, draw, judge; a run that failed leaves its claims undecided and the exit code 3."""
    from bnlab.commands.reading import draw_figures, judge_claims
    from bnlab.commands.syncing import publish
    from bnlab.commands.words import Target

    launcher, words = split_launcher(arguments.words)
    plans = _plans(words)
    launch = _check(plans, launcher, arguments)
    root = paths.results_root(arguments.results)
    if arguments.dry_run:
        return _print_plans(plans, root, launch, arguments)
    code = _sweep(plans, root, launch, arguments)
    if code in (INTERRUPTED, PREEMPTED):
        return code
    targets = [Target(plan.experiment, plan.data, plan.scale, _setting_dir(root, plan)) for plan in plans]
    try:
        incomplete = draw_figures(targets, "auto")
        judge_claims(targets, "auto", as_json=False, everything=True)
        publish(targets, {run.config.tracker for plan in plans for run in plan.runs})
    except Incomplete as error:
        print(f"nothing to draw or judge: {error}", file=sys.stderr)
        incomplete = error.code
    print()
    for target in targets:
        print(f"{target.experiment}: figures, claims.md and runs lie in {target.directory}")
    return code or incomplete


def _print_plans(plans: Sequence[Plan], root: Path, launch: Launch, arguments: argparse.Namespace) -> int:
    for number, plan in enumerate(plans):
        if len(plans) > 1:
            print(f"{chr(10) if number else ''}{plan.experiment} {plan.data}-{plan.scale}")
        print_plan(plan, root, arguments.rerun, launch.jobs)
    return 0


def _plans(words: Sequence[str]) -> list[Plan]:
    """The plans of the experiments named, or of all that have one for the setting."""
    from bnlab.compose import card, experiment_names

    names, pairs = split_words(list(words))
    if names:
        return [make_plan(name, pairs) for name in names]
    chosen = {"data": DEFAULT_DATA, "scale": DEFAULT_SCALE}
    chosen |= {key: value for key, _, value in (pair.partition("=") for pair in pairs) if key in chosen}
    planned = [name for name in experiment_names() if f"{chosen['data']}-{chosen['scale']}" in card(name).settings]
    # where no experiment has the setting, the first one says what there is
    return [make_plan(name, pairs) for name in planned or experiment_names()[:1]]


def _check(plans: Sequence[Plan], launcher: LauncherConfig, arguments: argparse.Namespace) -> Launch:
    """How to run the plans, after everything that can be told from the words alone. Errors: BadInput."""
    configs = [planned.config for plan in plans for planned in plan.runs]
    patience = Patience(arguments.retries, arguments.hang_minutes)
    jobs = _local_jobs(configs, arguments.jobs) if launcher.is_here else _remote_jobs(arguments.jobs)
    check_sizes(configs)
    check_agent(configs)
    return Launch(launcher, jobs, patience)


def _local_jobs(configs: Sequence[RunConfig], asked: int | None) -> int:
    on_gpu = any(config.device != "cpu" for config in configs) and any(Path("/dev").glob("nvidia[0-9]*"))
    threads, replicas = (max(getattr(config, key) for config in configs) for key in ("threads", "replicas"))
    if started_by_torchrun():
        return choose_jobs(1, threads, on_gpu, torchrun.processes_here())
    return choose_jobs(asked, threads, on_gpu, replicas)


def _remote_jobs(asked: int | None) -> int:
    if asked is not None and asked < 1:
        raise BadInput(f"--jobs {asked}: at least 1 run at a time")
    return asked or 0


def _setting_dir(root: Path, plan: Plan) -> Path:
    return paths.setting_dir(root, plan.experiment, plan.data, plan.scale)


def _tasks(plan: Plan, root: Path, rerun: bool) -> list[Task]:
    setting = _setting_dir(root, plan)
    tasks = [Task(run, paths.run_dir(setting, run.config.variant, run.id), rerun) for run in plan.runs]
    return [task for task in tasks if rerun or not finished(task.directory)]


def _sweep(plans: Sequence[Plan], root: Path, launch: Launch, arguments: argparse.Namespace) -> int:
    asked = sum(len(plan.runs) for plan in plans)
    tasks = [task for plan in plans for task in _tasks(plan, root, arguments.rerun)]
    names = ", ".join(f"{plan.experiment} {plan.data}-{plan.scale}" for plan in plans)
    if not tasks:
        done = "the one run is done" if asked == 1 else f"all {asked} runs are done"
        print(f"{names}: {done}; --rerun trains {'it' if asked == 1 else 'them'} again")
        if works_for_agent():
            _show_agent(plans[0], root)
        return 0
    if launch.launcher.name == "local":
        check_devices({task.run.config.device for task in tasks})
    check_data(task.run.config.data.name for task in tasks)
    for plan in plans:
        check_writable(paths.runs_dir(_setting_dir(root, plan)))
    before = f", {asked - len(tasks)} were done before" if asked > len(tasks) else ""
    print(f"{names}: {len(tasks)} of {count_text(asked, 'run')} to do{before}; {_pace(launch)}", flush=True)
    with listening() as stop, watch(tasks, launch.jobs) as progress:
        sweep = make_sweep(launch.launcher, tasks, launch.jobs, progress, stop, launch.patience)
        sweep.run()
    return _conclude(sweep, len(tasks), stop.signal, arguments, [_setting_dir(root, plan) for plan in plans])


def _show_agent(plan: Plan, root: Path) -> None:
    """An agent waits for the rows of its run, whoever trained it."""
    from bnlab.commands.syncing import send_one

    (planned,) = plan.runs
    if "wandb" in tracker_names(planned.config.tracker):
        send_one("wandb", plan.experiment, paths.run_dir(_setting_dir(root, plan), planned.config.variant, planned.id))


def _pace(launch: Launch) -> str:
    at_once = f"{launch.jobs} at a time" if launch.jobs else "as many at a time as fit"
    return at_once if launch.launcher.name == "local" else f"{at_once}, on {launch.launcher.name}"


def _conclude(sweep: Sweep, asked: int, signal_number, arguments, folders: Sequence[Path]) -> int:
    """Say how the sweep ended, every failure by name, and choose the exit code."""
    done = [outcome for outcome in sweep.outcomes if outcome.finished]
    failed = [outcome for outcome in sweep.outcomes if outcome.state == "failed"]
    diverged = sum(outcome.state == "diverged" for outcome in done)
    own = [outcome for outcome in failed if sweep.fault is None or outcome.code != sweep.fault.code]
    if own:
        _print_failures(own)
    if signal_number is not None:
        _say_how_to_go_on(signal_number.name, len(done), asked, arguments)
        return INTERRUPTED if signal_number.name == "SIGINT" else PREEMPTED
    _raise_common_fault(sweep, failed, done)
    words = f", of them {diverged} diverged, which is a result" if diverged else ""
    where = f"they lie in {', '.join(map(str, folders))}"
    print(f"{count_text(len(done), 'run')} done{words}; {len(failed)} failed; {where}")
    return RUNS_FAILED if failed else 0


def _print_failures(failed: Sequence[Outcome]) -> None:
    print(f"\n{len(failed)} failed:", file=sys.stderr)
    for outcome in failed:
        print(failure_line(outcome), file=sys.stderr)
        log = paths.run_log(outcome.task.directory)
        if log.exists():
            print(f"         its log: {log}", file=sys.stderr)


def _raise_common_fault(sweep: Sweep, failed: Sequence[Outcome], done: Sequence[Outcome]) -> None:
    """A machine that is out of disk, or a mistake that every run met, is not a matter of single runs."""
    if sweep.fault is not None:
        raise EnvironmentFault(sweep.fault.error)
    codes = {outcome.code for outcome in failed}
    if failed and not done and len(codes) == 1 and codes != {1}:
        error = BadInput(failed[0].error)
        error.code = codes.pop()
        raise error


def _say_how_to_go_on(name: str, done: int, asked: int, arguments: argparse.Namespace) -> None:
    """With --rerun the same command starts over: nothing tells the runs that it had not reached from those it made."""
    again = shlex.join(["bnlab", *arguments.words_given])
    by = "Ctrl-C" if name == "SIGINT" else name
    of_all = f"{done} of {count_text(asked, 'run')}"
    how = f"{of_all} done; continue with: {again}"
    if arguments.rerun:
        how = f"{of_all} made again, {asked - done} remain; make all of them again with: {again}"
    print(f"bnlab: stopped by {by}, {how}", file=sys.stderr, flush=True)
