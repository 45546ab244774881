"""What a sweep asks of a scheduler: take these runs, say which are still with you, cancel them.

Behind both classes is submitit. They never ask `sacct`: many clusters keep no accounts, and a run's directory knows
better how it ended.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bnlab import paths
from bnlab.config import LauncherConfig
from bnlab.errors import BadInput, EnvironmentFault
from bnlab.store import make_folder
from bnlab.sweeping.slurm_job import RunJob
from bnlab.sweeping.tasks import Task

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job

SECONDS_BETWEEN_QUEUES = 5.0
SECONDS_TO_CANCEL = 1.5
SECONDS_TO_SAVE = 90  # before the time limit, less for short jobs
# A job is put back for as long as its run moves on; submitit counts down from here all the same.
TIMES_PUT_BACK = 10**6
# Reasons for which a job waits that time mends.
PATIENT = ("None", "Priority", "Resources", "Dependency", "JobArrayTaskLimit", "BeginTime", "Cleaning")
# Refusals that no other word on the command line would help against.
CLUSTER_FAULTS = re.compile(r"contact|connect|timed out|temporar|limit.*(reach|exceed)|policy|permission|authent", re.I)


@dataclass(frozen=True)
class Needs:
    """What each job of an array takes of its node, and the folder for the logs of them all."""

    folder: Path
    cpus: int
    gpus: int

    @classmethod
    def of(cls, task: Task, launcher: LauncherConfig) -> Needs:
        config = task.run.config
        gpus = int(launcher.gpus) or int(config.device == "cuda")
        return cls(paths.jobs_dir(task.directory.parents[2]), int(launcher.cpus) or config.threads, gpus)


class Slurm:
    """SLURM through its own commands. `waiting` are the jobs that have not begun, None where it is not known."""

    def __init__(self, launcher: LauncherConfig, jobs: int) -> None:
        if shutil.which("sbatch") is None:
            there = "there is no sbatch on this machine; go to a node that takes jobs"
            raise EnvironmentFault(f"launcher=slurm: {there}, or try without a cluster: launcher.engine=local")
        self._launcher, self._jobs = launcher, jobs
        self._longest = _longest_array()
        self._asked = float("-inf")
        self._answered = time.monotonic()
        self._queue: dict[str, str] | None = None
        self._reasons: dict[str, str] = {}

    def room(self, submitted: int) -> int:
        return self._longest

    def submit(self, runs: Sequence[RunJob], needs: Needs, live: Iterable[str]) -> list[Job]:
        """One array. With a limit on runs at a time it begins when those that are still at work have ended."""
        before = {_array(job) for job in live} if self._jobs else set()
        return _submit_array(
            _executor("slurm", self._launcher, needs),
            runs,
            slurm_partition=self._launcher.partition or None,
            slurm_account=self._launcher.account or None,
            slurm_array_parallelism=self._jobs or len(runs),
            slurm_dependency=f"afterany:{':'.join(sorted(before))}" if before else None,
            slurm_signal_delay_s=min(SECONDS_TO_SAVE, 15 * self._launcher.minutes),
            slurm_setup=["export OPENBLAS_NUM_THREADS=1"],  # numpy's threads; torch's follow the run's own key
            slurm_srun_args=[f"--cpus-per-task={needs.cpus}"],  # since 22.05 srun does not take it from its job
            slurm_additional_parameters={"requeue": True},
        )

    def queue(self) -> dict[str, str] | None:
        """Job -> state of all that are pending, running or about to end; None where SLURM does not answer."""
        if time.monotonic() - self._asked < SECONDS_BETWEEN_QUEUES:
            return self._queue
        self._asked = time.monotonic()
        answer = _call(["squeue", "--me", "--noheader", "--array", "--format=%i %T %r"], 60.0)
        if answer.returncode == 0:
            self._answered = time.monotonic()
        rows = [line.split(maxsplit=2) for line in answer.stdout.splitlines()]
        self._queue = {job: state for job, state, _ in rows} if answer.returncode == 0 else None
        self._reasons = {job: reason for job, state, reason in rows if state == "PENDING"}
        return self._queue

    def hindrance(self, job: str) -> str:
        """Why a job does not begin, as SLURM last said, where waiting alone may not help; else empty."""
        reason = self._reasons.get(job, "None")
        return "" if reason in PATIENT else reason

    @property
    def silence(self) -> float:
        """Seconds since SLURM last said which jobs there are."""
        return time.monotonic() - self._answered

    def cancel(self, jobs: Iterable[str]) -> None:
        """SIGTERM for those at work, which save; the others are taken off the queue."""
        _call(["scancel", *sorted({_array(job) for job in jobs})], SECONDS_TO_CANCEL)

    def cancel_one(self, job: str) -> None:
        _call(["scancel", job], SECONDS_TO_CANCEL)


class StandIn:
    """submitit's local executor, for trying things without a cluster; it starts as many at a time as it is told."""

    silence = 0.0

    def __init__(self, launcher: LauncherConfig, jobs: int) -> None:
        self._launcher, self._jobs = launcher, jobs
        self._started: list[Job] = []

    def room(self, submitted: int) -> int:
        return self._jobs - submitted

    def submit(self, runs: Sequence[RunJob], needs: Needs, live: Iterable[str]) -> list[Job]:
        jobs = _submit_array(_executor("local", self._launcher, needs), runs)
        self._started += jobs
        return jobs

    def queue(self) -> dict[str, str]:
        self._started = [job for job in self._started if not job.done()]
        return {job.job_id: "RUNNING" for job in self._started}

    def hindrance(self, job: str) -> str:
        return ""  # nothing waits here

    def cancel(self, jobs: Iterable[str]) -> None:
        for job in jobs:
            self.cancel_one(job)

    def cancel_one(self, job: str) -> None:
        """The job's process passes SIGTERM on to its run. It is our child, so the number is its own until we ask."""
        if job in self.queue():
            os.kill(int(job), signal.SIGTERM)


