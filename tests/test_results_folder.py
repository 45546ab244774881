"""What reading commands say of a results folder that is not there, or that holds packs and no runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnlab import paths
from bnlab.cli import COMMANDS, main

WRITING = {"run", "reproduce", "data", "doctor", "list"}  # the last three read no results
READING = sorted(set(COMMANDS) - WRITING)
WORDS = {"verify": ["1f3a09c2-s0"], "unpack": ["ics_vgg"]}


@pytest.mark.parametrize("command", READING)
def test_a_folder_that_is_not_there_gets_one_answer(command, results, capsys):
    code = main([command, *WORDS.get(command, [])])
    said = capsys.readouterr()
    assert said.out == "" and code == 4
    assert said.err == (
        f"bnlab: {results}: no such folder of results; "
        "name another with --results DIR, or type `bnlab run EXPERIMENT` first\n"
    )
    assert not results.exists()


@pytest.mark.parametrize(
    "words", [["status", "ics_vg"], ["claims", "S1-99"], ["figures", "data=mnits"], ["verify", "a/b"]]
)
def test_a_wrong_word_is_told_first(words, results, capsys):
    assert main(words) == 2 and "no such folder" not in capsys.readouterr().err


def _put_pack(results: Path, experiment: str, setting: str) -> None:
    index = paths.pack_index(paths.pack_dir(results / experiment / setting))
    index.parent.mkdir(parents=True)
    index.write_text("{}")


def test_status_tells_of_packs_where_nothing_ran(results, capsys):
    _put_pack(results, "ics_vgg", "cifar10-laptop")
    _put_pack(results, "ics_gradient", "cifar10-laptop")
    _put_pack(results, "ics_gradient", "gaussian_map-laptop")
    for words, told in {
        (): ("the packs of 3 settings", "`bnlab claims` shows"),
        ("ics_vgg",): ("the packs of 1 setting:", "`bnlab claims ics_vgg` shows"),
        ("placement",): ("no runs in", "`bnlab list` shows"),
    }.items():
        assert main(["status", *words]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert all(part in line for part in told), line
