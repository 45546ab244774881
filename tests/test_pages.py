"""What pages are given: documents of made results folders, of runs in every state and of damaged files."""

from __future__ import annotations

import json
import math
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from page_folders import put_figure, put_run, put_verdict, rising
from scipy import stats

from bnlab import paths
from bnlab.pages import charts, claims, compare, experiment, meanings, overview, run, runs
from bnlab.pages.documents import encode, printable
from bnlab.pages.index import FRESH
from bnlab.pages.progress import sweep_progress
from bnlab.pages.site import Site
from bnlab.store import RunListing, Tail, owning, read_finished, read_pack, write_status
from bnlab.store.measurements import NOTHING
from bnlab.store.records import to_line

STATES = ("done", "diverged", "failed", "interrupted", "preempted", "running", "damaged")


@pytest.fixture
def site(results: Path) -> Site:
    results.mkdir()
    return Site(results)


def looked(site: Site) -> Site:
    time.sleep(FRESH)
    site.index.refresh()
    return site


def names_of(directory: Path) -> dict[str, str]:
    *_, name, setting, _, variant, run_id = directory.parts
    return {"experiment": name, "setting": setting, "variant": variant, "id": run_id}


def rows_of(site: Site) -> list[dict]:
    document = json.loads(encode(runs.data(looked(site), {}, {})))
    return [dict(zip(document["columns"], row)) for row in document["rows"]]


def test_an_empty_folder_shows_what_can_be_run(site: Site) -> None:
    document = overview.data(looked(site), {}, {})
    assert document["states"] == {} and {one["name"] for one in document["experiments"]} == set(site.cards)
    assert all(one["command"]["text"] and not one["settings"] for one in document["experiments"])
    waiting = {row["id"] for row in claims.data(site, {}, {})["waiting"]}
    assert waiting == {claim for said in site.cards.values() for claim in said.claims}
    assert rows_of(site) == []
    page = experiment.data(site, {"experiment": "ics_vgg"}, {})
    assert page["setting"] is None and page["command"]["text"] == "bnlab reproduce ics_vgg data=digits scale=laptop"
    assert experiment.data(site, {"experiment": "no_such"}, {}) is None


@pytest.mark.parametrize("state", STATES)
def test_runs_of_every_state_are_shown_as_what_they_are(site: Site, results: Path, state: str) -> None:
    records = [] if state == "damaged" else rising()
    made = put_run(results, records=records, state="done" if state == "damaged" else state, error=f"about {state}")
    if state == "damaged":
        paths.status_json(made).write_bytes(b"\x00{")
    shown = "interrupted" if state == "running" else state  # nobody holds this one
    (row,) = rows_of(site)
    assert row["state"] == shown and row["error"]
    document = json.loads(encode(run.data(site, names_of(made), {})))
    assert document["status"]["state"] == shown
    lines = [line for chart in document["charts"] for line in chart["lines"]]
    assert bool(lines) == (state != "damaged")
    page = json.loads(encode(experiment.data(site, {"experiment": "ics_vgg"}, {})))
    assert page["states"] == {shown: 1} and page["settings"] == ["digits-laptop"]


def test_damaged_columns_are_said_and_hide_no_other_run(site: Site, results: Path) -> None:
    bad, good = (put_run(results, variant=v, records=rising()) for v in ("bn", "plain"))
    paths.metrics_parquet(bad).write_bytes(b"PAR1 no more")
    document = run.data(looked(site), names_of(bad), {})
    assert "cannot be read" in document["problem"] and document["charts"] == []
    page = experiment.data(site, {"experiment": "ics_vgg"}, {})
    assert [line["label"] for line in page["charts"][0]["lines"]] == ["plain"]
    assert run.data(site, names_of(good), {})["problem"] == ""


