"""The pages in a real browser: they open without a complaint, filter, grow, and take no name for code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from page_folders import HOSTILE, put_figure, put_run, put_verdict, rising

from bnlab import paths
from bnlab.store import owning
from bnlab.store.records import to_line

CHECKOUT = Path(__file__).resolve().parents[1]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SECONDS_LIVE = 2.0  # in which a value has to be on the page, by the dashboard's promise; a loaded machine gets more

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="needs chromium and chromedriver (Debian: chromium-driver)"),
]
webdriver = pytest.importorskip("selenium.webdriver", reason="needs the extra `browser`")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1600,1000",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    made.set_page_load_timeout(60)
    yield made
    made.quit()


@pytest.fixture
def dashboard() -> Iterator[Callable[[Path], str]]:
    """Starts `bnlab dashboard` on a folder; returns the address it prints."""
    started: list[subprocess.Popen] = []

    def start(folder: Path) -> str:
        command = [sys.executable, "-m", "bnlab", "dashboard", "--results", str(folder), "--port", "0"]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        started.append(subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True))
        return re.search(r"http://\S+", started[-1].stdout.readline())[0]

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


def opened(browser, address: str, path: str = "/", live: bool = True) -> None:
    """Open a page at the address printed; with `live` until it has asked for its document once more."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(re.sub(r"/\?", lambda _: f"{path}{'&' if '?' in path else '?'}", address, count=1))
    if live:
        until(browser, "return document.getElementById('live').textContent === 'live'")


