"""`bnlab claims` shows the claims that were asked for, and says how many there are."""

import json
import shutil
from pathlib import Path

import pytest

from bnlab.cli import main
from bnlab.commands.choosing import totals

SHIPPED = Path(__file__).resolve().parents[1] / "results"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The packs of two experiments with one claim each: S1-11 is mixed, S1-14 supported."""
    root = tmp_path_factory.mktemp("results")
    for name in ("placement", "optimizers"):
        shutil.copytree(SHIPPED / name / "mnist-laptop" / "pack", root / name / "mnist-laptop" / "pack")
    return root


@pytest.fixture
def shown(stored, capsys):
    def run(*words, code=0):
        assert main(["claims", *words, "--results", str(stored)]) == code
        printed = capsys.readouterr()
        return printed.err if code else printed.out

    return run


def ids(text):
    return [row["id"] for row in json.loads(text)]


def test_by_id_in_any_case_wherever_they_are_tested(shown):
    assert ids(shown("S1-14", "--json")) == ["S1-14"]
    assert ids(shown("s1-14", "S1-11", "--json")) == ["S1-14", "S1-11"]
    assert ids(shown("placement", "S1-11", "--json")) == ["S1-11"]


def test_by_verdict(shown):
    assert ids(shown("--verdict", "mixed,refuted", "--json")) == ["S1-11"]
    assert shown("--verdict", "refuted") == "0 claims\n"


def test_the_last_line_counts(shown):
    assert shown().splitlines()[-1] == "2 claims: 1 supported, 1 mixed"
    assert shown("S1-14").splitlines()[-1] == "1 claim: 1 supported"


def test_a_claim_of_parts_is_told_with_its_parts_and_what_stands_beside(shown):
    (row,) = json.loads(shown("S1-11", "--json"))
    assert row["effect"] is None and row["interval"] is None
    assert [part["label"] for part in row["parts"]] == ["ReLU", "sigmoid", "tanh"]
    wanted = {"label", "verdict", "effect", "unit", "interval", "n", "p", "holm"}
    assert all(wanted <= part.keys() for part in (*row["parts"], *row["beside"])) and len(row["beside"]) == 6


@pytest.mark.parametrize(
    "words, said",
    [
        (["S1-44"], "did you mean 'S1-14'?"),
        (["Q7-123456"], "`bnlab list` shows all"),
        (["placement", "S1-14"], "not a claim of placement"),
        (["--verdict", "refutted"], "did you mean 'refuted'?"),
    ],
)
def test_what_is_not_there_is_one_line(shown, words, said):
    (line,) = shown(*words, code=2).splitlines()
    assert said in line and len(line) <= 240


def test_a_claim_without_runs_says_what_to_run(shown):
    assert "bnlab run ics_gradient" in shown("S2-22", code=4)


def test_statements_of_papers_are_counted_apart():
    rows = [{"id": "S0-01", "verdict": "mixed"}, {"id": "P2-11", "verdict": "refuted"}]
    assert totals(rows) == "1 claim: 1 mixed; 1 statement of papers: 1 refuted"
    assert totals(rows[1:] * 2) == "2 statements of papers: 2 refuted"


def test_claims_of_ones_own_are_counted_apart():
    rows = [{"id": id, "verdict": "supported"} for id in ("S3-01", "X1-01", "X1-02", "S4-01")]
    assert totals(rows) == "1 claim: 1 supported; 3 claims of your own: 3 supported"
    assert totals(rows[1:2]) == "1 claim of your own: 1 supported"


def test_the_source_of_each_claim_is_named(shown):
    *_, source, last = shown().splitlines()
    assert source == "S1  Batch Normalization" and last.startswith("2 claims")
