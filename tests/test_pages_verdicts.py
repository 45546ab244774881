"""What pages say of verdicts: whose claims they are of, what Holm's adjustment undoes, whether runs ended since."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from page_folders import put_figure, put_run, put_verdict, rising
from test_pages import looked, shipped, site  # noqa: F401

from bnlab import paths
from bnlab.pages import claims, experiment, overview
from bnlab.pages.site import Site
from bnlab.store import read_pack


def test_claims_of_articles_papers_and_ones_own_are_counted_apart(site: Site, results: Path) -> None:  # noqa: F811
    put_verdict(results, "ics_vgg", "digits-laptop")
    put_verdict(results, "placement", "mnist-laptop", id="P1-01", verdict="refuted")
    put_verdict(results, "mine", "digits-laptop", id="X1-01", verdict="undecided")
    found = {one["origin"]: one for one in overview.data(looked(site), {}, {})["claims"]}
    assert {name: one["judged"] for name, one in found.items()} == {
        "articles": {"supported": 1},
        "papers": {"refuted": 1},
        "own": {"undecided": 1},
    }
    planned = {claim for said in site.cards.values() for claim in said.claims}
    assert found["articles"]["known"] + found["papers"]["known"] == len(planned) and found["own"]["known"] == 1


def statement(verdict: str, holm: float | None, label: str = "a") -> dict:
    return {"label": label, "verdict": verdict, "p": holm, "holm": holm}


@pytest.mark.parametrize(
    "verdict, parts, undone, after",
    [
        ("supported", [("supported", 0.01), ("supported", 0.04)], 0, None),
        ("supported", [("supported", 0.01), ("supported", 0.05)], 1, "undecided"),
        ("mixed", [("supported", 0.01), ("refuted", 0.2)], 1, "undecided"),
        ("mixed", [("supported", 0.01), ("refuted", 0.02), ("refuted", 0.2)], 1, None),
        ("undecided", [("undecided", None), ("supported", 0.3)], 1, None),
        ("refuted", [("supported", 0.3), ("refuted", 0.01)], 1, None),  # a claim that combines in a way of its own
        ("supported", [("supported", None)], 0, None),  # exact: nothing to adjust
    ],
)
def test_what_holm_would_undo(verdict, parts, undone, after) -> None:
    row = {"verdict": verdict, "parts": [statement(*part) for part in parts], "holm": None}
    assert len(claims.undone_by_holm(row)) == undone and claims.after_holm(row) == after


def test_verdicts_that_holm_would_undo_are_marked_on_every_page(site: Site, results: Path) -> None:  # noqa: F811
    put_verdict(results, "ics_vgg", "digits-laptop", p=0.03, holm=0.06, label="bn - plain")
    (row,) = claims.data(looked(site), {}, {})["rows"]
    assert (row["undone"], row["after_holm"]) == (["bn - plain"], "undecided")
    (articles,) = [one for one in overview.data(site, {}, {})["claims"] if one["judged"]]
    assert articles["undone"] == 1
    page = experiment.data(site, {"experiment": "ics_vgg"}, {})
    assert [one["after_holm"] for one in page["verdicts"]] == ["undecided"]


def aged(path: Path, seconds: float) -> None:
    then = time.time() + seconds
    os.utime(path, (then, then))


def test_verdicts_and_figures_older_than_runs_are_said_with_the_command(site: Site, results: Path) -> None:  # noqa: F811
    first = put_run(results, run_id="0badcafe-s0", records=rising())
    put_verdict(results, "ics_vgg", "digits-laptop")
    put_figure(results, "ics_vgg", "digits-laptop")
    setting = results / "ics_vgg" / "digits-laptop"
    page = lambda: experiment.data(looked(site), {"experiment": "ics_vgg"}, {})["outdated"]  # noqa: E731
    aged(paths.status_json(first), -100)
    assert page() == [] and claims.data(site, {}, {})["outdated"] == []
    put_run(results, run_id="0badcafe-s1", records=rising())
    put_run(results, run_id="0badcafe-s2", records=rising(), state="failed")  # judges nothing
    aged(paths.claims_json(setting), -50)
    words = "ics_vgg data=digits scale=laptop"
    assert page() == [{"what": "verdicts", "runs": 1, "command": f"bnlab claims {words}"}]
    (said,) = claims.data(site, {}, {})["outdated"]
    assert said["where"] == "ics_vgg digits-laptop" and said["runs"] == 1
    aged(paths.figures_dir(setting), -200)
    assert [(one["what"], one["runs"]) for one in page()] == [("verdicts", 1), ("figures", 2)]
    (card,) = [one for one in overview.data(site, {}, {})["experiments"] if one["name"] == "ics_vgg"]
    assert card["settings"][0]["outdated"] == page()


def test_judging_again_ends_the_complaint_even_where_no_verdict_changes(site: Site, results: Path) -> None:  # noqa: F811
    from bnlab.cli import main

    source, setting = shipped("placement", "mnist-laptop"), results / "placement" / "mnist-laptop"
    shutil.copytree(paths.pack_dir(source), paths.pack_dir(setting), copy_function=shutil.copyfile)
    shutil.copyfile(paths.claims_json(source), paths.claims_json(setting))
    page = lambda: experiment.data(looked(site), {"experiment": "placement"}, {})["outdated"]  # noqa: E731
    assert page() == []
    aged(paths.claims_json(setting), -1000)
    (said,) = page()
    assert said["what"] == "verdicts" and said["runs"] == len(read_pack(paths.pack_dir(setting)))
    before = paths.claims_json(setting).read_bytes()
    assert main(said["command"].split()[1:]) == 0
    assert page() == [] and paths.claims_json(setting).read_bytes() == before
