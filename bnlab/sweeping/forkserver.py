"""The process that training processes are forked from: it has imported torch and done nothing else.

A server that ever ran a parallel operation would hang its multi-threaded children, so it only imports. It speaks in
JSON lines, requests on stdin and reports on stdout, and keeps no file: when its client is gone it stops its children.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import selectors
import signal
import sys
import time
import traceback
from pathlib import Path

from bnlab import paths
from bnlab.sweeping.remote import one_line, perform

# A client that vanished leaves its children so long to save their state.
SECONDS_TO_SAVE = 60.0
# Imported by every run on its way, in two seconds: the optimisers' compiler support and the columns of the store.
LATE_IMPORTS = ("torch._dynamo", "pandas", "pyarrow.parquet", "numpy.random")


def serve() -> None:
    """Answer requests until stdin closes, then end the process.

    Requests: `{"number", "config", "directory", "overrides", "rerun"}` forks a child, `{"signal"}` signals all of
    them, `{"signal", "number"}` one, `{"question"}` is answered with `{"here"}`. Reports besides that: `{"ready"}`,
    `{"fault"}`, from a child `{"number", "state", "error", "code"}`, and when it is gone `{"number", "exit"}`
    (negative: the signal that ended it).
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a child that is not yet at its run ends as by SIGTERM
    reports = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not end up among the reports
    try:
        importlib.import_module("bnlab.running")
        _import_early()
    except BaseException as error:
        traceback.print_exc()
        _report(reports, {"fault": one_line(error)})
        return
    gc.freeze()
    _report(reports, {"ready": os.getpid()})
    _answer(reports)
    os._exit(0)  # nothing to put away; the exit handlers of the libraries would take a while


def _import_early() -> None:
    for name in LATE_IMPORTS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _answer(reports: int) -> None:
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    children: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        pending = b""
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
                _reap(children, reports)
            if 0 in ready:
                received = os.read(0, 65536)
                if not received:
                    break
                *lines, pending = (pending + received).split(b"\n")
                for line in lines:
                    _handle(json.loads(line), children, reports)
    _stop(children)


def _handle(request: dict, children: dict[int, int], reports: int) -> None:
    if "question" in request:
        _report(reports, {"here": os.getpid()})
        return
    if "signal" in request:
        only = request.get("number")
        for pid in [pid for pid, number in children.items() if only in (None, number)]:
            os.kill(pid, request["signal"])  # not yet reaped, so the number cannot belong to another process
        return
    pid = os.fork()
    if pid == 0:
        _become_child(request, reports)
    children[pid] = request["number"]


def _reap(children: dict[int, int], reports: int) -> None:
    for pid, number in list(children.items()):
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            del children[pid]
            _report(reports, {"number": number, "exit": os.waitstatus_to_exitcode(status)})


def _stop(children: dict[int, int]) -> None:
    """Let the children of a client that is gone save their state, then end them."""
    for number, limit in ((signal.SIGTERM, SECONDS_TO_SAVE), (signal.SIGKILL, 5.0)):
        for pid in children:
            os.kill(pid, number)
        deadline = time.monotonic() + limit
        while children and time.monotonic() < deadline:
            for pid in list(children):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del children[pid]
            time.sleep(0.02)


def _become_child(request: dict, reports: int) -> None:
    """Run in the forked process; never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _save_when_server_dies()
        log = paths.run_log(Path(request["directory"]))
        _redirect(log)
        outcome = perform(request, leave_mirrors=True)
        _report(reports, {"number": request["number"], **outcome})
        code = outcome["code"]
        sys.stdout.flush()
        sys.stderr.flush()
        if outcome["state"] != "busy":  # else the log is that of the process that is at the run
            _remove_if_empty(log)
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
            sys.stderr.flush()
    finally:
        os._exit(code)  # past the exit handlers, which belong to the server


def _remove_if_empty(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size == 0:
            log.unlink()


def _save_when_server_dies() -> None:
    """SIGTERM from the kernel when the server is killed; elsewhere than on Linux the run just goes on."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _redirect(log: Path) -> None:
    """No stdin; everything printed goes to the run's log, also the traceback of a crash in compiled code."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    with contextlib.suppress(OSError):  # run_one meets the same fault, and says it in words
        log.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        faulthandler.enable(handle)


def _report(reports: int, message: dict) -> None:
    with contextlib.suppress(BrokenPipeError):  # the client is gone; stdin tells the server
        os.write(reports, json.dumps(message).encode() + b"\n")
