"""Training that goes wrong at a chosen step. The fork server of a test imports it, so the faults are a run's own."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time

import torch

FAULT = 15  # the step before which it goes wrong


def serve(faults: dict[int, str], tries: int) -> None:
    """Serve runs; the one with a seed in `faults` goes wrong in its first `tries` attempts."""
    import bnlab.running as running
    from bnlab.sweeping import forkserver

    sound = running.train

    def train(run, record, between_steps):
        fault = faults.get(run.config.seed)

        def faulty() -> bool:
            stopped = between_steps()
            if run.step == FAULT and fault and between_steps.__self__._attempts <= tries:
                between_steps.__self__.write("running")
                globals()[fault]()
            return stopped

        return sound(run, record, faulty)

    running.train = train
    forkserver.serve()


def start(faults: dict[int, str], tries: int) -> str:
    """The code that a fork server with these faults starts with."""
    here = os.path.dirname(__file__)
    path = f"import json, sys; sys.path[:] = [*json.loads(sys.argv[1]), {here!r}]; "
    return f"{path}import faulty_training; faulty_training.serve({faults!r}, {tries})"


def raises() -> None:
    raise ZeroDivisionError("no luck")


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crashes() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def exits() -> None:
    sys.exit(7)


def sleeps() -> None:
    while True:
        time.sleep(60)


def is_stopped() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def fills_memory() -> None:
    """Past a limit of its own, so that the machine does not feel it."""
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    torch.empty(32 << 30, dtype=torch.uint8)


def fills_python_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    bytearray(32 << 30)