def make_scheduler(launcher: LauncherConfig, jobs: int) -> Slurm | StandIn:
    """Errors: EnvironmentFault where submitit or SLURM is missing."""
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise EnvironmentFault("launcher=slurm needs submitit, which is not here: pip install 'bnlab[slurm]'") from None
    return (Slurm if launcher.engine == "slurm" else StandIn)(launcher, jobs)


def _executor(cluster: str, launcher: LauncherConfig, needs: Needs) -> AutoExecutor:
    from submitit import AutoExecutor

    make_folder(needs.folder)
    executor = AutoExecutor(needs.folder, cluster=cluster, **{f"{cluster}_max_num_timeout": TIMES_PUT_BACK})
    executor.update_parameters(
        name="bnlab",
        timeout_min=launcher.minutes,
        cpus_per_task=needs.cpus,
        gpus_per_node=needs.gpus or None,
        mem_gb=launcher.memory_gb or None,
        stderr_to_stdout=True,
    )
    return executor


def _submit_array(executor: AutoExecutor, runs: Sequence[RunJob], **parameters: object) -> list[Job]:
    """Errors: BadInput or EnvironmentFault with the reason that SLURM gives."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor.update_parameters(**parameters)
    try:
        with _alone(), contextlib.redirect_stderr(io.StringIO()):  # submitit prints a refusal as well
            return executor.submit_array(runs)
    except (FailedJobError, FailedSubmissionError) as error:
        lines = [line.removeprefix("sbatch: error: ") for line in str(error).splitlines() if line.strip()]
        reason = (lines[-1] if lines else "it gave no reason").removeprefix("Batch job submission failed: ")
        refused = f"sbatch refused the jobs: {reason[:150]}"
        if CLUSTER_FAULTS.search(reason):
            raise EnvironmentFault(f"{refused}; see the cluster with `sinfo`, then the same command again") from error
        raise BadInput(f"{refused}; the words launcher.* say what they ask for") from error


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep a Ctrl-C at the terminal from what is started here, and the job we may be in ourselves out of its sight."""
    from submitit.helpers import clean_env

    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with clean_env() if "SLURM_JOB_ID" in os.environ else contextlib.nullcontext():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _longest_array() -> int:
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _call(["scontrol", "show", "config"], 60.0).stdout)
    return max(1, int(found[1])) if found else 1


def _array(job: str) -> str:
    return job.partition("_")[0]


def _call(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """In a session of its own, out of reach of a Ctrl-C; one that takes too long has failed."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, start_new_session=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
