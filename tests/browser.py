"""A page in Debian's own Chromium, driven by Selenium: nothing is fetched for it, and where there is no browser the tests say so."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
WIDE, PHONE = (1280, 900), (390, 844)


@contextmanager
def opened() -> Iterator["Browser"]:
    """A browser that keeps what its console says and what its pages ask for."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install 'polar-tools[dev]'")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield Browser(started)
    finally:
        started.quit()


class Browser:
    """What a person does with a page, and what they see."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, size: tuple[int, int] = WIDE, scheme: str = "light", media: str = "") -> None:
        """Show a page on a screen of `size` pixels (or on paper, by `media`), of a system with light or dark colours."""
        width, height = size
        phone = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        self.driver.get(page.resolve().as_uri())

    def script(self, code: str, *given: Any) -> Any:
        """What a piece of JavaScript returns."""
        return self.driver.execute_script(code, *given)

    def click(self, selector: str, text: str = "") -> None:
        """Press the first element of a CSS selector that says `text`."""
        found = [one for one in self.driver.find_elements("css selector", selector) if text in one.text]
        assert found, f"there is no {selector} with {text!r}"
        self.script("arguments[0].scrollIntoView({block: 'center'})", found[0])
        found[0].click()

    def waited(self, selector: str, seconds: float = 20) -> Any:
        """The first element of a CSS selector, once there is one that says something."""
        from selenium.webdriver.support.wait import WebDriverWait

        def found(driver: Any) -> Any:
            return next((one for one in driver.find_elements("css selector", selector) if one.text.strip()), None)

        return WebDriverWait(self.driver, seconds, 0.1).until(found)

    def column(self, table: str, title: str) -> list[str]:
        """What stands in a column of a table, from above."""
        code = (
            "const table = document.querySelector(arguments[0]);"
            "const place = [...table.tHead.rows[0].cells].findIndex((one) => one.innerText.includes(arguments[1]));"
            "return [...table.tBodies[0].rows].map((row) => row.cells[place].dataset.value ?? row.cells[place].innerText.trim());"
        )
        return list(self.script(code, table, title))

    def background(self) -> str:
        """The page's colour."""
        return str(self.script("return getComputedStyle(document.body).backgroundColor"))

    def complaints(self) -> list[str]:
        """What the console has said since it was last asked."""
        return [f"{line['level']}: {line['message']}" for line in self.driver.get_log("browser")]

    def requests(self) -> set[str]:
        """Addresses that were asked for since this was last asked, but for what stands in the page itself."""
        events = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        sent = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
        return {url for url in sent if not url.startswith("data:")}

    def picture(self, file: Path) -> None:
        """The whole page as PNG."""
        import base64

        width, height = self.script("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        file.write_bytes(base64.b64decode(shot["data"]))
