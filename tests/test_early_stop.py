"""Ctrl-C before a command has begun: one line and exit code 130, whatever is being loaded when it comes."""

from __future__ import annotations

import pytest

# Sends the signal to itself when a module is first looked for.
INTERRUPTED = """
import os, signal, runpy, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {at!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
sys.argv = ["bnlab", "run", "ics_vgg", "scale=smoke", "--dry-run"]
runpy.run_module("bnlab", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("at", ["bnlab.cli", "argparse", "bnlab.commands.running", "hydra", "yaml"])
def test_ctrl_c_while_the_command_is_being_loaded_is_one_line(isolated, at):
    done = isolated(INTERRUPTED.format(at=at))
    assert done.returncode == 130, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("bnlab: stopped by Ctrl-C") and done.stdout == ""


def test_an_ignored_ctrl_c_stays_ignored(isolated):
    code = INTERRUPTED.format(at="bnlab.cli").replace("default_int_handler)", "SIG_IGN)")
    done = isolated(code)
    assert done.returncode == 0 and done.stderr == "" and "new" in done.stdout
