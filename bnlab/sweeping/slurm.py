"""A sweep as job arrays. What became of a run is read in its directory; the scheduler only says which jobs are left.

Two sweeps over the same runs are no danger: the lock of a run (`bnlab.store.owning`) holds on every node that shares
the folder, so a second job waits for the first, finds it done, or leaves it alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bnlab.config import LauncherConfig
from bnlab.errors import EnvironmentFault, fit_line
from bnlab.store import FINISHED, Status, is_owned, read_status
from bnlab.sweeping.local import Stop
from bnlab.sweeping.retries import Retries, taken_up
from bnlab.sweeping.scheduler import Needs, make_scheduler
from bnlab.sweeping.slurm_job import RunJob, moved_on
from bnlab.sweeping.sweep import Watcher
from bnlab.sweeping.tasks import Outcome, Patience, Task

if TYPE_CHECKING:
    from submitit import Job

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_PER_WAIT = 0.1
# A job that left the queue may have written last words that a shared folder does not show yet.
SECONDS_OF_DOUBT = 10.0
# A run that another process had, and that stands still for so long without an owner, is taken over.
SECONDS_OF_SILENCE = 60.0
STOPPED = ("preempted", "interrupted")


@dataclass
class Submitted:
    """A run in the hands of the scheduler: its status when it was handed over, and the newest one."""

    task: Task
    job: Job
    before: Status | None
    status: Status | None = None
    started: bool = False
    moved: float = field(default_factory=time.monotonic)
    gone: float | None = None


@dataclass
class Elsewhere:
    """A run that another process is at; `moved` is when its status last changed."""

    task: Task
    status: Status | None = None
    moved: float = field(default_factory=time.monotonic)


class SlurmSweep:
    """Hands tasks to a scheduler and watches their directories until each has ended."""

    def __init__(
        self, tasks: list[Task], jobs: int, watcher: Watcher, stop: Stop, patience: Patience, launcher: LauncherConfig
    ) -> None:
        self._scheduler = make_scheduler(launcher, jobs)
        self._launcher, self._watcher, self._stop = launcher, watcher, stop
        self._waiting = deque(tasks)
        self._submitted: dict[str, Submitted] = {}
        self._elsewhere: list[Elsewhere] = []
        self._retries = Retries(patience)
        self._longest_pause = 60 * patience.hang_minutes
        self._looked = float("-inf")
        self._hindrances: set[str] = set()
        self.outcomes: list[Outcome] = []
        self.fault: Outcome | None = None

    def run(self) -> list[Outcome]:
        """Until every task ended, or a signal stopped the sweep: then its jobs are cancelled, and save."""
        try:
            while (self._waiting or self._submitted or self._elsewhere) and not self._ending():
                self._submit()
                self._look()
                self._watcher.look([s.task for s in self._submitted.values() if s.started], len(self._elsewhere))
                time.sleep(SECONDS_PER_WAIT)
        finally:
            if self._submitted:
                self._scheduler.cancel(self._submitted)
                self._watcher.say(f"jobs cancelled: {len(self._submitted)}; runs at work save their state")
        return self.outcomes

    def _ending(self) -> bool:
        return bool(self._stop.signal or self.fault)

    def _submit(self) -> None:
        """As many arrays as it takes; the jobs of one need the same of a node."""
        while self._waiting and not self._ending():
            room = self._scheduler.room(len(self._submitted))
            needs = Needs.of(self._waiting[0], self._launcher)
            batch: list[Task] = []
            while self._waiting and len(batch) < room and Needs.of(self._waiting[0], self._launcher) == needs:
                batch.append(self._waiting.popleft())
            if not batch:
                return
            before = [read_status(task.directory) for task in batch]
            runs = [RunJob(task.request(), status.attempts if status else 0) for task, status in zip(batch, before)]
            jobs = self._scheduler.submit(runs, needs, self._submitted)
            self._watcher.say(_submission([job.job_id for job in jobs]))
            for task, job, status in zip(batch, jobs, before):
                self._submitted[job.job_id] = Submitted(task, job, status, status)

    def _look(self) -> None:
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        queue = self._scheduler.queue()
        if self._scheduler.silence > self._longest_pause:
            raise EnvironmentFault("squeue has not answered for long; when it does again, the same command goes on")
        for submitted in list(self._submitted.values()):
            self._follow(submitted, queue)
        for elsewhere in list(self._elsewhere):
            self._ask(elsewhere)
        self._looked = time.monotonic()

    def _follow(self, one: Submitted, queue: dict[str, str] | None) -> None:
        """Read the run's directory, unless its job was still waiting when the queue was last asked for."""
        state = queue.get(one.job.job_id) if queue is not None else "UNKNOWN"
        if state == "PENDING":
            one.moved, one.gone = time.monotonic(), None
            self._say_hindrance(self._scheduler.hindrance(one.job.job_id))
            return
        self._read(one)
        said = self._result(one)
        if one.status != one.before and one.status.state in FINISHED:
            self._end(one, Outcome(one.task, one.status.state))
        elif said is not None and said["state"] in ("failed", "busy"):
            self._close(one, said)
        elif state is None:
            self._miss(one, said)
        elif state == "RUNNING" and time.monotonic() - one.moved > self._longest_pause:
            self._scheduler.cancel_one(one.job.job_id)
            self._fail(one, f"no progress for {self._longest_pause / 60:g} minutes")
        else:
            one.gone = None

    def _say_hindrance(self, reason: str) -> None:
        """Once for each: jobs that ask for what no node has wait in the queue for ever."""
        if reason and reason not in self._hindrances:
            self._hindrances.add(reason)
            mend = "if that will not pass, stop with Ctrl-C and change the launcher.* words"
            self._watcher.say(fit_line(f"jobs wait in the queue, SLURM says {reason}; {mend}"))

    def _read(self, one: Submitted) -> None:
        status = read_status(one.task.directory)
        if status == one.status:
            return
        one.status, one.moved = status, time.monotonic()
        if not one.started and status is not None:
            one.started = True
            self._watcher.started(one.task)

    def _result(self, one: Submitted) -> dict | None:
        """What the job said at its end, if it came to that. A job that was put back may have said that it stopped."""
        from submitit.core.utils import pickle_load

        try:
            outcome, said = pickle_load(one.job.paths.result_pickle)
        except (OSError, EOFError):
            return None
        return said if outcome == "success" else {"state": "broken", "error": said.strip().splitlines()[-1], "code": 1}

    def _miss(self, one: Submitted, said: dict | None) -> None:
        """The job is no longer there, and its run is not finished."""
        one.gone = one.gone or time.monotonic()
        if said is None and time.monotonic() - one.gone < SECONDS_OF_DOUBT:
            return
        if moved_on(one.before, one.status):
            del self._submitted[one.job.job_id]
            self._waiting.append(taken_up(one.task))
        elif said is not None and said["state"] == "broken":
            self._fail(one, said["error"])
        else:
            self._fail(one, f"its job {one.job.job_id} left the queue {_how(one)}; its log: {one.job.paths.stdout}")

    def _close(self, one: Submitted, said: dict) -> None:
        if said["state"] == "busy":
            del self._submitted[one.job.job_id]
            self._elsewhere.append(Elsewhere(one.task))
        else:
            self._conclude(one, Outcome(one.task, "failed", said["error"], said["code"]))

    def _fail(self, one: Submitted, error: str) -> None:
        self._conclude(one, Outcome(one.task, "failed", error, 1))

    def _conclude(self, one: Submitted, outcome: Outcome) -> None:
        retry = self._retries.grant(outcome)
        if retry is None:
            self._end(one, outcome)
        else:
            del self._submitted[one.job.job_id]
            self._watcher.retried(outcome, retry)
            self._waiting.append(retry.task)

    def _end(self, one: Submitted, outcome: Outcome) -> None:
        del self._submitted[one.job.job_id]
        self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if outcome.code == EnvironmentFault.code:
            self.fault = self.fault or outcome
        self._watcher.ended(outcome)

    def _ask(self, one: Elsewhere) -> None:
        """Of a run that another process had: it is finished, goes on, or is ours again."""
        status = read_status(one.task.directory)
        if status != one.status:
            one.status, one.moved = status, time.monotonic()
        if status is not None and status.state in FINISHED:
            self._elsewhere.remove(one)
            self._tell(Outcome(one.task, status.state))
        elif time.monotonic() - one.moved > SECONDS_OF_SILENCE and not is_owned(one.task.directory):
            self._elsewhere.remove(one)
            self._waiting.append(taken_up(one.task))


def _submission(jobs: Sequence[str]) -> str:
    if len(jobs) == 1:
        return f"submitted 1 run, job {jobs[0]}"
    return f"submitted {len(jobs)} runs, jobs {jobs[0]} to {jobs[-1]}"


def _how(one: Submitted) -> str:
    if one.status is None or one.status == one.before:
        return "before it began"
    return "without moving on" if one.status.state == "preempted" else f"without a word after step {one.status.step}"