DAMAGED = [b"", b"[", b"{}", b"[1]", b'[{"id": 3}]', b'[{"id": "S0-01"}]', b"[" * 100_000]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_claims_file_is_said_and_nothing_else_is_lost(site: Site, results: Path, content: bytes) -> None:
    put_run(results, records=rising())
    put_verdict(results, "placement", "mnist-laptop")
    paths.claims_json(results / "ics_vgg" / "digits-laptop").write_bytes(content)
    document = claims.data(looked(site), {}, {})
    assert [problem["where"] for problem in document["problems"]] == ["ics_vgg digits-laptop"]
    assert [row["experiment"] for row in document["rows"]] == ["placement"]
    assert len(rows_of(site)) == 1


def test_a_pack_without_runs_and_one_that_is_damaged(site: Site, results: Path) -> None:
    pack = paths.pack_dir(results / "ics_vgg" / "digits-laptop")
    pack.mkdir(parents=True)
    paths.pack_index(pack).write_text('{"sha256": {}, "runs": []}')
    page = experiment.data(looked(site), {"experiment": "ics_vgg"}, {})
    assert page["problem"] == "" and page["charts"] == [] and page["metrics"] == []
    paths.pack_index(pack).write_text('{"runs": [{}]}')
    assert "cannot be read" in experiment.data(looked(site), {"experiment": "ics_vgg"}, {})["problem"]


def test_the_best_setting_of_a_claim_is_marked(site: Site, results: Path) -> None:
    for setting in ("digits-laptop", "cifar10-laptop", "digits-smoke"):
        put_verdict(results, "ics_vgg", setting)
    rows = claims.data(looked(site), {}, {})["rows"]
    assert [row["setting"] for row in rows if row["best"]] == ["cifar10-laptop"] and len(rows) == 3
    (articles,) = [one for one in overview.data(site, {}, {})["claims"] if one["judged"]]
    assert articles["origin"] == "articles" and articles["judged"] == {"supported": 1} and articles["known"] == 92


def test_evidence_names_only_figures_that_are_there(site: Site, results: Path) -> None:
    put_verdict(results, "ics_vgg", "digits-laptop")
    assert [row["pictured"] for row in claims.data(looked(site), {}, {})["rows"]] == [False]
    put_figure(results, "ics_vgg", "digits-laptop")
    assert [row["pictured"] for row in claims.data(looked(site), {}, {})["rows"]] == [True]


def test_a_run_in_its_directory_comes_before_the_pack(site: Site, results: Path) -> None:
    shutil.copytree(paths.pack_dir(shipped("ics_vgg", "cifar10-laptop")), results / "ics_vgg/cifar10-laptop/pack")
    packed = rows_of(site)
    assert {row["source"] for row in packed} == {"pack"} and len(packed) == 44
    first = packed[0]
    put_run(results, setting="cifar10-laptop", variant=first["variant"], run_id=first["id"], records=rising())
    again = rows_of(site)
    assert [row["id"] for row in again if row["source"] == "runs"] == [first["id"]] and len(again) == 44


def shipped(name: str, setting: str) -> Path:
    return Path(__file__).resolve().parents[1] / "results" / name / setting


def test_series_of_a_pack_are_those_of_the_slow_reader() -> None:
    import pandas as pd

    pack = paths.pack_dir(shipped("placement", "mnist-laptop"))
    found = read_pack(pack)
    rows = pd.read_parquet(paths.metrics_parquet(pack))
    assert set(found) == set(rows["run"])
    for (name, metric), expected in list(rows.groupby(["run", "metric"]))[::7]:
        steps, values = found[name].metrics[metric]
        assert steps.tolist() == expected["step"].tolist()
        np.testing.assert_array_equal(values, expected["value"].to_numpy())
    ics = paths.pack_dir(shipped("ics_vgg", "cifar10-laptop"))
    slow = pd.read_parquet(paths.distributions_parquet(ics))
    row = slow.iloc[-1]
    histograms = read_pack(ics)[row["run"]].histograms[row["metric"]]
    assert histograms.counts[-1].tolist() == list(row["counts"]) and histograms.hi[-1] == row["hi"]


