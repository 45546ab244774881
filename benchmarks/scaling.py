"""Measures what a sweep costs besides training, as the number of runs grows: planning, listing, skipping, collecting.

One run of the digits is trained and then copied under the addresses of N planned runs, with files as real runs leave
them. Every task is a process of its own, as for somebody who types the command: its seconds hold the start of Python.
The files lie in the page cache, as they do after a sweep. `docs/sweeps.md` shows the table.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Little is imported here: the peak memory that Linux reports of a process counts what it was forked from.
EXPERIMENT, SETTING = "ics_vgg", ("digits", "laptop")
VARIANTS, SEEDS = 4, 5
ESTIMATED = 100_000
MOST_REPEATED = 1_000  # larger sizes are measured once
STEPS = str(Path(__file__).resolve().with_name("many_runs.py"))


def words(runs: int) -> list[str]:
    """A sweep of so many runs: four variants, five seeds, and as many learning rates as that takes, 0.1 among them."""
    return [f"lr=range(0.1,{runs // (VARIANTS * SEEDS)})", f"seed=range({SEEDS})"]


# A task of the user -> the words after `python`, for a folder of results and a number of runs.
TASKS: dict[str, Callable[[Path, int], list[str]]] = {
    "plan": lambda root, runs: [STEPS, "plan", str(root), str(runs)],
    "`bnlab run --dry-run`, nothing done": lambda root, runs: [*_run(root.with_name("empty"), runs), "--dry-run"],
    "`bnlab run --dry-run`, all done": lambda root, runs: [*_run(root, runs), "--dry-run"],
    "`bnlab run`, all done": lambda root, runs: _run(root, runs),
    "`bnlab status`": lambda root, runs: ["-m", "bnlab", "status", "--results", str(root)],
    "`bnlab status --json`": lambda root, runs: ["-m", "bnlab", "status", "--json", "--results", str(root)],
    "read every run": lambda root, runs: [STEPS, "read", str(root), str(runs)],
    "read, judge the claims, draw a figure": lambda root, runs: [STEPS, "collect", str(root), str(runs)],
    "write a pack": lambda root, runs: [STEPS, "pack", str(root), str(runs)],
    "read the pack": lambda root, runs: [STEPS, "read_pack", str(root), str(runs)],
}


def _run(root: Path, runs: int) -> list[str]:
    return ["-m", "bnlab", "run", EXPERIMENT, *words(runs), "--results", str(root)]


@dataclass(frozen=True)
class Cost:
    """Of one process: `seconds` by the wall clock, `cpu` of all its threads, `megabytes` at its peak."""

    seconds: float
    cpu: float
    megabytes: float


def cost_of(arguments: Sequence[str]) -> Cost:
    """Run Python with these arguments. Errors: RuntimeError with what it wrote where it failed."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(map(str, arguments))}: {said.read().decode()[-2000:]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def cheapest(arguments: Sequence[str], repeats: int) -> Cost:
    """The least of each over several tries: what other processes of the machine add is never negative."""
    tries = [cost_of(arguments) for _ in range(repeats)]
    return Cost(*(min(getattr(t, name) for t in tries) for name in ("seconds", "cpu", "megabytes")))


def growth(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The exponent p of value ~ size**p between the two largest sizes, after what the smallest costs is taken off.

    NaN where nothing grew that could be measured.
    """
    start = values[0] if len(values) > 2 else 0.0
    before, after = values[-2] - start, values[-1] - start
    if before <= 0 or after <= 0:
        return math.nan
    return math.log(after / before) / math.log(sizes[-1] / sizes[-2])


def extrapolated(sizes: Sequence[int], values: Sequence[float], wanted: int, exponent: float) -> float:
    """The value at `wanted` if what is above the smallest size's grew on with this exponent, at least in proportion."""
    start = values[0] if len(values) > 2 else 0.0
    exponent = 1.0 if math.isnan(exponent) else max(exponent, 1.0)
    return start + max(values[-1] - start, 0.0) * (wanted / sizes[-1]) ** exponent


def prepare(folder: Path, runs: int) -> Path:
    """A results folder with so many finished runs; the one they are copies of is trained where there is none yet."""
    template = folder / "template"
    if not template.exists():
        cost_of(["-m", "bnlab", "run", EXPERIMENT, "variant=bn", "seed=0", "--jobs", "1", "--results", str(template)])
    root = folder / str(runs)
    cost_of([STEPS, "make", str(root), str(runs)])
    return root


def measure(folder: Path, sizes: Sequence[int], repeats: int) -> dict[str, list[Cost]]:
    """What every task costs at every size; one size lies on the disk at a time."""
    found: dict[str, list[Cost]] = {name: [] for name in TASKS}
    for runs in sizes:
        root = prepare(folder, runs)
        for name, arguments in TASKS.items():
            found[name].append(cheapest(arguments(root, runs), repeats if runs <= MOST_REPEATED else 1))
            print(f"{runs:>7,} runs: {name}: {found[name][-1].seconds:.2f} s", file=sys.stderr, flush=True)
        shutil.rmtree(root)
    return found


def table(sizes: Sequence[int], found: dict[str, list[Cost]]) -> str:
    """Markdown: seconds by the wall clock; processor time and memory of the largest size; growth and the estimate."""
    header = ["task", *(f"{size:,} runs" for size in sizes), f"processor, {sizes[-1]:,}", f"memory, {sizes[-1]:,}"]
    estimating = sizes[-1] < ESTIMATED
    header += ["growth", *([f"{ESTIMATED:,} runs, estimated", "memory, estimated"] if estimating else [])]
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    for name, costs in found.items():
        seconds, cpu, memory = ([getattr(c, key) for c in costs] for key in ("seconds", "cpu", "megabytes"))
        exponent = growth(sizes, cpu)
        cells = [name, *map(_spelt, seconds), _spelt(cpu[-1]), f"{memory[-1]:,.0f} MB"]
        cells.append("none" if math.isnan(exponent) else f"n^{exponent:.2f}")
        if estimating:
            cells.append(_spelt(extrapolated(sizes, seconds, ESTIMATED, exponent)))
            cells.append(f"{extrapolated(sizes, memory, ESTIMATED, growth(sizes, memory)):,.0f} MB")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _spelt(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:,.0f} s"


def machine(repeats: int) -> str:
    """What the numbers depend on besides the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.processor()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    said = f"cpu {cpu}, cores {len(names)}, python {platform.python_version()}"
    return f"{said}, best of {repeats}, load before {load}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    step = VARIANTS * SEEDS
    sizes = f"numbers of runs, multiples of {step}, rising (default: 100 1000 10000)"
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1_000, 10_000], metavar="N", help=sizes)
    parser.add_argument("--repeats", type=int, default=3, help="tries per task, of which the cheapest counts")
    parser.add_argument(
        "--folder", type=Path, help="where the runs are written (default: the folder for temporary files)"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the table there")
    arguments = parser.parse_args()
    if (
        len(arguments.sizes) < 2
        or sorted(set(arguments.sizes)) != arguments.sizes
        or any(n % step for n in arguments.sizes)
    ):
        parser.error(f"--sizes: at least two multiples of {step}, rising")
    return arguments


def main() -> int:
    arguments = parse()
    about = machine(arguments.repeats)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        found = measure(Path(folder), arguments.sizes, arguments.repeats)
    text = f"{about}\n\n{table(arguments.sizes, found)}\n"
    print(text, end="")
    if arguments.write:
        arguments.write.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
