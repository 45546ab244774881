"""The Ray executor: every run a task of plain Ray Core, on whatever node has room for it.

A run's directory tells how it went, here as everywhere: the results folder must lie where all nodes see it. Who is at
a run is told by a lock on its directory, which a network file system has to pass on (NFS does).
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass

from bnlab import __version__
from bnlab.config import LauncherConfig, RunConfig
from bnlab.errors import ENVIRONMENT, BadInput, EnvironmentFault
from bnlab.store import FINISHED, is_owned, read_status
from bnlab.sweeping.elsewhere import Elsewhere
from bnlab.sweeping.local import SECONDS_PER_LOOK, Stop
from bnlab.sweeping.ray_session import connected
from bnlab.sweeping.ray_worker import BUSY, perform
from bnlab.sweeping.retries import Retries, taken_up
from bnlab.sweeping.sweep import Watcher
from bnlab.sweeping.tasks import Outcome, Patience, Task

# How long runs may take to save while their sweep waits; their nodes give them longer, when it does not.
GRACE = {signal.SIGINT: 0.3, signal.SIGTERM: 120.0}
SECONDS_BETWEEN_COUNTS = 2.0
# A cluster that lost its last fitting node may get another.
SECONDS_WITHOUT_NODE = 60.0
# A run is not to blame for its node; but one that takes every node with it is not sent round for ever.
LOSSES = 5


@dataclass(frozen=True)
class Need:
    """What one run takes of a node."""

    cpus: float
    gpus: float
    memory_gb: float

    @classmethod
    def of(cls, config: RunConfig, launcher: LauncherConfig) -> Need:
        gpus = launcher.gpus or float(config.device == "cuda")
        return cls(launcher.cpus or float(config.threads), gpus, launcher.memory_gb)

    def options(self) -> dict:
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": int(self.memory_gb * 1e9) or None}

    def slots(self, resources: dict[str, float]) -> int:
        """How many such runs a node of these resources takes at a time."""
        asked = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_gb * 1e9}
        return min(int(resources.get(name, 0.0) / amount + 1e-9) for name, amount in asked.items() if amount)

    def __str__(self) -> str:
        return _spell({"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_gb * 1e9})


def _spell(resources: dict[str, float]) -> str:
    parts = [f"{resources[name]:g} {name}" for name in ("CPU", "GPU") if resources.get(name)]
    memory = resources.get("memory", 0.0)
    return ", ".join(parts + ([f"{memory / 1e9:.3g} GB"] if memory else [])) or "nothing"


class RaySweep:
    """Hands tasks to a cluster as it has room for them, and takes up again what was lost with a node."""

    def __init__(
        self,
        tasks: list[Task],
        jobs: int,
        watcher: Watcher,
        stop: Stop,
        patience: Patience,
        launcher: LauncherConfig,
    ) -> None:
        self._waiting = deque(tasks)
        self._running: dict[object, Task] = {}  # keyed by Ray's reference to the answer
        self._elsewhere = Elsewhere()
        self._jobs, self._watcher, self._stop, self._launcher = jobs, watcher, stop, launcher
        self._needs = {Need.of(task.run.config, launcher) for task in tasks}
        self._hang_minutes = patience.hang_minutes
        self._retries, self._losses = Retries(patience), Retries(Patience(LOSSES))
        self._deadline: float | None = None
        self._counted_at = float("-inf")
        self._versions = Versions()
        self.outcomes: list[Outcome] = []
        self.fault: Outcome | None = None

    def run(self) -> list[Outcome]:
        """Until every task ended, or a signal stopped the sweep; runs that are still at work then save by themselves.

        Errors: EnvironmentFault where there is no cluster, or none of its nodes can take a run.
        """
        with connected(self._launcher.address) as self._ray:
            self._remote = self._ray.remote(perform)
            self._room_at = time.monotonic() - SECONDS_WITHOUT_NODE  # a node that fits must be there at the start
            while self._unfinished() and not self._overdue():
                self._fill()
                self._listen()
                self._obey()
                self._watcher.look(list(self._running.values()), len(self._elsewhere))
        return self.outcomes

    def _unfinished(self) -> bool:
        ending = self._stop.signal or self.fault
        return bool(self._running or (not ending and (self._waiting or len(self._elsewhere))))

    def _fill(self) -> None:
        if self._stop.signal or self.fault:
            return
        self._ask_elsewhere()
        self._count()
        while self._waiting and len(self._running) < self._room(self._waiting[0]):
            task = self._waiting.popleft()
            if is_owned(task.directory):
                self._elsewhere.add(task)
            else:
                self._begin(task)

    def _ask_elsewhere(self) -> None:
        finished, free = self._elsewhere.ask()
        for outcome in finished:
            self._end(outcome)
        self._waiting.extend(free)

    def _room(self, task: Task) -> int:
        """Runs like this one that are at work at a time: no more than fit, or the others would only seem to be."""
        slots = self._slots[self._need(task)]
        return min(self._jobs or slots, slots)

    def _need(self, task: Task) -> Need:
        return Need.of(task.run.config, self._launcher)

    def _count(self) -> None:
        """Count the room on the nodes that are alive. Errors: EnvironmentFault where there is none for long."""
        if time.monotonic() - self._counted_at < SECONDS_BETWEEN_COUNTS:
            return
        self._counted_at = time.monotonic()
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        self._slots = {need: sum(need.slots(node) for node in nodes) for need in self._needs}
        if all(self._slots.values()):
            self._room_at = self._counted_at
        elif self._counted_at - self._room_at >= SECONDS_WITHOUT_NODE:
            need = next(need for need, slots in self._slots.items() if not slots)
            there = "; ".join(sorted({_spell(node) for node in nodes})) or "no node"
            raise EnvironmentFault(f"launcher=ray: a run takes {need}, and no node has that; the cluster has {there}")

    def _begin(self, task: Task) -> None:
        try:
            send = self._remote.options(max_retries=0, **self._need(task).options())
        except ValueError as error:
            raise BadInput(f"launcher.cpus, launcher.gpus: Ray says {error}") from error
        self._running[send.remote(task.request(), self._hang_minutes)] = task
        self._watcher.started(task)

    def _listen(self) -> None:
        if not self._running:
            time.sleep(SECONDS_PER_LOOK)
            return
        ready, _ = self._ray.wait(list(self._running), timeout=SECONDS_PER_LOOK)
        for reference in ready:
            self._hear(reference, self._running.pop(reference))

    def _hear(self, reference: object, task: Task) -> None:
        try:
            self._close(task, self._ray.get(reference))
        except self._ray.exceptions.RayTaskError as error:
            last = str(error).strip().splitlines()[-1]
            self._conclude(Outcome(task, "failed", f"a worker cannot begin: {last}; is bnlab there?", ENVIRONMENT))
        except self._ray.exceptions.RayError as error:
            self._lose(task, type(error).__name__)

    def _close(self, task: Task, said: dict) -> None:
        if said["state"] == BUSY:
            self._elsewhere.add(taken_up(task))
        elif said["state"] in FINISHED:
            self._finish(task, said)
        elif said["state"] != "failed" and not self._stop.signal:
            self._waiting.appendleft(taken_up(task))  # only its node is being taken away
        else:
            self._conclude(Outcome(task, said["state"], said["error"], said["code"]))

    def _finish(self, task: Task, said: dict) -> None:
        os.listdir(task.directory.parent)  # has a network file system look again
        status = read_status(task.directory)
        if status is None or status.state not in FINISHED:
            unseen = (
                f"node {said['node']} finished it, and it is not in {task.directory}; results must be on a shared disk"
            )
            self._end(Outcome(task, "failed", unseen, ENVIRONMENT))
            return
        self._versions.compare(status.environment, said["node"])
        self._end(Outcome(task, status.state))

    def _lose(self, task: Task, how: str) -> None:
        """The worker went away without a word: its node died, or took it for too large."""
        if self._stop.signal:
            self._end(Outcome(task, "interrupted"))
            return
        self._conclude(Outcome(task, "failed", f"its worker or node was lost ({how})", 1), self._losses)

    def _conclude(self, outcome: Outcome, retries: Retries | None = None) -> None:
        ending = self._stop.signal or self.fault
        retry = None if ending else (retries or self._retries).grant(outcome)
        if retry is None:
            self._end(outcome)
        else:
            self._watcher.retried(outcome, retry)
            self._waiting.append(retry.task)

    def _end(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if outcome.code == ENVIRONMENT:
            self.fault = self.fault or outcome
        self._watcher.ended(outcome)

    def _obey(self) -> None:
        """Have the runs save and stop, once."""
        if self._stop.signal is not None and self._deadline is None:
            self._deadline = time.monotonic() + GRACE[self._stop.signal]
            for reference in self._running:
                self._ray.cancel(reference)

    def _overdue(self) -> bool:
        return self._deadline is not None and (self._stop.count > 1 or time.monotonic() > self._deadline)


class Versions:
    """Says, once for each, which nodes train with other versions than this machine has: bits may differ."""

    def __init__(self) -> None:
        self._here = {"bnlab": __version__, "torch": importlib.metadata.version("torch")}
        self._said: set[tuple[str, str]] = set()

    def compare(self, environment: dict, node: str) -> None:
        for name, here in self._here.items():
            there = str(environment.get(name, here))
            if there != here and (name, there) not in self._said:
                self._said.add((name, there))
                line = f"bnlab: node {node} has {name} {there}, this machine {here}: bits may differ between runs"
                print(line, file=sys.stderr, flush=True)
