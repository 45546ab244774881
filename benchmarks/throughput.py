"""Measures bnlab's training loop beside a bare loop and beside the usual DataLoader loop, in one process and one run.

All contenders of a workload take turns, a few steps each, so that a machine that slows down slows all of them.
`benchmarks/README.md` says what each number means.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import usual
from ceiling import seconds_at_matmul_rate
from torch.nn.functional import cross_entropy
from workloads import WORKLOADS, Workload, augmented

from bnlab import data
from bnlab.cadence import Cadence
from bnlab.config import RunConfig
from bnlab.errors import BnlabError
from bnlab.store import RunWriter
from bnlab.training.loop import train
from bnlab.training.state import TrainingState

WARM_UP = 5
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Clock:
    """Seconds per step of one contender, over all its turns; `now` is the clock that is read."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seconds, self._steps = 0.0, 0

    def time(self, steps: int, advance: Callable[[int], object]) -> None:
        start = self._now()
        advance(steps)
        self._seconds += self._now() - start
        self._steps += steps

    @property
    def per_step(self) -> float:
        return self._seconds / self._steps


def bare_training(config: RunConfig, sets: data.ImageSets, turn: int) -> Iterator[float]:
    """Forward, backward, step with bnlab's net and optimiser, on batches that lie ready as float tensors."""
    state = TrainingState(config, sets, "cpu")
    batches = [state.batches.next() for _ in range(min(turn, 16))]
    while True:
        for x, y in batches:
            loss = cross_entropy(state.net(x), y)
            state.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            state.optimizer.step()
            yield 0.0


