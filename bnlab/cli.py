"""The `bnlab` command: finds the subcommand, and turns whatever goes wrong into one line and an exit code.

A subcommand's module is imported only when it is called, so that listing never waits for what training needs.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from bnlab import __version__
from bnlab.commands.words import Parser
from bnlab.errors import INTERRUPTED, PREEMPTED, BadInput, BnlabError, EnvironmentFault, fit_line
from bnlab.paths import results_root
from bnlab.ranges import nearest

A_BUG_OF_OURS = 1

# Name: (module, what it does). Each module has `configure_<name>(parser)`, which sets `act`, the function to call.
COMMANDS = {
    "list": ("listing", "experiments with question, source and claims; runs and minutes per setting"),
    "run": ("running", "run an experiment's plan, or the part of it that key=value words ask for"),
    "status": ("listing", "every run: state, step, seconds, error"),
    "figures": ("reading", "draw the figures again from what is stored, without training"),
    "claims": ("reading", "compute the verdicts again from what is stored, without training"),
    "dashboard": ("dashboard", "experiments, claims and runs as pages in a browser, live while a sweep runs"),
    "report": ("reporting", "the same pages as one file to mail or publish, or with --paper a PDF"),
    "reproduce": ("running", "run, figures, claims: of all experiments unless some are named"),
    "pack": ("packing", "write the compact form of a setting's runs, for git"),
    "unpack": ("packing", "lay the runs of a pack out again, so that a sweep goes on from them"),
    "sync": ("syncing", "send what a tracker lacks of stored runs, figures and verdicts; each row once"),
    "verify": ("verifying", "train a stored run again and say where it first differs, or that it does not"),
    "data": ("datasets", "list, fetch, import or verify data sets"),
    "doctor": ("doctor", "versions, device, threads, data sets; what is missing and what mends it"),
}

OVERVIEW = """bnlab: claims about batch normalisation, turned into experiments with verdicts

usage: bnlab COMMAND ...     bnlab COMMAND --help     bnlab --version

{commands}

examples:
  bnlab reproduce ics_vgg                          one experiment on the digits, in minutes
  bnlab run ics_vgg variant=bn,plain seed=0,1      part of a plan; the same again does only what is missing
  bnlab run ics_vgg data=cifar10 --dry-run         what would run, and for how long
  bnlab claims                                     the verdicts on what is stored
"""


def main(words: list[str] | None = None) -> int:
    """Run one command; returns its exit code (bnlab.errors lists them)."""
    words = sys.argv[1:] if words is None else words
    _replace_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    try:
        with _hearing_signals():
            code = _dispatch(words)
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()
        return 0
    except (KeyboardInterrupt, _Terminated) as stop:
        by, code = ("SIGTERM", PREEMPTED) if isinstance(stop, _Terminated) else ("Ctrl-C", INTERRUPTED)
        say(f"stopped by {by}; what was finished is stored; start again with: {shlex.join(['bnlab', *words])}")
        return code
    except BnlabError as error:
        say(str(error))
        return error.code
    except OSError as error:
        return _system_fault(error, words)
    except Exception as error:
        return _own_fault(error, words)


class _Terminated(BaseException):
    """SIGTERM came where nobody listens for it: before a sweep begins, or in a command that is none."""


@contextlib.contextmanager
def _hearing_signals() -> Iterator[None]:
    """SIGTERM and Ctrl-C as exceptions; a Ctrl-C that whoever started us has ignored stays ignored."""

    def end(number: int, frame: object) -> None:
        raise _Terminated

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, end)
    if before[signal.SIGINT] is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _replace_closed_streams() -> None:
    """What the caller closed (`bnlab status >&-`) leads nowhere, so that no other file is opened in its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        width = max(map(len, COMMANDS))
        lines = [f"  {name:<{width}}  {about}" for name, (_, about) in COMMANDS.items()]
        print(OVERVIEW.format(commands="\n".join(lines)), end="")
        return 0
    if words[0] in ("-V", "--version"):
        print(f"bnlab {__version__}")
        return 0
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        raise BadInput(f"{name}: no such command{nearest(name, COMMANDS)}; `bnlab --help` shows all")
    module, about = COMMANDS[name]
    parser = Parser(prog=f"bnlab {name}", description=about)
    getattr(importlib.import_module(f"bnlab.commands.{module}"), f"configure_{name}")(parser)
    arguments = parser.parse(rest)
    arguments.words_given = words
    return arguments.act(arguments)


def say(message: str) -> None:
    """One line on stderr: control characters escaped, too long a middle left out."""
    with contextlib.suppress(OSError):
        print(fit_line(f"bnlab: {message}"), file=sys.stderr, flush=True)


def _drop_output() -> None:
    """Whoever read our output left; nothing more is written, also not when the interpreter ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)


def _system_fault(error: OSError, words: list[str]) -> int:
    """The system refused something: the caller's concern where it is disk, permission or memory, else a bug."""
    refusals = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM)
    if error.errno not in (*refusals, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EMFILE):
        return _own_fault(error, words)
    place = f"{error.filename}: " if error.filename else ""
    say(f"{place}{error.strerror}; give this folder room and permission, or name another with --results DIR")
    return EnvironmentFault.code


def _own_fault(error: Exception, words: list[str]) -> int:
    text = f"bnlab {__version__}: {shlex.join(words)}\n{''.join(traceback.format_exception(error))}"
    log = _write_log(text, words)
    where = f"the traceback is in {log}" if log else "no place could be found for the traceback"
    said = " ".join(str(error).split())[:90]
    say(f"a fault in bnlab itself ({type(error).__name__}: {said}); {where}, please report it")
    return A_BUG_OF_OURS


def _write_log(text: str, words: list[str]) -> Path | None:
    """Into the results folder if there is one, else where temporary files go."""
    chosen = words[words.index("--results") + 1] if "--results" in words[:-1] else None
    name = f"bnlab-fault-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    for folder in (results_root(chosen), Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            (folder / name).write_text(text)
            return folder / name
    return None