def test_the_tail_of_a_run_is_what_its_columns_become(results: Path) -> None:
    histogram = {"lo": 0.0, "hi": 1.0, "counts": [1] * 64}
    made = put_run(results, records=rising())
    finished = read_finished(made)
    tail = Tail(made).look()
    assert set(tail.metrics) == set(finished.metrics)
    for metric, (steps, values) in finished.metrics.items():
        np.testing.assert_array_equal(tail.metrics[metric][0], steps)
        np.testing.assert_allclose(tail.metrics[metric][1], values, rtol=1e-6)
    line = json.dumps({"step": 110, "values": {}, "histograms": {"h": histogram}})
    with open(paths.metrics_jsonl(made), "a") as file:
        file.write(line + "\n")
    assert Tail(made).look().histograms["h"].counts.tolist() == [[1] * 64]


def test_the_tail_grows_with_whole_lines_and_starts_again_with_another_file(results: Path) -> None:
    made = put_run(results, state="running", records=rising()[:2])
    lines, tail = paths.metrics_jsonl(made), Tail(made)
    at = lambda: tail.look().metrics.get("a", (np.array([]),))[0].tolist()  # noqa: E731
    with open(lines, "ab", buffering=0) as file:
        whole = to_line(20, {"a": 1.0}).encode()
        file.write(whole[:9])
        assert at() == []
        file.write(whole[9:] + b"{damaged\n" + to_line(30, {"a": None}).encode())
        assert at() == [20, 30] and math.isnan(tail.look().metrics["a"][1][1])
    other = lines.with_suffix(".other")
    other.write_text(to_line(5, {"a": 0.0}))
    other.rename(lines)
    assert at() == [5] and "curves/train_loss" not in tail.look().metrics
    lines.unlink()
    assert tail.look() is NOTHING


def test_a_running_run_is_listed_with_its_step_and_its_values(site: Site, results: Path) -> None:
    made = put_run(results, state="running", step=20, records=rising()[:3])
    with owning(made) as mine:
        assert mine
        assert [(row["state"], row["step"]) for row in rows_of(site)] == [("running", 20)]
        before = run.data(site, names_of(made), {})["charts"][0]["lines"][0]["steps"]
        with open(paths.metrics_jsonl(made), "a") as file:
            file.write(to_line(30, {"curves/train_accuracy": 0.5}))
        assert run.data(site, names_of(made), {})["charts"][0]["lines"][0]["steps"] == [*before, 30]
        page = experiment.data(site, {"experiment": "ics_vgg"}, {})
        assert page["sweep"]["running"] == 1 and page["charts"][0]["lines"][0]["steps"] == [*before, 30]


def test_the_listing_sees_what_comes_changes_and_goes(results: Path) -> None:
    listing = RunListing(results)
    states = lambda: (listing.look(), [found.status.state for found in listing.runs().values()])[1]  # noqa: E731
    assert states() == []
    made = put_run(results, state="failed", overrides={"lr": 0.1})
    assert states() == ["failed"] and listing.overrides(made) == {"lr": 0.1}
    from bnlab.store import read_status

    status = read_status(made)
    write_status(made, type(status)("done", 100, 100))
    assert states() == ["done"] and states() == ["done"]
    other = put_run(results, run_id="0badcafe-s1")
    assert len(states()) == 2
    shutil.rmtree(made)
    assert len(states()) == 1 and list(listing.runs()) == [other]


def test_a_group_is_the_mean_with_its_student_interval(site: Site, results: Path) -> None:
    heights = {0: 0.5, 1: 0.7, 2: 0.9}
    for seed, height in heights.items():
        put_run(results, run_id=f"0badcafe-s{seed}", records=rising(to=height))
    (line,) = experiment.data(looked(site), {"experiment": "ics_vgg"}, {})["charts"][0]["lines"]
    values = list(heights.values())
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (line["values"][-1], line["low"][-1], line["high"][-1]) == pytest.approx((0.7, low, high), rel=1e-4)
    assert set(line["n"]) == {3} and line["runs"] == 3 and line["steps"][-1] == 100


