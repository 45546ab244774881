"""A run that trains nothing: from its configuration to its rows. It is short, so a stopped one starts over."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from bnlab import procedures
from bnlab.config import RunConfig
from bnlab.store import RunWriter, Status, write_status

SECONDS_BETWEEN_REPORTS = 1.0
SIGNAL_STATES = {signal.SIGTERM: "preempted", signal.SIGINT: "interrupted"}


def measure(config: RunConfig, directory: Path, attempts: int, environment: dict) -> str:
    """Write every row of the run's procedure; returns done, or the state that a signal left it in."""
    torch.set_num_threads(config.threads)
    began, written = time.monotonic(), float("-inf")
    step = 0

    def report(state: str) -> None:
        seconds = round(time.monotonic() - began, 2)
        write_status(directory, Status(state, step, config.steps, seconds, attempts, environment=environment))

    writer = RunWriter(directory)
    try:
        with _noting() as stop:
            for step, values in procedures.measure(config):
                writer.record(step, values)
                if stop:
                    report(SIGNAL_STATES[stop[0]])
                    return SIGNAL_STATES[stop[0]]
                if time.monotonic() - written > SECONDS_BETWEEN_REPORTS:
                    written = time.monotonic()
                    report("running")
        writer.finish()
    finally:
        writer.close()
    step = config.steps
    report("done")
    return "done"


@contextlib.contextmanager
def _noting() -> Iterator[list[int]]:
    """The signals to stop that have come, in order, instead of dying of them."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in SIGNAL_STATES}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
