"""A finished run that is made again: nothing of it is lost until the new one is finished."""

from __future__ import annotations

import errno
import functools
import shutil

import pytest
from fault_tools import AFTER, BEFORE, REFUSED, TORN, Fault, attempt, digest, tiny
from test_resume import stop_before
from test_store import PLAN, _finish, _same, setting  # noqa: F401 (a fixture)

from bnlab import paths, store
from bnlab.config import run_id
from bnlab.store.kept import _link
from bnlab.sweeping.plan import PlannedRun

CONFIG = tiny(experiment="x")
PLANNED = PlannedRun(CONFIG, run_id(CONFIG), {})


def folder_of(setting):  # noqa: F811
    return paths.run_dir(setting, CONFIG.variant, PLANNED.id)


def rows(setting):  # noqa: F811
    return store.load_runs(setting, [PLANNED])


@pytest.fixture
def finished(setting):  # noqa: F811
    made = attempt(CONFIG, folder_of(setting))
    assert made.state == "done", made.error
    return rows(setting)


def test_it_is_read_until_the_new_one_is_finished(setting, finished):  # noqa: F811
    run = folder_of(setting)
    bits = digest(run)
    stopped = attempt(CONFIG, run, prepare=functools.partial(stop_before, 5), rerun=True)
    assert stopped.state == "preempted" and not store.finished(run)
    _same(rows(setting), finished)
    assert digest(paths.kept_run(run)) == bits
    again = attempt(CONFIG, run, prepare=functools.partial(stop_before, 3), rerun=True)  # starts over once more
    assert again.state == "preempted" and digest(paths.kept_run(run)) == bits
    assert attempt(CONFIG, run).state == "done"
    assert not paths.kept_run(run).exists() and digest(run) == bits
    assert "resumed at step 3" in store.read_status(run).notes


def test_a_run_that_fails_when_it_is_made_again_hides_nothing(setting, finished):  # noqa: F811
    run = folder_of(setting)
    failed = attempt(CONFIG, run, prepare=break_training, rerun=True)
    assert "no luck" in failed.error and store.read_status(run).state == "failed"
    _same(rows(setting), finished)
    store.write_pack(setting, [PLANNED])
    _same(store.load_runs(setting, [PLANNED], "pack"), finished)


def break_training() -> None:
    from bnlab import running

    def fail(*arguments):
        raise ZeroDivisionError("no luck")

    running.train = fail


def test_a_run_that_is_finished_between_two_looks_is_found(setting, monkeypatch):  # noqa: F811
    """The second look is at what was kept, and that has just been dropped."""
    _finish(setting, PLAN[0])
    run = paths.run_dir(setting, "plain", PLAN[0].id)
    store.keep(run)
    status = paths.status_json(run).read_bytes()
    paths.status_json(run).unlink()
    exists = type(run).exists

    def finishing(path, **words):
        found = exists(path, **words)
        if path == paths.kept_run(run):
            paths.status_json(run).write_bytes(status)
            store.drop_kept(run)
        return found

    monkeypatch.setattr(type(run), "exists", finishing)
    assert store.load_runs(setting, PLAN[:1]).n == 1


def test_without_links_the_files_are_copied(tmp_path, monkeypatch):
    monkeypatch.setattr("os.link", lambda *paths: (_ for _ in ()).throw(PermissionError(1, "no links here")))
    (tmp_path / "a").write_bytes(b"content")
    _link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"content"


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [BEFORE, TORN, AFTER, REFUSED])
def test_a_death_or_a_refusal_at_any_storage_call_loses_nothing(kind, tmp_path):
    """From the first call of the new attempt to the one after which the new run is whole."""
    first = paths.setting_dir(tmp_path, "x", "digits", "smoke")
    attempt(CONFIG, folder_of(first))
    bits = digest(folder_of(first))
    calls = attempt(CONFIG, folder_of(first), rerun=True).calls
    chosen = [n for n, (call, _) in enumerate(calls, 1) if kind != TORN or call == "write"]
    for n in chosen:
        setting = tmp_path / str(n) / "x" / first.name  # noqa: F811
        shutil.copytree(first, setting)
        run = folder_of(setting)
        faulty = attempt(CONFIG, run, Fault(n, kind, errno.EIO), rerun=True)
        assert faulty.killed or faulty.injected, (n, calls[n - 1])
        assert rows(setting).n == 1, (n, calls[n - 1])
        whole = run if store.finished(run) else paths.kept_run(run)
        assert digest(whole) == bits and all(file(whole).exists() for file in paths.OF_A_RUN), (n, calls[n - 1])
        assert attempt(CONFIG, run).state == "done" and digest(run) == bits
    assert len(chosen) >= 8