def convolutions_alone(config: RunConfig, sets: data.ImageSets) -> Iterator[float]:
    """The bare loop on a net of which only convolutions, poolings and the last layer are left."""
    batches = TrainingState(config, sets, "cpu").batches
    ready = [batches.next() for _ in range(4)]
    net = usual.convolutions(config)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-6, fused=True)  # nothing normalises: the net must not diverge
    while True:
        for x, y in ready:
            loss = cross_entropy(net(x), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            yield 0.0


def kinds_of_steps(config: RunConfig, steps_per_epoch: int) -> list[list[int]]:
    """The steps of a run, sorted into kinds: those of one kind measure the same things."""
    probes = (config.probe.curves, config.probe.activations, config.probe.moments)
    texts = [value for probe in probes for value in vars(probe).values() if isinstance(value, str)]
    cadences = [Cadence.parse(text).steps(config.steps, steps_per_epoch) for text in texts]
    kinds: dict[tuple[bool, ...], list[int]] = defaultdict(list)
    for step in range(config.steps):
        kinds[tuple(step in cadence for cadence in cadences)].append(step)
    return list(kinds.values())


class Bnlab:
    """The loop that runs train in, with its probes and its file of measurements.

    Steps that measure cost more than others and are few, so each kind is timed by itself, and weighted by how often a
    run has it. `data_seconds` is what batches took, timed where they are needed: with caches full of something else.
    """

    def __init__(self, config: RunConfig, sets: data.ImageSets, folder: Path, now: Callable[[], float]) -> None:
        self._state = TrainingState(config, sets, "cpu")
        self._writer = RunWriter(folder)
        self._now = now
        kinds = kinds_of_steps(config, self._state.batches.steps_per_epoch)
        self._kinds = [(Clock(now), itertools.cycle(kind), len(kind) / config.steps) for kind in kinds]
        self._next_batch = self._state.batches.next
        self._state.batches.next = self._timed_next
        self.data_seconds, self.batches = 0.0, 0

    def _timed_next(self) -> tuple[torch.Tensor, torch.Tensor]:
        start = self._now()
        batch = self._next_batch()
        self.data_seconds += self._now() - start
        self.batches += 1
        return batch

    def turn(self, steps: int) -> None:
        """So many steps, each kind in proportion, and at least one of each."""
        for clock, kind, share in self._kinds:
            for _ in range(max(1, round(steps * share))):
                self._state.step = next(kind)
                clock.time(1, self._advance)

    def _advance(self, steps: int) -> None:
        """Through so many steps from where the run has been put."""
        step = self._state.step
        outcome = train(self._state, self._writer.record, lambda: self._state.step >= step + steps)
        if outcome.state == "diverged":
            raise RuntimeError(f"the benchmark's run diverged at step {step}")

    @property
    def per_step(self) -> float:
        return sum(clock.per_step * share for clock, _, share in self._kinds)


def take(steps: Iterator[object]) -> Callable[[int], object]:
    """Turns an endless training into a function that advances it by so many steps."""
    return lambda count: [next(steps) for _ in range(count)][-1]


def measure(workload: Workload, turns: int, peers: bool, now: Callable[[], float]) -> dict[str, float]:
    """Seconds per step of every contender, by name, over `turns` turns each."""
    config, turn = workload.config, workload.turn
    most_workers = 2 if now is time.perf_counter else 0  # the other clock does not see what workers do
    sets = data.load(config.data)
    with tempfile.TemporaryDirectory() as folder:
        subject, bare = Bnlab(config, sets, Path(folder), now), take(bare_training(config, sets, turn))
        always = {"bare": bare}
        if peers and config.model.name != "mlp":
            always["convolutions"] = take(convolutions_alone(config, sets))
        for advance in always.values():
            advance(WARM_UP)
        clocks = {name: Clock(now) for name in always}
        for _ in range(turns):
            subject.turn(turn)
            for name, advance in always.items():
                clocks[name].time(turn, advance)
            for name, contender in _usual_contenders(config, most_workers) if peers else ():
                advance = take(contender)
                advance(WARM_UP)  # workers start and fill their queues outside the measured time
                clocks.setdefault(name, Clock(now)).time(min(turn, 50), advance)
                contender.close()
    own = {"bnlab": subject.per_step, "data": subject.data_seconds / subject.batches}
    if "convolutions" in clocks:
        own["convolutions at the rate of a matrix product"] = seconds_at_matmul_rate(config, now)
    return own | {name: clock.per_step for name, clock in clocks.items()}


def _usual_contenders(config: RunConfig, most_workers: int) -> Iterator[tuple[str, Iterator[float]]]:
    convolutional = config.model.name != "mlp"
    for workers in range(0, most_workers + 1, 2):
        yield f"usual, {workers} workers", usual.training(config, workers, channels_last=convolutional)
        if convolutional:
            yield f"usual, {workers} workers, torch's memory format", usual.training(config, workers, False)


def summarise(workload: Workload, seconds: dict[str, float]) -> dict[str, object]:
    """The ratios that the targets are about, beside the milliseconds they come from."""
    summary: dict[str, object] = {
        "workload": workload.name,
        "batch_size": workload.config.batch_size,
        "milliseconds": {name: round(value * 1e3, 3) for name, value in seconds.items()},
        "of_bare": round(seconds["bare"] / seconds["bnlab"], 3),
        "data_share": round(seconds["data"] / seconds["bnlab"], 4),
        "target": workload.target,
    }
    same = [value for name, value in seconds.items() if name.startswith("usual") and "format" not in name]
    default = [value for name, value in seconds.items() if "format" in name]
    if same:
        summary["times_usual"] = round(min(same) / seconds["bnlab"], 2)
    if same and "convolutions" in seconds:
        summary["most_possible"] = round(min(same) / seconds["convolutions"], 2)
        summary["most_conceivable"] = round(min(same) / seconds["convolutions at the rate of a matrix product"], 2)
    if default:
        summary["times_usual_default_format"] = round(min(default) / seconds["bnlab"], 2)
    return summary


COLUMNS = {  # title -> the number in a summary
    "bnlab / usual": "times_usual",
    "wanted": "target",
    "in torch's memory format": "times_usual_default_format",
    "if only convolutions cost": "most_possible",
    "and these ran like a matrix product": "most_conceivable",
}
TITLES = ("workload", "batch", "bnlab", "bare loop", "bnlab / bare", "data path", "usual, 0 / 2 workers", *COLUMNS)
HEADER = f"| {' | '.join(TITLES)} |\n|{'---|' * len(TITLES)}"


def row(summary: dict) -> str:
    """One line of the Markdown table; times are milliseconds per step."""
    ms = summary["milliseconds"]
    usual_ms = " / ".join(f"{ms[name]:.2f}" for name in ("usual, 0 workers", "usual, 2 workers") if name in ms)
    cells = [
        summary["workload"],
        str(summary["batch_size"]),
        f"{ms['bnlab']:.2f} ms",
        f"{ms['bare']:.2f} ms",
        f"{summary['of_bare']:.2f}",
        f"{summary['data_share']:.1%}",
        usual_ms,
        *(f"{summary[key]:.2f} ×" if summary.get(key) else "" for key in COLUMNS.values()),
    ]
    return f"| {' | '.join(cells)} |"


def machine(threads: int) -> dict[str, object]:
    """What the numbers depend on besides the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(names),
        "threads": threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; all without a name")
    parser.add_argument("--turns", type=int, default=10, help="how often the contenders take turns")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: of this process only, for a busy machine")
    parser.add_argument("--augment", action="store_true", help="random crops and flips of CIFAR-10, in both loops")
    parser.add_argument("--no-usual", action="store_true", help="leave the usual loop out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    arguments = parser.parse_args()
    unknown = set(arguments.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: no such workload; there are {', '.join(WORKLOADS)}")
    return arguments


def main() -> int:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    about = machine(arguments.threads) | {"clock": arguments.clock}
    print(", ".join(f"{key} {value}" for key, value in about.items()), end="\n\n")
    print(HEADER)
    summaries = []
    try:
        for name in arguments.workloads or WORKLOADS:
            peers, now = not arguments.no_usual, CLOCKS[arguments.clock]
            workload = augmented(WORKLOADS[name]) if arguments.augment else WORKLOADS[name]
            summaries.append(summarise(workload, measure(workload, arguments.turns, peers, now)))
            print(row(summaries[-1]), flush=True)
    except BnlabError as error:
        print(error, file=sys.stderr)
        return error.code
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": about, "workloads": summaries}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
