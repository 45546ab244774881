"""Measures what a sweep adds to training: the start-up of a run, and how much two jobs are worth beside one.

`benchmarks/README.md` says what each number means.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bnlab import paths
from bnlab.commands.checks import check_data
from bnlab.errors import IntegrityError
from bnlab.sweeping import client
from bnlab.sweeping.local import LocalSweep, Stop, cores
from bnlab.sweeping.plan import make_plan
from bnlab.sweeping.tasks import Outcome, Patience, Task

# A run of each data set: the experiment that trains on it, and one cell of its plan.
STARTS = {
    "digits": ("activation_histograms", "variant=bn model=mlp model.activation=relu lr=0.03 batch_size=100"),
    "mnist": ("activation_histograms", "data=mnist variant=bn model=mlp model.activation=relu lr=0.03 batch_size=100"),
    "cifar10": ("ics_vgg", "data=cifar10 variant=bn lr=0.1 optim.weight_decay=0"),
}
# What two jobs train: a net whose steps are short, and one whose steps are long.
SWEEPS = {
    "mlp": ("activation_histograms", "variant=bn model=mlp model.activation=relu lr=0.03 batch_size=100 steps=2000"),
    "vgg": ("ics_vgg", "variant=bn steps=60"),
}


class Silent:
    """Watches a sweep and says only what failed."""

    def started(self, task: Task) -> None:
        pass

    def retried(self, outcome: Outcome, retry: object) -> None:
        pass

    def look(self, running: list[Task], elsewhere: int) -> None:
        pass

    def ended(self, outcome: Outcome) -> None:
        if not outcome.finished:
            sys.exit(f"{outcome.task.label}: {outcome.error}")


def serve_stamped() -> None:
    """The fork server, whose runs write down when their first step begins, by both clocks."""
    from bnlab import running
    from bnlab.sweeping import forkserver

    sound = running.train

    def train(run, record, between_steps):
        stamp = f"{time.perf_counter()} {time.process_time()}"
        (between_steps.__self__.directory / "stamp").write_text(stamp)
        return sound(run, record, between_steps)

    running.train = train
    forkserver.serve()


def tasks_of(cell: tuple[str, str], seeds: int, root: Path) -> list[Task]:
    experiment, words = cell
    plan = make_plan(experiment, [*words.split(), f"seed=range({seeds})"])
    setting = paths.setting_dir(root, plan.experiment, plan.data, plan.scale)
    return [Task(run, paths.run_dir(setting, run.config.variant, run.id)) for run in plan.runs[:seeds]]


def start_up(cell: tuple[str, str], repeats: int) -> tuple[float, float]:
    """Shortest seconds from the request for a run to its first step: on the clock, and of processor time.

    One server starts all of them, one after another, and the first is left out: it may prepare the data.
    """
    waits, works = [], []
    experiment, words = cell
    with tempfile.TemporaryDirectory() as folder:
        server = client.ForkServer()
        while not server.ready:
            server.reports(1.0)
        for number, task in enumerate(tasks_of((experiment, f"{words} steps=1"), 1 + repeats, Path(folder))):
            began = time.perf_counter()
            server.begin(number, task)
            while not any("exit" in report for report in server.reports(1.0)):
                pass
            first_step, work = map(float, (task.directory / "stamp").read_text().split())
            waits.append(first_step - began)
            works.append(work)
        server.close()
    return min(waits[1:]), min(works[1:])


def steps_per_second(cell: tuple[str, str], jobs: int, runs: int) -> float:
    """Of a whole sweep, from the first run's start to the last one's end; the server starts before that."""
    with tempfile.TemporaryDirectory() as folder:
        tasks = tasks_of(cell, runs, Path(folder))
        watcher = Timed()
        LocalSweep(tasks, jobs, watcher, Stop(), Patience(retries=0)).run()
    return sum(task.run.config.steps for task in tasks) / (time.perf_counter() - watcher.began)


class Timed(Silent):
    """Knows when the first run was started."""

    began = 0.0

    def started(self, task: Task) -> None:
        self.began = self.began or time.perf_counter()


def print_start_ups(repeats: int) -> None:
    sound = client._START
    client._START = sound.replace("from bnlab.sweeping.forkserver import serve; serve()", _SERVE_STAMPED)
    print("| start-up of a run on | wanted | measured | of that processor time |\n|---|---|---|---|")
    for name, cell in STARTS.items():
        try:
            check_data([name])
        except IntegrityError:
            print(f"| {name} | | not here | |", flush=True)
            continue
        wait, work = start_up(cell, repeats)
        print(f"| {name} | at most 0.30 s | {wait:.2f} s | {work:.2f} s |", flush=True)
    client._START = sound


_SERVE_STAMPED = f"sys.path.insert(0, {str(Path(__file__).parent)!r}); import sweeps; sweeps.serve_stamped()"


def print_throughput(repeats: int, runs: int) -> None:
    print("\n| net | one job | two jobs | wanted | measured |\n|---|---|---|---|---|")
    for name, cell in SWEEPS.items():
        turns = [[steps_per_second(cell, jobs, runs) for jobs in (1, 2)] for _ in range(repeats)]
        one, two = (max(speeds) for speeds in zip(*turns))
        speeds = f"{one:.1f} steps/s | {two:.1f} steps/s"
        print(f"| {name} | {speeds} | at least 1.7 × | {two / one:.2f} × |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="the best of so many counts (default: 5)")
    parser.add_argument("--runs", type=int, default=4, help="runs of each sweep that is timed (default: 4)")
    parser.add_argument("--only", choices=("start-up", "throughput"), help="one of the two tables")
    arguments = parser.parse_args()
    if arguments.only != "throughput":
        print_start_ups(arguments.repeats)
    if arguments.only != "start-up":
        if cores() < 2:
            sys.exit("two jobs need two cores")
        print_throughput(arguments.repeats, arguments.runs)


if __name__ == "__main__":
    main()
