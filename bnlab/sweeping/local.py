"""The local executor: one process per run, so many at a time; a run that dies costs only itself."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from bnlab.config import LauncherConfig
from bnlab.errors import BadInput, EnvironmentFault
from bnlab.store import FINISHED
from bnlab.sweeping.client import ForkServer
from bnlab.sweeping.elsewhere import Elsewhere
from bnlab.sweeping.hangs import Hangs, Silence
from bnlab.sweeping.mirrors import Mirrors
from bnlab.sweeping.retries import Retries, taken_up
from bnlab.sweeping.sweep import Watcher
from bnlab.sweeping.tasks import USUAL, Outcome, Patience, Task

SECONDS_PER_LOOK = 0.2
# How long children may take to save: a person at the terminal waits less than a cluster.
GRACE = {signal.SIGINT: 1.2, signal.SIGTERM: 120.0}
SERVERS_IN_A_ROW = 3


class Stop:
    """Whether a signal asked the sweep to stop; a second one means at once."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.count = 0

    def note(self, number: int, frame: object) -> None:
        self.signal = self.signal or signal.Signals(number)
        self.count += 1


@contextlib.contextmanager
def listening() -> Iterator[Stop]:
    """Note SIGINT and SIGTERM instead of dying of them."""
    stop = Stop()
    before = {number: signal.signal(number, stop.note) for number in GRACE}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def cores() -> int:
    """How many cores this process may use: what the kernel schedules it on, less where a container is given a share."""
    available = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(available, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return available


def choose_jobs(asked: int | None, threads: int, on_gpu: bool = False, replicas: int = 1) -> int:
    """Runs at a time: as asked, else what fills the cores, else one on a GPU.

    Errors: BadInput when jobs x threads x replicas exceeds the cores, which makes every run many times slower.
    """
    available = cores() // replicas
    jobs = asked if asked is not None else max(1, 1 if on_gpu else available // threads)
    if jobs < 1:
        raise BadInput(f"--jobs {jobs}: at least 1 run at a time")
    if jobs * threads > available:
        shared = f" x replicas={replicas}" if replicas > 1 else ""
        needed = jobs * threads * replicas
        raise BadInput(
            f"--jobs {jobs} x threads={threads}{shared} needs {needed} cores, this machine lends {cores()}; "
            f"more than it has is far slower, so give {_fitting(available, threads)}"
        )
    return jobs


def _fitting(available: int, threads: int) -> str:
    if available == 0:
        return f"replicas={cores()}"
    return f"--jobs {available // threads}" if threads <= available else f"--jobs 1 threads={available}"


class LocalSweep:
    """Takes tasks through their processes; tasks that another live process owns are left to it and looked at again."""

    def __init__(
        self,
        tasks: list[Task],
        jobs: int,
        watcher: Watcher,
        stop: Stop,
        patience: Patience = USUAL,
        launcher: LauncherConfig | None = None,
    ) -> None:
        self._waiting = deque(tasks)
        self._numbers = itertools.count()  # of attempts, for the fork server
        self._running: dict[int, Task] = {}
        self._reports: dict[int, dict] = {}
        self._elsewhere = Elsewhere()
        self._jobs, self._watcher, self._stop = jobs, watcher, stop
        self._retries = Retries(patience)
        self._hangs, self._silence = Hangs(patience, self._send), Silence(patience, watcher.say)
        self._mirrors = Mirrors(watcher.say)
        self._deadline: float | None = None
        self._server: ForkServer | None = None
        self._deaths = 0
        self.outcomes: list[Outcome] = []
        self.fault: Outcome | None = None  # of the machine, which would meet every further run as well

    def run(self) -> list[Outcome]:
        """Until every task ended, or a signal stopped the sweep; outcomes in the order in which runs ended."""
        try:
            while self._unfinished() and not self._overdue():
                self._fill()
                for report in self._listen():
                    self._hear(report)
                self._obey()
                self._hangs.look(self._running)
                self._mirrors.look()
                self._watcher.look(list(self._running.values()), len(self._elsewhere))
            self._mirrors.wait(lambda: self._stop.signal is not None)
        finally:
            if self._server is not None:
                if self._running:
                    self._server.signal_all(signal.SIGKILL)
                self._server.close()
        return self.outcomes

    def _unfinished(self) -> bool:
        ending = self._stop.signal or self.fault
        return bool(self._running or (not ending and (self._waiting or len(self._elsewhere))))

    def _fill(self) -> None:
        if self._stop.signal or self.fault:
            return
        self._ask_elsewhere()
        if self._server is None and self._waiting:
            self._server = ForkServer()
        while self._server is not None and self._server.ready and self._waiting and len(self._running) < self._jobs:
            number, task = next(self._numbers), self._waiting.popleft()
            self._running[number] = task
            self._watcher.started(task)
            self._hangs.began(number, task)
            self._server.begin(number, task)

    def _ask_elsewhere(self) -> None:
        finished, free = self._elsewhere.ask()
        for outcome in finished:
            self._end(outcome)
        self._waiting.extend(free)

    def _listen(self) -> list[dict]:
        if self._server is None:
            time.sleep(SECONDS_PER_LOOK)
            return []
        reports = self._server.reports(SECONDS_PER_LOOK)
        self._silence.look(self._server)
        if self._server.dead:
            self._replace_server()
        return reports

    def _replace_server(self) -> None:
        """Its children may live on; their tasks are asked about like those of any other process."""
        self._deaths += 1
        words = self._server.last_words()
        self._server.close()
        self._server = None
        if self._deaths >= SERVERS_IN_A_ROW:
            died = f"the process that starts runs died {self._deaths} times ({words[:100]})"
            raise EnvironmentFault(f"{died}; free some memory and run the command again")
        for task in self._running.values():
            self._elsewhere.add(taken_up(task))
        self._running.clear()
        self._reports.clear()

    def _hear(self, report: dict) -> None:
        if "state" in report:
            self._reports[report["number"]] = report
        elif "exit" in report and report["number"] in self._running:
            number = report["number"]
            self._close(number, self._running.pop(number), self._reports.pop(number, None), report["exit"])

    def _close(self, number: int, task: Task, said: dict | None, code: int) -> None:
        self._deaths = 0
        hung = self._hangs.ended(number, code)
        if said is None:
            self._conclude(Outcome(task, "failed", hung, 1) if hung else self._silent(task, code))
        elif said["state"] == "busy":
            self._elsewhere.add(taken_up(task))
        elif said["state"] not in (*FINISHED, "failed") and not self._stop.signal:
            self._waiting.appendleft(taken_up(task))  # only this run was told to stop
        else:
            self._conclude(Outcome(task, said["state"], said["error"], said["code"]))

    def _conclude(self, outcome: Outcome) -> None:
        ending = self._stop.signal or self.fault
        retry = None if ending else self._retries.grant(outcome)
        if retry is None:
            self._mirrors.add(outcome.task)
            self._end(outcome)
        else:
            self._watcher.retried(outcome, retry)
            self._waiting.append(retry.task)

    def _silent(self, task: Task, code: int) -> Outcome:
        """The outcome of a process that ended without a word."""
        if self._stop.signal and code in (-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL):
            return Outcome(task, "interrupted")
        if code >= 0:
            return Outcome(task, "failed", f"its process ended by itself with exit code {code}", 1)
        name = signal.Signals(-code).name
        hint = ", as happens when memory runs out" if -code == signal.SIGKILL else ""
        return Outcome(task, "failed", f"its process was ended by {name}{hint}", 1)

    def _end(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if outcome.code == EnvironmentFault.code:
            self.fault = self.fault or outcome
        self._watcher.ended(outcome)

    def _send(self, number: int, signal_number: signal.Signals) -> None:
        if self._server is not None:
            self._server.signal_one(number, signal_number)

    def _obey(self) -> None:
        """Pass the signal on, once: a run saves its state, and notes which signal it was."""
        if self._stop.signal is not None and self._server is not None and self._deadline is None:
            self._deadline = time.monotonic() + GRACE[self._stop.signal]
            self._server.signal_all(self._stop.signal)

    def _overdue(self) -> bool:
        return self._deadline is not None and (self._stop.count > 1 or time.monotonic() > self._deadline)
