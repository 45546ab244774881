"""`kill -STOP` of the process that starts runs: it is noticed, said and replaced, and Ctrl-C ends it all the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from test_executor import LONG, SMALL, children, start, states, tasks_in, wait_for

from bnlab import store
from bnlab.sweeping import hangs
from bnlab.sweeping.client import ForkServer
from bnlab.sweeping.hangs import Silence
from bnlab.sweeping.local import LocalSweep, Stop
from bnlab.sweeping.progress import Lines
from bnlab.sweeping.tasks import Patience


class Silent:
    """As much of a fork server as is looked at."""

    pid, ready, dead, seconds = 7, True, False, 0.0

    def silence(self) -> float:
        return self.seconds


def test_silence_is_said_once_and_ends_the_server_after_the_hang_timeout():
    said: list[str] = []
    silence, server = Silence(Patience(hang_minutes=2), said.append), Silent()
    for server.seconds in (0, 59, 61, 90, 119):
        silence.look(server)
    assert len(said) == 1 and "`kill -CONT 7`" in said[0] and "replaced after 2 min" in said[0] and not server.dead
    server.seconds = 121
    silence.look(server)
    assert server.dead and "gave no answer for 2 min; another takes its place" in said[1]
    assert all(len(line) <= 240 for line in said)


def test_a_server_that_is_loading_has_more_time():
    silence, server = Silence(Patience(hang_minutes=0.05), lambda line: None), Silent()
    server.ready = False
    for server.seconds, dead in ((hangs.SECONDS_TO_START - 1, False), (hangs.SECONDS_TO_START + 1, True)):
        silence.look(server)
        assert server.dead == dead


class Stopping(Lines):
    """Stops the first server and its children, when the first run is at work."""

    stopped = 0

    def __init__(self, *words) -> None:
        super().__init__(*words)
        self.others = set(children(os.getpid()))

    def look(self, running, elsewhere) -> None:
        super().look(running, elsewhere)
        if not self.stopped and running and (status := store.read_status(running[0].directory)):
            if status.state == "running":
                (self.stopped,) = set(children(os.getpid())) - self.others
                os.killpg(self.stopped, signal.SIGSTOP)


@pytest.mark.thorough
def test_a_stopped_server_is_replaced_and_its_run_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bnlab.sweeping.client.SECONDS_BETWEEN_QUESTIONS", 0.5)
    tasks = tasks_in(tmp_path, LONG)
    lines = Stopping(tasks, 1)
    sweep = LocalSweep(tasks, 1, lines, Stop(), Patience(retries=0, hang_minutes=0.1))
    assert [outcome.state for outcome in sweep.run()] == ["done", "done"]
    assert lines.stopped and "gave no answer for 0.1 min; another takes its place" in capsys.readouterr().err
    status = store.read_status(tasks[0].directory)
    assert status.attempts == 2 and any("resumed at step" in note for note in status.notes)  # it could save its state
    wait_for(lambda: not Path(f"/proc/{lines.stopped}").exists())


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_server_and_its_runs_hear_a_signal(tmp_path, number):
    words = [*LONG, "steps=100000"]
    command = start(words, tmp_path)
    tasks = tasks_in(tmp_path, words)
    wait_for(lambda: "running" in states(tasks))
    (server,) = children(command.pid)
    runs = children(server)
    os.killpg(server, signal.SIGSTOP)
    command.send_signal(number)
    _, said = command.communicate(timeout=300)
    assert command.returncode == {signal.SIGINT: 130, signal.SIGTERM: 75}[number] and "Traceback" not in said
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (server, *runs)))


def test_requests_to_a_stopped_server_never_hold_up_the_client(tmp_path):
    """More than a pipe takes."""
    (task,) = tasks_in(tmp_path, [*SMALL, "variant=bn", "lr=0.03", "seed=0"])
    server = ForkServer()
    try:
        os.killpg(server.pid, signal.SIGSTOP)
        for number in range(200):
            server.begin(number, task)
        assert not server.dead and server.reports(0) == [] and server.silence() > 0
    finally:
        server.close()
    wait_for(lambda: not Path(f"/proc/{server.pid}").exists())
