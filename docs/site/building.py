"""The documentation as a site that needs no network, in English and in Korean: `make docs`."""

import logging
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.site import gathering

CONFIGS = {"en": "mkdocs.yml", "ko": "docs/site/mkdocs.ko.yml"}
FOLDERS = {"en": "", "ko": "ko"}
FOR_ENGINES = re.compile(r'<link rel="alternate"[^>]*>\s*')


def build(site: Path, pages: Path) -> None:
    """Make the site in the folder `site`, of pages that are gathered in `pages`. Raises mkdocs' Abort where a link leads nowhere."""
    from mkdocs.commands.build import build as make
    from mkdocs.config import load_config

    for language, config in CONFIGS.items():
        gathering.gather(pages / language, language)
        path = str(gathering.REPOSITORY / config)
        told = load_config(path, docs_dir=str(pages / language), site_dir=str(site / FOLDERS[language]), strict=True)
        _list_the_rest(told.nav, language)
        told.plugins.on_startup(command="build", dirty=False)
        make(told)
    _join_languages(site)


def _list_the_rest(nav: list[dict[str, Any]], language: str) -> None:
    """Pages that nobody has put into the navigation come at the end of its last part, by their own titles."""
    [last] = nav[-1].values()
    listed = {page for page in _pages(nav) if "/" not in page}
    last += [{gathering.title(f"docs/{page.name}", language): page.name} for page in gathering.pages() if page.name not in listed]


def _pages(entry: object) -> Iterator[str]:
    """The pages of a part of the navigation."""
    parts = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ()
    yield from (entry,) if isinstance(entry, str) else (page for part in parts for page in _pages(part))


def _join_languages(site: Path) -> None:
    """Let every page lead to itself in the other language: the same page stands at the same place of both.

    Links in the head of a page that say so to search engines are taken out: the theme asks for the site map of each, which no disk gives.
    """
    for page in sorted(site.rglob("*.html")):
        place = page.relative_to(site).as_posix()
        own = place.removeprefix("ko/")
        text = FOR_ENGINES.sub("", page.read_text(encoding="utf-8"))
        for language, folder in FOLDERS.items():
            other = posixpath.relpath(posixpath.join(folder, own), posixpath.dirname(place) or ".")
            text = text.replace(f'"#in-{language}"', f'"{other}"')
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    build(Path(sys.argv[1]).resolve(), Path("build/docs").resolve())
    print(f"{sys.argv[1]}/index.html opens from the disk; {sys.argv[1]}/ko/index.html is in Korean")
