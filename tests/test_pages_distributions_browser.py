"""Distributions in a real browser: the slider moves the histogram, panels share a cursor, addresses keep choices."""

from __future__ import annotations

from pathlib import Path

from page_folders import put_run
from test_pages_browser import browser, complaints, dashboard, opened, pytestmark, until  # noqa: F401
from test_pages_distributions import widening

PAGE = "/experiment/ics_vgg"
ROWS = "[...document.querySelectorAll('.told-step tbody tr')]"
TOLD = f"{ROWS}.map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
NAMES = "[...document.querySelectorAll('[data-panel]')].map((panel) => panel.dataset.panel)"


def put_both(results: Path) -> None:
    """Two runs whose outputs are uniform between 0 and 1 + step, and 0 and 4 (1 + step)."""
    put_run(results, variant="bn", records=widening())
    put_run(results, variant="plain", records=widening(4.0))


def rows(step: int) -> list[list[str]]:
    """What the table says of uniform distributions: their quantiles, in three digits."""
    told = []
    for name, top in (("BN", 1 + step), ("plain", 4 * (1 + step))):
        low, middle, high = (f"{share * top:.3g}" for share in (0.05, 0.5, 0.95))
        told.append([name, str(step), middle, f"{low} to {high}", "0", str(top)])
    return told


def test_the_slider_moves_the_histogram_and_stands_in_the_address(browser, dashboard, results: Path) -> None:  # noqa: F811
    from selenium.webdriver.common.keys import Keys

    put_both(results)
    address = dashboard(results)
    opened(browser, address, PAGE)
    assert browser.execute_script(f"return {TOLD}") == rows(100)
    ink = "document.querySelector('.at-step canvas').toDataURL()"
    before = browser.execute_script(f"return {ink}")
    slider = browser.find_element("id", "step")
    slider.send_keys(Keys.ARROW_LEFT)
    assert browser.execute_script(f"return {TOLD}") == rows(10) and browser.execute_script(f"return {ink}") != before
    assert "step=10" in browser.current_url and slider.get_attribute("aria-valuetext") == "step 10"
    slider.send_keys(Keys.HOME)
    assert browser.execute_script(f"return {TOLD}") == rows(0)
    opened(browser, address, browser.execute_script("return location.pathname + location.search"))
    assert browser.execute_script(f"return {TOLD}") == rows(0) and complaints(browser) == []


def test_ways_of_showing_and_choices_stand_in_the_address(browser, dashboard, results: Path) -> None:  # noqa: F811
    put_both(results)
    put_run(results, variant="bn_noise", records=widening(2.0, "02"))
    address = dashboard(results)
    pictures = "[...document.querySelectorAll('[data-panel] canvas')].map((one) => one.toDataURL())"
    drawn = []
    for view in ("bands", "ridges", "heat"):
        opened(browser, address, f"{PAGE}?view={view}")
        assert len(browser.execute_script(f"return {NAMES}")) == 3
        drawn.append(tuple(browser.execute_script(f"return {pictures}")))
    assert len(set(drawn)) == 3 and all(len(set(one)) == 3 for one in drawn)
    browser.execute_script(
        "const s = document.getElementById('filter-layer'); s.value = '02'; s.dispatchEvent(new Event('change'))"
    )
    until(browser, f"return {TOLD}.map((row) => row[0]).join() === 'BN + noise'")
    browser.execute_script("[...document.querySelectorAll('[data-part=distributions] .legend')].at(-1).click()")
    left = browser.execute_script(f"return {NAMES}")
    assert len(left) == 2
    again = browser.execute_script("return location.pathname + location.search")
    assert all(word in again for word in ("view=heat", "layer=02", "without="))
    opened(browser, address, again)
    assert browser.execute_script(f"return {NAMES}") == left
    assert browser.execute_script("return document.getElementById('filter-layer').value") == "02"
    assert complaints(browser) == []


def test_panels_say_their_seed_and_another_can_be_chosen(browser, dashboard, results: Path) -> None:  # noqa: F811
    for seed, scale in ((0, 1.0), (4, 3.0)):
        put_run(results, run_id=f"0badcafe-s{seed}", records=widening(scale))
    address = dashboard(results)
    opened(browser, address, PAGE)
    heads = "[...document.querySelectorAll('[data-panel] figcaption')].map((one) => one.textContent.trim())"
    assert browser.execute_script(f"return {heads}") == ["BN, seed 0"]
    browser.execute_script(
        "const s = document.getElementById('filter-seed'); s.value = '4'; s.dispatchEvent(new Event('change'))"
    )
    until(browser, f"return {heads}.join() === 'BN, seed 4' && {TOLD}[0][5] === '303'")
    assert "seed=4" in browser.current_url
    opened(browser, address, "/run/ics_vgg/digits-laptop/bn/0badcafe-s4")
    assert browser.execute_script(f"return {heads}")[0].endswith("seed 4") and complaints(browser) == []


def test_the_pointer_marks_its_step_in_every_panel(browser, dashboard, results: Path) -> None:  # noqa: F811
    from selenium.webdriver import ActionChains

    put_both(results)
    address = dashboard(results)
    for view in ("bands", "heat", "ridges"):
        opened(browser, address, f"{PAGE}?view={view}")
        canvas = browser.find_element("css selector", "[data-panel] canvas")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
        ActionChains(browser).move_to_element_with_offset(canvas, 20, 10).perform()
        marks = "[...document.querySelectorAll('[data-panel] .mark.pointed')]"
        until(browser, f"return {marks}.every((one) => !one.hidden)")
        places = browser.execute_script(f"return {marks}.map((one) => one.style.cssText)")
        assert len(places) == 2 and len(set(places)) == 1
        told = browser.execute_script(
            "return [...document.querySelectorAll('[data-panel] .told')].map((p) => p.textContent)"
        )
        assert len({text.split(":")[0] for text in told}) == 1 and "step 100" not in told[0]
        ActionChains(browser).click(canvas).perform()
        until(browser, f"return {TOLD}[0][1] !== '100'")
        assert "step=" in browser.current_url
