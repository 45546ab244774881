"""How long the dashboard takes to its first page: `python benchmarks/pages.py [RUNS ...]`, by default 1,000 and 10,000.

The runs are finished ones of a made experiment, ten seeds to a configuration. Each count is timed in a process of its
own, from the command to the whole first page, with the files in the system's cache.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

COUNTS = (1_000, 10_000)
SEEDS = 10
PAGES = ("/", "/runs", "/claims", "/experiment/ics_vgg")
STATUS = {"state": "done", "step": 250, "steps": 250, "seconds": 20.0, "attempts": 1, "error": "", "diverged_at": None}
STATUS |= {
    "environment": {"torch": "2.13.0", "python": "3.11.7", "commit": "0" * 40},
    "notes": [],
    "weights_sha256": "0" * 64,
}


def make(root: Path, runs: int) -> None:
    """Run directories with configuration and status; nothing that these pages read for a curve."""
    from bnlab.config import RunConfig, to_dict

    config = to_dict(RunConfig())
    for number in range(runs):
        stem, seed = divmod(number, SEEDS)
        run = root / "ics_vgg" / "digits-laptop" / "runs" / ("bn", "plain")[stem % 2] / f"{stem:08x}-s{seed}"
        run.mkdir(parents=True)
        said = {"id": run.name, "overrides": {"lr": stem / 100}, "config": config | {"seed": seed, "lr": stem / 100}}
        (run / "config.json").write_text(json.dumps(said, indent=1))
        (run / "status.json").write_text(json.dumps(STATUS, indent=1))


def measure(root: Path) -> dict[str, float]:
    """Seconds from the command to the printed address, then to each page in turn, then to the first again.

    `(worked)` is the server's processor time up to then, which a busy machine does not change much.
    """
    began = time.perf_counter()
    command = [sys.executable, "-m", "bnlab", "dashboard", "--results", str(root), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = re.search(r"http://\S+", server.stdout.readline())[0]
        took = {"address printed": time.perf_counter() - began, "(worked)": _worked(server.pid)}
        for page in (*PAGES, "/"):
            began = time.perf_counter()
            with urllib.request.urlopen(address.replace("/?", f"{page}?")) as answer:
                answer.read()
            took[f"{page} again" if page in took else page] = time.perf_counter() - began
            took.setdefault("(worked with the first page)", _worked(server.pid))
    finally:
        server.terminate()
        server.wait()
    return took


def _worked(process: int) -> float:
    """Processor seconds of a process so far (Linux)."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, metavar="RUNS", default=COUNTS, help="runs in the folder")
    counts = parser.parse_args().counts
    load, columns = os.getloadavg()[0], {}
    for runs in counts:
        with tempfile.TemporaryDirectory(prefix="bnlab-pages-") as root:
            make(Path(root), runs)
            columns[f"{runs:,} runs"] = measure(Path(root))
    print(f"cores {os.cpu_count()}, python {platform.python_version()}, load before {load:.1f}\n")
    print(f"| ms | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for what in next(iter(columns.values())):
        print(f"| {what} | {' | '.join(f'{1000 * took[what]:.0f}' for took in columns.values())} |")


if __name__ == "__main__":
    main()