def test_the_mean_ends_where_a_run_diverges(site: Site, results: Path) -> None:
    put_run(results, run_id="0badcafe-s0", records=rising())
    put_run(results, run_id="0badcafe-s1", records=rising()[:4], state="diverged", diverged_at=35)
    (line,) = experiment.data(looked(site), {"experiment": "ics_vgg"}, {})["charts"][0]["lines"]
    assert line["steps"] == [0, 10, 20, 30] and line["diverged"] == [35] and set(line["n"]) == {2}


def test_long_series_are_thinned_and_keep_their_ends() -> None:
    for count in (0, 1, 399, 400, 401, 1000, 12_345):
        kept = charts._thinned(count)
        assert len(kept) <= charts.POINTS + 1 and len(set(kept.tolist())) == len(kept)
        assert not count or (kept[0], kept[-1]) == (0, count - 1)


def test_what_is_compared_can_be_chosen(site: Site, results: Path) -> None:
    for number, (variant, lr) in enumerate((v, lr) for v in ("bn", "plain") for lr in (0.1, 0.01, 0.5, 1.0)):
        put_run(results, variant=variant, run_id=f"0000000{number}-s0", overrides={"lr": lr}, records=rising())
    shown = lambda query: [  # noqa: E731
        line["label"] for line in experiment.data(looked(site), {"experiment": "ics_vgg"}, query)["charts"][0]["lines"]
    ]
    assert shown({}) == ["bn", "plain"]
    assert shown({"by.lr": ["*"], "by.variant": ["bn"]}) == ["lr 0.1", "lr 0.01", "lr 0.5", "lr 1.0"]
    assert len(shown({"by.lr": ["*"]})) == 8
    assert shown({"by.lr": ["no such"], "by.none": ["1"]}) == ["bn", "plain"]


@pytest.mark.parametrize(
    "metric, value, limits",
    [
        ("curves/train_accuracy", 0.97, (0, 1)),
        ("curves/test_accuracy_by_batch", 0.97, (0, 1)),
        ("activations/zero/03", 0.5, (0, 1)),
        ("ics/cosine/01", -0.5, (-1, 1)),
        ("curves/train_accuracy", 97.0, None),  # of somebody's own net, in percent
        ("curves/train_loss", 0.97, (0, None)),
        ("moments/var/03", 2.0, (0, None)),
        ("moments/mean/03", 2.0, None),
        ("activations/b0/03", 0.5, None),
    ],
)
def test_axes_end_where_a_share_does(metric, value, limits) -> None:
    assert meanings.limits(metric, [None, value]) == limits


def test_it_is_said_on_which_statistics_a_net_with_noise_is_evaluated(site: Site, results: Path) -> None:
    twin = "curves/test_accuracy_recalibrated"
    put_run(results, variant="bn", records=[(0, {"curves/test_accuracy": 0.9, "curves/train_accuracy": 0.9})])
    own = {"curves/test_accuracy": 0.1, "curves/train_accuracy": 0.9, "curves/test_loss": 9.0, twin: 0.9}
    put_run(results, variant="bn_noise", records=[(0, own)])
    page = experiment.data(looked(site), {"experiment": "ics_vgg"}, {})
    assert all(chart["limits"] == ((0, 1) if "accuracy" in chart["metric"] else (0, None)) for chart in page["charts"])
    said = {chart["metric"]: chart["caveat"] for chart in page["charts"]}
    assert said["curves/train_accuracy"] is None and twin in said  # shown at first, beside what it corrects
    for metric in ("curves/test_accuracy", "curves/test_loss"):
        assert said[metric]["of"] == ["bn_noise"] and "gathered under noise" in said[metric]["says"]
        assert twin in said[metric]["says"]
    assert said[twin]["of"] == ["bn_noise"] and "re-estimated without noise" in said[twin]["says"]


