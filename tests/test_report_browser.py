"""The report in a real browser, from a file:// address and with no network: it opens, and its filters filter."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_folders import HOSTILE, put_figure, put_run, put_verdict, rising

from bnlab.cli import main

SHIPPED = Path(__file__).resolve().parents[1] / "results"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WORDS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1600,1000")
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND"
COUNT = "document.querySelector('[data-part=count]').textContent"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="needs chromium and chromedriver (Debian: chromium-driver)"),
]
webdriver = pytest.importorskip("selenium.webdriver", reason="needs the extra `browser`")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (*WORDS, OFFLINE):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    made.set_page_load_timeout(60)
    yield made
    made.quit()


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("report") / "report.html"
    assert main(["report", "--results", str(SHIPPED), "--output", str(place)]) == 0
    return place.as_uri()


def opened(browser, address: str) -> None:
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(address)
    until(browser, "document.querySelector('main > section h1')?.textContent")


def until(browser, expression: str, seconds: float = 30.0):
    """Wait until a script's value is true. Errors: AssertionError when it does not become true in time."""
    end = time.monotonic() + seconds
    while not (value := browser.execute_script(f"return {expression}")):
        assert time.monotonic() < end, expression
        time.sleep(0.05)
    return value


@pytest.mark.parametrize(
    "page, heading, seen",
    [
        ("", "Overview", ".card"),
        ("#/claims?open=S3-15", "Claims", ".evidence img"),
        ("#/runs", "Runs", "tbody tr"),
        ("#/methods", "Methods", "tbody tr"),
        ("#/experiment/ics_vgg", "ics_vgg · cifar10-laptop", ".chart canvas"),
    ],
)
def test_every_page_opens_from_a_file_without_a_complaint(browser, shipped, page, heading, seen) -> None:
    opened(browser, shipped + page)
    assert browser.execute_script("return document.querySelector('main h1').textContent") == heading
    until(browser, f"document.querySelector('{seen}') !== null")
    assert browser.get_log("browser") == []


def test_figures_are_pictures(browser, shipped) -> None:
    opened(browser, shipped + "#/experiment/ics_vgg?figure=activation_ridges")
    images = "[...document.querySelectorAll('.figures img')]"
    browser.execute_script(f"{images}.forEach((one) => (one.loading = 'eager'))")
    until(browser, f"{images}.length === 4 && {images}.every((one) => one.complete && one.naturalWidth > 100)")


def test_filters_filter_and_stand_in_the_address(browser, shipped) -> None:
    opened(browser, shipped + "#/claims")
    every = browser.execute_script(f"return {COUNT}")
    browser.execute_script(
        "const s = document.getElementById('filter-verdict'); s.value = 'refuted';"
        "s.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    until(browser, f"{COUNT} !== {every!r}")
    shown = "[...document.querySelectorAll('.claim > summary .badge')].map((one) => one.textContent.trim())"
    assert set(browser.execute_script(f"return {shown}")) == {"✗ refuted"}
    assert browser.current_url.endswith("#/claims?verdict=refuted")
    opened(browser, browser.current_url)
    assert set(browser.execute_script(f"return {shown}")) == {"✗ refuted"}


def test_links_lead_to_the_other_pages_and_charts_can_be_added(browser, shipped) -> None:
    opened(browser, shipped)
    browser.execute_script("document.querySelector('.card a[href*=ics_vgg]').click()")
    until(browser, "document.querySelectorAll('.chart canvas').length >= 4")
    time.sleep(1)  # those of the families follow
    before = browser.execute_script("return document.querySelectorAll('.chart canvas').length")
    browser.execute_script(
        "const s = document.getElementById('filter-add'); s.value = s.options[1].value;"
        "s.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    until(browser, f"document.querySelectorAll('.chart canvas').length === {before + 1}")
    browser.execute_script("document.querySelector('.top nav a[data-page=runs]').click()")
    until(browser, "document.querySelectorAll('tbody tr').length === 50")
    assert browser.get_log("browser") == []


def test_no_name_executes(browser, results: Path) -> None:
    names = [name for name in HOSTILE if "/" not in name and name != ".."]
    for i, name in enumerate(names):
        put_run(results, variant=name, run_id=f"0badcafe-s{i}", records=rising(), error=name)
        put_figure(results, "ics_vgg", "digits-laptop", name)
    put_verdict(results, "ics_vgg", "digits-laptop", says="".join(HOSTILE), note=names[0], figure=names[0])
    assert main(["report"]) == 0
    place = (results / "report.html").as_uri()
    for page in (
        "",
        "#/claims?open=S3-15",
        "#/runs",
        "#/experiment/ics_vgg",
        "#/experiment/%3Cscript%3E",
        "#/__proto__",
    ):
        browser.get("about:blank")
        browser.get(place + page)
        until(browser, "document.getElementById('main').childElementCount > 0")
        assert not browser.execute_script("return document.querySelector('img[src=x], svg[onload], main script')")
    refusals = [line for line in browser.get_log("browser") if "Content Security" in line["message"]]
    assert refusals == []
