"""The report's pages as a browser shows them: pressed, sorted, dark and light, on a phone and on paper."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import browser
from tests.browser import PHONE, WIDE, Browser

RESULTS = ".results"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.opened() as started:
        yield started


@pytest.fixture
def report(finished: Path) -> Path:
    return finished / "results/report"


def numbers(values: list[str]) -> list[float]:
    return [float(value) for value in values if value]


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_every_page_is_quiet_keeps_to_itself_and_fits(chromium: Browser, report: Path, size: tuple[int, int]) -> None:
    chromium.complaints(), chromium.requests()
    for page in sorted(report.rglob("*.html")):
        chromium.open(page, size)
        assert chromium.script("return document.documentElement.scrollWidth") <= size[0], f"{page} is wider than the screen"
        assert chromium.script("return document.querySelectorAll('details').length") > 0
    assert chromium.complaints() == []
    asked = chromium.requests()
    assert asked and all(url.startswith(report.resolve().as_uri()) for url in asked)


def test_pressing_a_head_sorts_and_pressing_again_turns_it_round(chromium: Browser, report: Path) -> None:
    chromium.open(report / "index.html")
    before = numbers(chromium.column(RESULTS, "after"))
    assert before != sorted(before)
    chromium.click(f"{RESULTS} th button", "after")
    assert numbers(chromium.column(RESULTS, "after")) == sorted(before)
    chromium.click(f"{RESULTS} th button", "after")
    assert numbers(chromium.column(RESULTS, "after")) == sorted(before, reverse=True)
    heads = chromium.script("return [...document.querySelectorAll('.results th[aria-sort]')].map((one) => one.ariaSort)")
    assert heads == ["descending"]
    chromium.click(f"{RESULTS} th button", "metric")
    metrics = [name.split()[0] for name in chromium.column(RESULTS, "metric")]
    assert (metrics[0], metrics[-1]) == ("accuracy", "weighted_f1")
    assert len([*itertools.groupby(metrics)]) == len(set(metrics)), "the same stand together"


def test_tables_are_whole_without_scripts(chromium: Browser, report: Path) -> None:
    chromium.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.open(report / "index.html")
        heads = chromium.driver.find_elements("css selector", f"{RESULTS} th")
        assert {"experiment", "before", "after", "change"} <= {head.text for head in heads}
        assert not chromium.driver.find_element("css selector", "#theme").is_displayed()
    finally:
        chromium.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_colours_follow_the_system_until_they_are_chosen(chromium: Browser, report: Path) -> None:
    chromium.open(report / "index.html")
    light = chromium.background()
    chromium.open(report / "index.html", scheme="dark")
    dark = chromium.background()
    assert light != dark
    chromium.click("#theme"), chromium.click("#theme")
    assert chromium.background() == light, "light was chosen on a dark system"
    chromium.open(report / "say.html", scheme="dark")
    assert chromium.background() == light, "the next page remembers it"
    chromium.click("#theme")
    assert chromium.background() == dark


def test_paper_is_white_and_has_all_of_it(chromium: Browser, report: Path) -> None:
    chromium.open(report / "say.html", scheme="dark", media="print")
    assert chromium.background() == "rgb(255, 255, 255)"
    assert not chromium.driver.find_element("css selector", "#theme").is_displayed()
    chromium.script("dispatchEvent(new Event('beforeprint'))")
    assert chromium.script("return [...document.querySelectorAll('details')].every((one) => one.open)")


def test_a_number_leads_to_its_records(chromium: Browser, report: Path) -> None:
    chromium.open(report / "index.html")
    chromium.click(f"{RESULTS} td.after a")
    shown = chromium.script("return document.getElementById(decodeURIComponent(location.hash.slice(1)))")
    assert shown.tag_name == "details" and shown.get_attribute("open")
    assert "sha256" in shown.text or "report.json" in shown.text


def test_an_experiment_and_the_other_language_are_a_click_away(chromium: Browser, report: Path) -> None:
    chromium.open(report / "index.html")
    chromium.click("nav.pages a", "sort")
    assert chromium.driver.current_url.endswith("/sort.html")
    chromium.click(".switches a", "한국어")
    assert chromium.driver.current_url.endswith("/ko/sort.html")
    assert chromium.driver.find_element("css selector", "#results").text == "결과"
    chromium.click(".eyebrow a")
    assert chromium.driver.current_url.endswith("/ko/index.html")


def test_what_is_seen_is_no_empty_picture(chromium: Browser, report: Path, tmp_path: Path) -> None:
    from PIL import Image

    for name, size, scheme in (("index", WIDE, "light"), ("say", PHONE, "dark")):
        chromium.open(report / f"{name}.html", size, scheme)
        chromium.script("localStorage.clear(); location.reload()")
        chromium.picture(tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as picture:
            colours = picture.convert("RGB").getcolors(picture.width * picture.height)
            assert picture.width == size[0] and len(colours) > 50
            assert max(colours)[0] < 0.98 * picture.width * picture.height