def test_metrics_that_do_not_exist_are_not_drawn(site: Site, results: Path) -> None:
    made = put_run(results, records=rising())
    asked = {"metric": ["curves/train_loss", "../x", "<b>"]}
    document = run.data(looked(site), names_of(made), asked)
    assert document["chosen"] == ["curves/train_loss"]
    assert run.data(site, names_of(made), {"metric": ["x"]})["chosen"] == ["curves/train_accuracy", "curves/train_loss"]


def test_a_run_is_told_from_its_siblings(site: Site, results: Path) -> None:
    made = put_run(results, variant="bn")
    other = put_run(results, variant="plain")
    put_run(results, variant="plain", run_id="0badcafe-s1")
    stored = json.loads(paths.config_json(other).read_text())
    stored["config"]["lr"] = 0.5
    paths.config_json(other).write_text(json.dumps(stored))
    (sibling,) = run.data(looked(site), names_of(made), {})["siblings"]
    assert sibling["key"][2] == "plain" and sibling["differs"] == {"variant": "plain", "lr": "0.5"}


def test_runs_are_compared_under_names_that_tell_them_apart(site: Site, results: Path) -> None:
    made = [put_run(results, run_id=f"0badcafe-s{seed}", records=rising()) for seed in (0, 1)]
    asked = ["/".join(names_of(directory).values()) for directory in made]
    document = compare.data(looked(site), {}, {"run": [*asked, "a/b/c/d", "../..", asked[0]]})
    assert [row["label"] for row in document["runs"]] == ["bn seed 0", "bn seed 1"]
    assert document["missing"] == ["a/b/c/d", "../.."]
    assert [len(chart["lines"]) for chart in document["charts"]] == [2, 2]


def test_the_time_left_follows_from_the_steps_made(site: Site, results: Path) -> None:
    put_run(results, run_id="0badcafe-s0", seconds=10.0)  # 100 steps, 0.1 s each
    running = put_run(results, run_id="0badcafe-s1", state="running", step=50, seconds=5.0)
    with owning(running):
        entries = looked(site).index.of_setting("ics_vgg", "digits-laptop")
        progress = sweep_progress(entries, 4)
    assert (progress["finished"], progress["running"], progress["total"]) == (1, 1, 4)
    assert progress["seconds_left"] == pytest.approx(5.0 + 2 * 10.0)
    assert progress["part"] == pytest.approx(1.5 / 4)
    assert sweep_progress(looked(site).index.of_setting("ics_vgg", "digits-laptop"), 4) is None


def test_nothing_that_is_not_json_leaves_a_document() -> None:
    document = {"a": [math.nan, math.inf, 1.5], "b": "</script><!--\u2028&", 3: (None, True)}
    text = encode(document)
    assert json.loads(text) == {"a": [None, None, 1.5], "b": document["b"], "3": [None, True]}
    assert not set("<>&\u2028") & set(text)
    assert printable("a\udcff") == "a\\xff" and printable("é\n") == "é\n"


def test_the_shipped_results_are_shown_whole() -> None:
    site = Site(Path(__file__).resolve().parents[1] / "results")
    site.index.refresh()
    assert not [files.problem for files in site.index.settings.values() if files.problem]
    for name, setting in site.index.settings:
        document = json.loads(encode(experiment.data(site, {"experiment": name}, {"setting": [setting]})))
        assert document["verdicts"] and document["figures"], name
    assert site.plans_read.wait(60)
    found = {(one["name"], s["name"]): s for one in overview.data(site, {}, {})["experiments"] for s in one["settings"]}
    assert all(setting["planned"] >= setting["finished"] > 0 for setting in found.values())
