"""What the pages of the default run, and of the tutorial's project, look like, as small PNGs for the documentation: `make pictures`."""

import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests import browser

SIZE = (1180, 1500)
COLOURS = 128
"""Few are enough for text and lines, and keep the file small."""
MARGIN = 12
"""Pixels around a part of a page."""


@dataclass(frozen=True)
class Shot:
    """A picture of a page below `results/` of a project: its upper part, or the first element of a CSS selector."""

    page: str
    selector: str = ""
    project: str = "default"
    height: int = SIZE[1]
    """The most that is shown."""


SHOTS = {
    "report": Shot("report/index.html", height=1030),
    "report-films": Shot("report/index.html", project="tutorial"),
    "curves": Shot("report/classification.html", "figure:has(svg)", "tutorial"),
    "mask": Shot("describe/tokenize/report.html", ".card:has(> .xray)"),
    "funnel": Shot("datasets/topics/report.html", ".card:has(> table.funnel)"),
}
FIND = """
const place = document.querySelector(arguments[0]).getBoundingClientRect();
return [place.left + scrollX, place.top + scrollY, place.right + scrollX, place.bottom + scrollY];
"""


def take(results: dict[str, Path], folder: Path) -> list[Path]:
    """All SHOTS of the pages in the `results` of each project, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with browser.opened() as chromium:
        return [_shot(chromium, results[shot.project], folder / f"{name}.png", shot) for name, shot in SHOTS.items()]


def _shot(chromium: browser.Browser, results: Path, file: Path, shot: Shot) -> Path:
    chromium.open(results / shot.page, SIZE)
    chromium.picture(file)
    left, top, right, bottom = chromium.script(FIND, shot.selector) if shot.selector else (MARGIN, MARGIN, *SIZE)
    with Image.open(file) as whole:
        part = (
            max(0, left - MARGIN),
            max(0, top - MARGIN),
            min(whole.width, right + MARGIN),
            min(whole.height, bottom + MARGIN, top + shot.height),
        )
        cut = whole.convert("RGB").crop(tuple(round(side) for side in part))
    cut.quantize(COLOURS).save(file, optimize=True)
    return file


if __name__ == "__main__":
    for taken in take({"default": Path(sys.argv[1]), "tutorial": Path(sys.argv[2])}, Path(sys.argv[3])):
        print(f"{taken}: {taken.stat().st_size // 1000} kB")
