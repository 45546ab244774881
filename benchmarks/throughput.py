"""Measures bnlab's training loop beside a bare loop and beside the usual DataLoader loop, in one process and one run.

All contenders of a workload take turns, a few steps each, so that a machine that slows down slows all of them.
`benchmarks/README.md` says what each number means.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import usual
from torch.nn.functional import cross_entropy

from bnlab import data
from bnlab.config import CurvesConfig, DataConfig, ModelConfig, NormConfig, OptimConfig, ProbeConfig, RunConfig
from bnlab.errors import BnlabError
from bnlab.store import RunWriter
from bnlab.training.loop import train
from bnlab.training.state import TrainingState

BARE_TARGET = 0.9
DATA_PATH_TARGET = 0.02
WARM_UP = 10

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

# Default probes, with the evaluations on the training subset and the test set aside.
PROBES = ProbeConfig(curves=CurvesConfig(full="never"))


@dataclasses.dataclass(frozen=True)
class Workload:
    """`target`: how many times the throughput of the usual loop is wanted, None where only the other two count."""

    name: str
    target: float | None
    steps: int
    config: RunConfig


def _vgg(name: str, width: float, batch_size: int) -> RunConfig:
    model = ModelConfig(name=name, width=width, init="glorot")
    return _config(DataConfig(name="cifar10", pixels="standardized"), model, batch_size)


def _mlp(batch_size: int) -> RunConfig:
    return _config(DataConfig(name="mnist", pixels="standardized"), ModelConfig(), batch_size)


def _config(images: DataConfig, model: ModelConfig, batch_size: int) -> RunConfig:
    return RunConfig(
        variant="bn",
        data=images,
        model=model,
        norm=NormConfig(name="batch"),
        optim=OptimConfig(name="sgd"),
        probe=PROBES,
        lr=0.01,
        batch_size=batch_size,
    )


WORKLOADS = {
    "mlp": Workload("MLP 200-100-60-30, MNIST", 3.0, 10_000, _mlp(100)),
    "vgg_a": Workload("VGG-A, width 1/4, CIFAR-10", 1.6, 1000, _vgg("vgg_a", 0.25, 128)),
    "vgg_d": Workload("VGG-D, width 1/4, CIFAR-10", 1.2, 1000, _vgg("vgg_d", 0.25, 128)),
    "vgg_d_laptop": Workload("VGG-D, width 1/8, CIFAR-10", None, 1000, _vgg("vgg_d", 0.125, 64)),
}


class Clock:
    """Seconds and steps of one contender, turn by turn; `now` is the clock that is read."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.turns: list[tuple[float, int]] = []

    def time(self, steps: int, advance: Callable[[int], object]) -> None:
        start = self._now()
        advance(steps)
        self.turns.append((self._now() - start, steps))

    @property
    def per_step(self) -> float:
        """Mean seconds per step over all turns: probes are due at some steps only, so no turn stands for the rest."""
        return sum(seconds for seconds, _ in self.turns) / sum(steps for _, steps in self.turns)


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


class Bnlab:
    """The loop that runs train in, with its probes and its file of measurements, stopped between turns."""

    def __init__(self, config: RunConfig, sets: data.ImageSets, folder: Path) -> None:
        self._state = TrainingState(config, sets, "cpu")
        self._writer = RunWriter(folder)

    def advance(self, steps: int) -> None:
        end = self._state.step + steps
        outcome = train(self._state, self._writer.record, lambda: self._state.step >= end)
        if outcome.state != "stopped":
            raise RuntimeError(f"the benchmark's run ended as {outcome.state}")

    def load(self, steps: int) -> None:
        for _ in range(steps):
            self._state.batches.next()


def take(steps: Iterator[object]) -> Callable[[int], object]:
    """Turns an endless training into a function that advances it by so many steps."""
    return lambda count: [next(steps) for _ in range(count)][-1]


def measure(
    workload: Workload, turns: int, scale: float, peers: bool, now: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Seconds per step of every contender, by name, over `turns` turns each."""
    steps = max(turns, round(workload.steps * scale))
    # One step more than is trained: the measurement at the end of a run belongs to no step.
    config = dataclasses.replace(workload.config, steps=steps + 1)
    sets = data.load(config.data)
    turn = steps // turns
    few = max(5, min(turn, 60))  # the usual loop has no rare steps, so less of it is enough
    with tempfile.TemporaryDirectory() as folder:
        subject = Bnlab(config, sets, Path(folder))
        bare = take(bare_training(config, sets, turn))
        bare(WARM_UP)
        clocks = {name: Clock(now) for name in ("bnlab", "bare", "data")}
        for _ in range(turns):
            clocks["bnlab"].time(turn, subject.advance)
            clocks["bare"].time(turn, bare)
            for name, contender in _usual_contenders(config) if peers else ():
                advance = take(contender)
                advance(WARM_UP)  # workers start and fill their queues outside the measured time
                clocks.setdefault(name, Clock(now)).time(few, advance)
                contender.close()
        clocks["data"].time(turn * turns, subject.load)
    return {name: clock.per_step for name, clock in clocks.items()}


def _usual_contenders(config: RunConfig) -> Iterator[tuple[str, Iterator[float]]]:
    convolutional = config.model.name != "mlp"
    for workers in (0, 2):
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
    if default:
        summary["times_usual_default_format"] = round(min(default) / seconds["bnlab"], 2)
    return summary


HEADER = """\
| workload | batch | bnlab | bare loop | bnlab / bare | data path | usual, 0 / 2 workers | bnlab / usual |
|---|---|---|---|---|---|---|---|"""


def row(summary: dict) -> str:
    """One line of the Markdown table; times are milliseconds per step."""
    ms = summary["milliseconds"]
    usual_ms = " / ".join(f"{ms[name]:.2f}" for name in ("usual, 0 workers", "usual, 2 workers") if name in ms)
    wanted = f" (wanted {summary['target']:g})" if summary["target"] else ""
    times = f"{summary['times_usual']:.2f} ×{wanted}" if "times_usual" in summary else ""
    if "times_usual_default_format" in summary:
        times += f"; {summary['times_usual_default_format']:.2f} × in torch's memory format"
    cells = [
        summary["workload"],
        str(summary["batch_size"]),
        f"{ms['bnlab']:.2f} ms",
        f"{ms['bare']:.2f} ms",
        f"{summary['of_bare']:.2f}",
        f"{summary['data_share']:.1%}",
        usual_ms,
        times,
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
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the steps, for a quick look")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: of this process only, for a busy machine"
    )
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
            seconds = measure(WORKLOADS[name], arguments.turns, arguments.scale, peers, now)
            summaries.append(summarise(WORKLOADS[name], seconds))
            print(row(summaries[-1]), flush=True)
    except BnlabError as error:
        print(error, file=sys.stderr)
        return error.code
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": about, "workloads": summaries}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
