"""What is tried again, how often, and how it is taken up."""

from __future__ import annotations

import pytest

from bnlab import paths, store
from bnlab.sweeping.plan import make_plan
from bnlab.sweeping.progress import Lines
from bnlab.sweeping.retries import Retries
from bnlab.sweeping.tasks import Outcome, Patience, Task


@pytest.fixture
def task(tmp_path) -> Task:
    plan = make_plan("activation_histograms", ["scale=smoke", "variant=bn", "seed=0"])
    run = plan.runs[0]
    return Task(run, paths.run_dir(tmp_path, run.config.variant, run.id))


@pytest.mark.parametrize("code", range(8))
@pytest.mark.parametrize("state", ["done", "diverged", "failed", "preempted", "interrupted"])
def test_only_a_failure_that_may_end_otherwise_is_tried_again(task, state, code):
    granted = Retries(Patience(retries=1)).grant(Outcome(task, state, "no luck", code))
    assert (granted is not None) == (state == "failed" and code not in (2, 5, 6))


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_each_run_has_so_many_tries_of_its_own(task, tmp_path, limit):
    retries = Retries(Patience(retries=limit))
    other = Task(task.run, tmp_path / "other")
    for failing in (task, other):
        granted = [retries.grant(Outcome(failing, "failed", "no luck", 1)) for _ in range(limit + 2)]
        assert [str(retry) for retry in granted[:limit]] == [f"tried again ({n + 1} of {limit})" for n in range(limit)]
        assert granted[limit:] == [None, None]


def test_a_run_made_again_goes_on_once_its_old_state_is_cleared(task):
    failed = Outcome(Task(task.run, task.directory, rerun=True), "failed", "no luck", 1)
    task.directory.mkdir(parents=True)
    store.write_status(task.directory, store.Status("done", 9, 9))
    assert Retries(Patience()).grant(failed).task.rerun  # it died before it had begun to start over
    store.write_status(task.directory, store.Status("failed", 4, 9))
    assert not Retries(Patience()).grant(failed).task.rerun


def test_a_try_that_failed_is_said_at_once_and_the_run_stays_to_be_made(task, capsys):
    lines = Lines([task], 1)
    lines.started(task)
    outcome = Outcome(task, "failed", "x" * 500, 1)
    lines.retried(outcome, Retries(Patience(retries=2)).grant(outcome))
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("FAILED   activation_histograms bn") and said.endswith("; tried again (1 of 2)")
    assert len(said) <= 240 and lines.failed == 0 and lines.estimate.parts() == 0