def until(browser, script: str, seconds: float = 30.0):
    """What a script returns once that is true. Errors: AssertionError when it does not become true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = browser.execute_script(script)
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{script}: not within {seconds} s; log: {browser.get_log('browser')}")


def complaints(browser) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def shipped_run() -> str:
    entries = json.loads((CHECKOUT / "results/ics_vgg/cifar10-laptop/pack/runs.json").read_text())["runs"]
    return f"ics_vgg/cifar10-laptop/{entries[0]['variant']}/{entries[0]['id']}"


PAGES = [
    "/",
    "/claims",
    "/claims?open=S3-15",
    "/runs",
    "/compare",
    f"/compare?run={shipped_run()}",
    f"/run/{shipped_run()}",
]
PAGES += ["/experiment/ics_vgg", "/experiment/exact_identities", "/experiment/activation_histograms?by.lr=*"]


def test_every_page_of_the_shipped_results_opens_without_a_complaint(browser, dashboard) -> None:
    address = dashboard(CHECKOUT / "results")
    for path in PAGES:
        opened(browser, address, path)
        assert complaints(browser) == [], path
        assert "token" not in browser.current_url
        for width in (400, 1600):
            browser.set_window_size(width, 1000)
            wide = browser.execute_script(
                "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wide <= 0, f"{path} is {wide} pixels wider than {width}"


def test_nothing_but_this_server_is_asked(browser, dashboard) -> None:
    address = dashboard(CHECKOUT / "results")
    root = re.match(r"http://[^/]+", address)[0]
    for path in PAGES:
        opened(browser, address, path)
        asked = browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
        assert asked and not [name for name in asked if not name.startswith((root + "/", "data:"))]


def test_filters_filter_and_stand_in_the_address(browser, dashboard) -> None:
    address = dashboard(CHECKOUT / "results")
    opened(browser, address, "/claims")
    shown = "return [...document.querySelectorAll('details.claim .id')].map((id) => id.textContent)"
    every = browser.execute_script(shown)
    _choose(browser, "from", "S3")
    only = browser.execute_script(shown)
    assert 0 < len(only) < len(every) and all(claim.startswith("S3-") for claim in only)
    _choose(browser, "verdict", "refuted")
    refuted = browser.execute_script(shown)
    assert 0 < len(refuted) < len(only)
    opened(browser, address, browser.execute_script("return location.pathname + location.search"))
    assert browser.execute_script(shown) == refuted
    opened(browser, address, "/runs")
    _choose(browser, "variant", "plain_noise")
    variants = browser.execute_script(
        "return [...document.querySelectorAll('tbody tr')].map((r) => r.cells[3].textContent)"
    )
    assert len(variants) == 11 and set(variants) == {"plain_noise"}


def _choose(browser, name: str, value: str) -> None:
    browser.execute_script(
        f"const s = document.getElementById('filter-{name}'); s.value = '{value}'; s.dispatchEvent(new Event('change'))"
    )


def test_a_table_sorts_and_pages_with_the_keyboard(browser, dashboard) -> None:
    from selenium.webdriver.common.keys import Keys

    opened(browser, dashboard(CHECKOUT / "results"), "/runs")
    seeds = "return [...document.querySelectorAll('tbody tr')].map((row) => Number(row.cells[5].textContent))"
    browser.execute_script("document.querySelector('[data-key=seed]').focus()")
    ends = []
    for order in (sorted, lambda values: sorted(values, reverse=True)):
        browser.switch_to.active_element.send_keys(Keys.ENTER)
        found = browser.execute_script(seeds)
        assert found == order(found) and len(found) == 50
        ends.append(found[0])
    assert ends[0] == 0 < ends[1]
    browser.find_element("css selector", ".pager [data-to=Next]").send_keys(Keys.ENTER)
    assert "page=2" in browser.current_url and "sort=seed.down" in browser.current_url
    assert browser.execute_script("return document.activeElement.dataset.to") == "Next"


def test_what_is_compared_follows_the_choice(browser, dashboard) -> None:
    opened(browser, dashboard(CHECKOUT / "results"), "/experiment/ics_vgg")
    legend = "document.querySelectorAll('[data-metric=\"curves/train_accuracy\"] .legend')"
    names = f"return [...{legend}].map((button) => button.textContent)"
    assert browser.execute_script(names) == ["plain n 5", "BN n 5", "BN + noise n 5", "plain + noise n 5"]
    _choose(browser, "by.lr", "0.01")
    until(browser, f"const n = (() => {{ {names} }})(); return n.length === 4 && n.every((x) => x.endsWith(' n 3'))")
    browser.execute_script("document.querySelector('.legend').click()")
    assert browser.execute_script("return document.querySelector('.legend').getAttribute('aria-pressed')") == "false"
    _choose(browser, "add", "moments/mean_change/02")
    until(browser, "return document.querySelector('[data-metric=\"moments/mean_change/02\"] canvas')")


def test_the_axis_of_a_share_ends_where_shares_do(browser, dashboard, results: Path) -> None:
    metric = "curves/test_accuracy"
    for seed, height in enumerate((0.2, 0.6, 1.0)):  # the interval of their mean goes from below 0 to above 1
        own = {metric: height, f"{metric}_recalibrated": height}
        records = [(step, own) for step in (0, 10, 20)]
        put_run(results, variant="bn_noise", run_id=f"0badcafe-s{seed}", records=records)
    address = dashboard(results)
    for log in ("", "?log=1"):
        opened(browser, address, f"/experiment/ics_vgg{log}")
        chart = f"document.querySelector('[data-metric=\"{metric}\"] .plot').bnlabChart"
        low, high = browser.execute_script(f"const y = {chart}.scales.y; return [y.min, y.max]")
        assert 0 <= low < 0.2 and high == 1
        told = browser.execute_script(
            f"return document.querySelector('[data-metric=\"{metric}\"] .caveat').textContent"
        )
        assert told.startswith("BN + noise: ") and "gathered under noise" in told
    assert complaints(browser) == []


def test_a_thousand_runs_are_paged_and_fit_a_telephone(browser, dashboard, results: Path) -> None:
    for number in range(1000):
        put_run(results, run_id=f"{number:08x}-s{number}", state="failed", error=f"fault {number}")
    address = dashboard(results)
    browser.set_window_size(400, 800)
    try:
        opened(browser, address, "/runs?sort=seed.up")
        count = "return document.querySelectorAll('tbody tr').length"
        size = "const r = document.documentElement; return [r.scrollWidth - r.clientWidth, r.scrollHeight]"
        beyond, tall = browser.execute_script(size)
        assert browser.execute_script(count) == 50 and beyond <= 0 and tall < 50 * 200
        last = browser.find_element("css selector", ".pager [data-to=Last]").get_attribute("href")
        assert last.endswith("page=20")
        opened(browser, address, last[last.index("/runs") :])
        seeds = browser.execute_script("return [...document.querySelectorAll('.of-seed')].map((c) => c.textContent)")
        assert seeds == [str(seed) for seed in range(950, 1000)]
        opened(browser, address, "/runs?rows=500&page=9")  # beyond the last: the last
        assert browser.execute_script(count) == 500
    finally:
        browser.set_window_size(1600, 1000)


def test_an_experiment_that_was_never_run_shows_what_to_type_and_no_empty_part(browser, dashboard, results) -> None:
    results.mkdir()
    opened(browser, dashboard(results), "/experiment/ics_vgg")
    shown = "return [...document.querySelectorAll('main h2, main code')].filter((e) => e.checkVisibility())"
    texts = browser.execute_script(f"{shown}.map((e) => e.textContent)")
    assert texts == ["bnlab reproduce ics_vgg data=digits scale=laptop"] and complaints(browser) == []


def test_verdicts_older_than_their_runs_are_said(browser, dashboard, results: Path) -> None:
    put_verdict(results, "ics_vgg", "digits-laptop", p=0.03, holm=0.06)
    setting = results / "ics_vgg" / "digits-laptop"
    os.utime(paths.claims_json(setting), (1e9, 1e9))
    put_run(results, records=rising())
    address = dashboard(results)
    for page in ("/claims", "/experiment/ics_vgg"):
        opened(browser, address, page)
        said = until(browser, "return document.querySelector('.notice.calm')?.textContent")
        assert "older than 1 run" in said and "bnlab claims ics_vgg data=digits scale=laptop" in said
        marked = browser.execute_script("return document.querySelector('.undone').textContent")
        assert "undecided after Holm" in marked


def test_a_live_run_grows_without_reloading(browser, dashboard, results: Path) -> None:
    made = put_run(results, state="running", step=20, records=rising()[:3])
    with owning(made):
        opened(browser, dashboard(results), "/run/ics_vgg/digits-laptop/bn/0badcafe-s0")
        browser.execute_script("window.sameDocument = true")
        points = "document.querySelector('[data-metric=\"curves/train_accuracy\"] .plot').bnlabChart.data[0]"
        assert browser.execute_script(f"return {points}") == [0, 10, 20]
        took = []
        for step in (30, 40, 50):
            with open(paths.metrics_jsonl(made), "a") as file:
                file.write(to_line(step, {"curves/train_accuracy": step / 100}))
            began = time.monotonic()
            until(browser, f"return {points}.at(-1) === {step}")
            took.append(time.monotonic() - began)
        print(f"a value was on the page after {', '.join(f'{seconds:.2f}' for seconds in took)} s")
        assert min(took) < SECONDS_LIVE
        assert browser.execute_script("return window.sameDocument") and complaints(browser) == []


def test_a_run_that_begins_appears_on_the_first_page(browser, dashboard, results: Path) -> None:
    results.mkdir()
    opened(browser, dashboard(results))
    assert not browser.execute_script("return document.querySelector('progress')")
    with owning(put_run(results, state="running", step=20, seconds=2.0)):
        until(browser, "return document.querySelector('.sweep progress')")
        said = browser.execute_script("return document.querySelector('.sweep').textContent")
        assert "1 running" in said and "left" in said


def test_no_name_is_taken_for_code(browser, dashboard, results: Path) -> None:
    for number, name in enumerate(HOSTILE):
        safe = name.replace("/", "∕") if name != ".." else "…"
        shown = {"says": name, "source": name, "note": name, "unit": name, "id": f"S0-{number:02d}", "label": name}
        put_run(results, safe, "digits-laptop", safe, "0badcafe-s0", {safe: safe}, rising(), state="failed", error=name)
        put_verdict(
            results, safe, "digits-laptop", published={"value": None, "text": name, "provenance": name}, **shown
        )
        put_figure(results, safe, "digits-laptop", safe)
    address = dashboard(results)
    opened(browser, address, "/runs")
    links = browser.execute_script(
        "return [...document.querySelectorAll('tbody a')].map((a) => a.getAttribute('href'))"
    )
    assert len(links) == len(HOSTILE)
    opened(browser, address, "/")
    inside = browser.execute_script(
        "return [...document.querySelectorAll('.settings a')].map((a) => a.getAttribute('href'))"
    )
    opening = "&".join(f"open=S0-{number:02d}" for number in range(len(HOSTILE)))
    for path in ["/", "/runs", f"/claims?{opening}", *links, *inside]:
        opened(browser, address, path, live=False)
        # An alert would have made every command fail; what a name could have become:
        strange = "[onerror], [onload], [onmouseover], main b, main img[src=x], a[href^=javascript], main script"
        assert browser.execute_script("return document.querySelectorAll(arguments[0]).length", strange) == 0, path
        assert [c for c in complaints(browser) if "figure" not in c] == [], path


def test_light_and_dark(browser, dashboard) -> None:
    opened(browser, dashboard(CHECKOUT / "results"), "/experiment/ics_vgg")
    ground = "return getComputedStyle(document.body).backgroundColor"
    seen = []
    for _ in range(3):
        browser.execute_script("document.getElementById('theme').click()")
        seen.append(
            (browser.execute_script("return document.documentElement.dataset.theme"), browser.execute_script(ground))
        )
        drawn = browser.execute_script(
            "return getComputedStyle(document.documentElement).getPropertyValue('--chart-grid')"
        )
        assert re.fullmatch(r"rgb\(\d+, \d+, \d+\)", drawn), "what a canvas is drawn with is one colour"
    assert dict(seen)["light"] == "rgb(255, 255, 255)" and dict(seen)["dark"] == "rgb(20, 23, 27)"
    assert complaints(browser) == []
