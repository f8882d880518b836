"""The documentation as a site: every link and anchor leads somewhere, nothing is asked of a network, and search works from a disk."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from docs.site import building, gathering
from tests import browser
from tests.docs import pages

ASKED = {"en": ("optimizer.pt", "Choose a method"), "ko": ("메모리 부족", "증상별 문제 해결")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    building.build(folder / "site", folder / "pages")
    return folder / "site"


class Page(HTMLParser):
    """What a page leads to, shows and loads, and the anchors in it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value for name, value in attrs if value}
        self.anchors |= {told[name] for name in ("id", "name") if name in told}
        self.links |= {told[name] for name in ("href", "src") if name in told}


def test_every_link_and_picture_of_every_page_is_there(site: Path) -> None:
    found = {file: Page(file) for file in sorted(site.rglob("*.html")) if file.name != "404.html"}
    assert {file.relative_to(site).as_posix() for file in found} >= {"index.html", "ko/index.html", "repository/config/index.html"}
    dead = [
        f"{file.relative_to(site)}: {link}" for file, page in found.items() for link in sorted(page.links) if not _leads(file, link, found)
    ]
    assert not dead, "\n".join(dead[:40])


def _leads(file: Path, link: str, found: dict[Path, Page]) -> bool:
    path, anchor = (unquote(part) for part in urldefrag(link))
    if "://" in link or path.startswith(("mailto:", "data:")):
        return True
    target = (file.parent / path).resolve() if path else file
    if anchor and target in found:
        return anchor in found[target].anchors or anchor.startswith("__")
    return target.is_file()


def test_both_languages_have_the_same_pages(site: Path) -> None:
    english, korean = ({file.relative_to(top).as_posix() for file in top.rglob("*.html")} for top in (site, site / "ko"))
    assert {name for name in english if not name.startswith("ko/")} == korean
    assert 'href="ko/methods.html"' in (site / "methods.html").read_text(encoding="utf-8")
    assert 'href="../methods.html"' in (site / "ko/methods.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", ["", "ko"])
def test_every_page_is_in_the_navigation(site: Path, folder: str) -> None:
    linked = Page(site / folder / "index.html").links
    absent = [page.stem for page in gathering.pages() if f"{page.stem}.html" not in linked]
    assert not absent, f"put it into `nav` of {building.CONFIGS['ko' if folder else 'en']}"


def test_nothing_is_asked_of_a_network_and_no_page_complains(site: Path) -> None:
    _show(
        site, [f"{folder}{page}.html" for page in ("index", "methods-language", "cli", "repository/config/index") for folder in ("", "ko/")]
    )


@pytest.mark.slow
def test_so_it_is_for_all_pages(site: Path) -> None:
    _show(site, [file.relative_to(site).as_posix() for file in sorted(site.rglob("*.html")) if file.name != "404.html"])


def _show(site: Path, names: list[str]) -> None:
    """Open pages as a browser does on a desk and on a phone, and ask for nothing but what lies on the disk."""
    with browser.opened() as chromium:
        for name in names:
            chromium.open(site / name)
            assert chromium.script("return [...document.images].filter((one) => !one.naturalWidth).map((one) => one.src)") == [], name
            chromium.open(site / name, browser.PHONE)
            assert chromium.script("return document.documentElement.scrollWidth <= innerWidth"), f"{name}: a phone must scroll sideways"
        assert {url for url in chromium.requests() if not url.startswith("file:")} == set()
        assert chromium.complaints() == []


@pytest.mark.parametrize("language", ASKED)
def test_a_reader_finds_a_page_by_a_word(site: Path, language: str) -> None:
    word, title = ASKED[language]
    with browser.opened() as chromium:
        chromium.open(site / building.FOLDERS[language] / "index.html")
        chromium.script("document.querySelector('[data-md-toggle=search]').click()")
        chromium.driver.find_element("css selector", "input.md-search__input").send_keys(word)
        first = chromium.waited(".md-search-result__item a")
        assert title in first.text
        chromium.script("arguments[0].click()", first)
        assert chromium.script("return document.querySelector('h1').innerText").strip("¶\n ") != "POLAR"


def test_a_reader_changes_the_language_of_a_page(site: Path) -> None:
    with browser.opened() as chromium:
        chromium.open(site / "why-a-dag.html")
        chromium.script("document.querySelector('a[hreflang=ko].md-select__link').click()")
        assert "왜 DAG인가" in chromium.script("return document.title")


def test_pages_without_a_korean_text_say_so(site: Path) -> None:
    assert "아직 한국어로 옮기지 않았습니다" in (site / "ko/diagnosis.html").read_text(encoding="utf-8")
    assert "아직 한국어로 옮기지 않았습니다" not in (site / "ko/methods.html").read_text(encoding="utf-8")
    assert pages.text_of("docs/methods.ko.md").splitlines()[0].removeprefix("# ") in (site / "ko/methods.html").read_text(encoding="utf-8")
