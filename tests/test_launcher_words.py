"""`launcher=` words: split off before the plan is made, checked like any other."""

from __future__ import annotations

import pytest

from bnlab.compose import options, split_launcher
from bnlab.config import LAUNCHERS, LauncherConfig
from bnlab.errors import BadInput


def test_launcher_words_are_split_from_the_words_about_runs():
    words = ["lr=0.1", "launcher=ray", "launcher.address=auto", "launcher.cpus=0.5", "seed=1,2"]
    launcher, rest = split_launcher(words)
    assert launcher == LauncherConfig("ray", address="auto", cpus=0.5)
    assert rest == ["lr=0.1", "seed=1,2"]
    assert split_launcher(["seed=0"]) == (LauncherConfig(), ["seed=0"])


def test_every_launcher_has_its_file():
    assert options("launcher") == sorted(LAUNCHERS)
    assert all(split_launcher([f"launcher={name}"])[0].name == name for name in LAUNCHERS)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["launcher=slrum"], "did you mean 'slurm'"),
        (["launcher=ray,local"], "one launcher"),
        (["launcher=ray", "launcher.cpus=-1"], "launcher.cpus=-1.0: must be"),
        (["launcher=ray", "launcher.adress=auto"], "did you mean 'launcher.address'"),
        (["launcher.name=ray"], "write launcher=ray"),
        (["launcher=slurm", "launcher.minutes=soon"], "launcher.minutes"),
        (["launcher.address=auto"], "launcher=local has no use for it; leave it out, or write launcher=ray$"),
        (["launcher=ray", "launcher.partition=cpu"], "write launcher=slurm"),
    ],
)
def test_bad_launcher_words_are_named(words, says):
    with pytest.raises(BadInput, match=says):
        split_launcher(words)
