"""Distributions over training on pages: known histograms and quantiles come back, on axes that all panels share."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from page_folders import put_run

from bnlab.pages import compare, experiment, run
from bnlab.pages.distributions import RECORDS, thinned
from bnlab.pages.documents import encode
from bnlab.pages.index import FRESH
from bnlab.pages.site import Site
from bnlab.store import BINS, Histogram, read_pack

SHIPPED = Path(__file__).resolve().parents[1] / "results"


def uniform(low: float, high: float) -> Histogram:
    return Histogram(low, high, (3,) * BINS)


def widening(scale: float = 1.0, layer: str = "01", steps: tuple[int, ...] = (0, 1, 10, 100)) -> list[tuple[int, dict]]:
    """Uniform distributions between 0 and scale (1 + step), and the sevenths of them."""
    rows = []
    for step in steps:
        top = scale * (1 + step)
        sevenths = {f"activations/b{k}/{layer}": top * k / 7 for k in range(8)}
        rows.append((step, sevenths | {f"activations/hist_output/{layer}": uniform(min(0.0, top), max(0.0, top))}))
    return rows


@pytest.fixture
def site(results: Path) -> Site:
    results.mkdir()
    return Site(results)


def page(site: Site, query: dict | None = None) -> dict:
    time.sleep(FRESH)
    site.index.refresh()
    return json.loads(encode(experiment.data(site, {"experiment": "ics_vgg"}, query or {})))


def test_known_histograms_and_quantiles_come_back(site: Site, results: Path) -> None:
    put_run(results, variant="bn", records=widening())
    found = page(site)["distributions"]
    (panel,) = found["panels"]
    assert (found["quantity"], found["layer"], found["seeds"]) == ("output", "01", [])
    assert panel["histograms"]["steps"] == panel["bands"]["steps"] == [0, 1, 10, 100]
    assert panel["histograms"]["hi"] == [1, 2, 11, 101] and panel["histograms"]["lo"] == [0, 0, 0, 0]
    assert panel["histograms"]["counts"] == [[3] * BINS] * 4
    np.testing.assert_allclose(panel["bands"]["values"], np.outer(np.arange(8) / 7, [1, 2, 11, 101]), rtol=1e-4)
    assert found["quantiles"][0] == "minimum" and found["quantiles"][-1] == "maximum" and len(found["quantiles"]) == 8


def test_axes_hold_every_panel(site: Site, results: Path) -> None:
    put_run(results, variant="bn", records=widening(0.01))
    alone = page(site)["distributions"]["limits"]
    put_run(results, variant="plain", records=widening(-5.0))
    shared = page(site)["distributions"]["limits"]
    for kind in ("histograms", "bands"):
        (low, high), (wide_low, wide_high) = alone[kind], shared[kind]
        assert low <= 0.01 and 1.0 <= high <= 1.1
        assert -540 < wide_low < -500 and 1.0 < wide_high < 40


def test_far_values_that_are_few_do_not_stretch_the_axis(site: Site, results: Path) -> None:
    counts = (250,) * (BINS - 1)
    put_run(results, records=[(0, {"activations/hist_input/01": Histogram(0.0, float(BINS), (*counts, 1))})])
    found = page(site)["distributions"]
    assert found["quantity"] == "input" and found["panels"][0]["bands"] is None
    assert found["limits"]["histograms"][1] < 1.03 * (BINS - 1)


def test_quantity_layer_and_seed_are_chosen_by_name(site: Site, results: Path) -> None:
    for seed, scale in ((0, 1.0), (3, 2.0)):
        records = widening(scale) + [(200, {"activations/hist_max/pooled": uniform(scale, 9 * scale)})]
        records += widening(7 * scale, "02", (300,))
        put_run(results, run_id=f"0badcafe-s{seed}", records=records)
    put_run(results, variant="plain", run_id="0badcafe-s0", records=widening())
    chosen = lambda **query: page(site, {k: [v] for k, v in query.items()})["distributions"]  # noqa: E731
    assert [one["layers"] for one in chosen()["quantities"]] == [["01", "02"], ["pooled"]] and chosen()["seeds"] == [
        0,
        3,
    ]
    second = chosen(layer="02", seed="3")
    assert second["panels"][0]["histograms"]["hi"] == [14 * 301] and second["panels"][0]["run"][3] == "0badcafe-s3"
    assert [panel["seed"] for panel in second["panels"]] == [3, None]
    assert second["panels"][1]["run"] is None and second["panels"][1]["histograms"] is None
    assert chosen(quantity="max")["panels"][0]["histograms"]["lo"] == [1]
    for wrong in ({"layer": "../01"}, {"seed": "9"}, {"quantity": "<b>"}):
        assert chosen(**wrong) == chosen()


def test_records_without_numbers_are_left_out(site: Site, results: Path) -> None:
    records = widening() + [(200, {"activations/hist_output/01": uniform(0.0, float("inf"))})]
    records[1][1]["activations/b7/01"] = float("nan")
    put_run(results, records=records, state="diverged", diverged_at=200)
    found = page(site)["distributions"]
    (panel,) = found["panels"]
    assert panel["diverged"] == 200 and panel["histograms"]["steps"] == [0, 1, 10, 100]
    assert panel["bands"]["values"][7] == [1, None, 11, 101] and found["limits"]["bands"][1] > 101


def test_nothing_is_shown_where_nothing_is_recorded(site: Site, results: Path) -> None:
    put_run(results, records=[(0, {"curves/train_loss": 1.0})])
    document = page(site)
    assert document["distributions"] == {} and document["families"] == {}


def test_a_run_and_a_comparison_show_theirs(site: Site, results: Path) -> None:
    for variant, scale in (("bn", 1.0), ("plain", 4.0)):
        put_run(results, variant=variant, records=widening(scale))
    page(site)
    keys = [("ics_vgg", "digits-laptop", variant, "0badcafe-s0") for variant in ("bn", "plain")]
    one = run.data(site, dict(zip(("experiment", "setting", "variant", "id"), keys[1])), {})["distributions"]
    assert [panel["histograms"]["hi"][-1] for panel in one["panels"]] == [404]
    both = compare.data(site, {}, {"run": ["/".join(key) for key in keys]})["distributions"]
    assert [panel["histograms"]["hi"][-1] for panel in both["panels"]] == [101, 404] and both["seeds"] == []


def test_long_records_are_thinned_evenly_in_the_logarithm() -> None:
    for steps in (np.arange(7), np.arange(RECORDS), np.arange(0, 50_001, 7), np.r_[0, 40_000 + np.arange(3000)]):
        kept = thinned(steps)
        assert len(kept) <= RECORDS and (np.diff(kept) > 0).all() and (kept[0], kept[-1]) == (0, len(steps) - 1)
    gaps = np.diff(np.log1p(np.arange(100_000)[thinned(np.arange(100_000))]))
    assert gaps[-50:].max() < 1.1 * np.log1p(99_999) / (RECORDS - 1)


def test_a_shipped_pack_is_shown_as_it_is_stored() -> None:
    shown = experiment.data(looked(Site(SHIPPED)), {"experiment": "ics_vgg"}, {"layer": ["09"], "quantity": ["input"]})
    stored = read_pack(SHIPPED / "ics_vgg/cifar10-laptop/pack")
    for panel in shown["distributions"]["panels"]:
        found = stored["/".join(panel["run"][2:])].histograms["activations/hist_input/09"]
        assert panel["histograms"]["counts"] == found.counts.tolist()
        np.testing.assert_allclose(panel["histograms"]["hi"], found.hi, rtol=1e-4)
    assert len(shown["distributions"]["panels"]) == 4
    assert len(encode(shown["distributions"])) < 200_000


def looked(site: Site) -> Site:
    site.index.refresh()
    return site


def test_families_show_a_layer_and_ranges_of_the_landscape(site: Site, results: Path) -> None:
    for seed in (0, 1):
        fixed = {"moments/mean/01": 1.0, "moments/mean/02": 2.0 + seed, "ics/cosine/05": 0.5}
        fixed |= {"landscape/loss_min": 1.0 + seed, "landscape/beta_smoothness": 4.0}
        records = [(step, fixed | {"landscape/loss_max": 3.0 + step + seed}) for step in (0, 10)]
        put_run(results, run_id=f"0badcafe-s{seed}", records=records)
    chosen = lambda **query: page(site, {k: [v] for k, v in query.items()})["families"]  # noqa: E731
    assert chosen()["families"] == ["moments", "ics", "landscape"] and chosen()["layers"] == ["01", "02"]
    (mean, *others) = chosen(at="02")["charts"]
    assert mean["metric"] == "moments/mean/02" and mean["lines"][0]["values"] == [2.5, 2.5]
    assert all(one["lines"] == [] for one in others)
    assert chosen(family="ics")["layer"] == "05" and chosen(family="nothing")["family"] == "moments"
    (line,) = chosen(family="landscape")["charts"][0]["lines"]
    assert (line["low"], line["high"], line["values"]) == ([1.5, 1.5], [3.5, 13.5], [2.5, 7.5]) and line["runs"] == 2
