"""What a report looks like, as a small PNG for the documentation: `make pictures`."""

import sys
from pathlib import Path

from PIL import Image

from tests import browser

SIZE = (1180, 1500)
COLOURS = 128
"""Few are enough for text and lines, and keep the file small."""


def take(report: Path, folder: Path) -> Path:
    """The upper part of the overview in `report`, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "report.png"
    with browser.opened() as chromium:
        chromium.open(report / "index.html", SIZE)
        chromium.picture(file)
    with Image.open(file) as whole:
        cut = whole.convert("RGB").crop((0, 0, SIZE[0], min(SIZE[1], whole.height)))
    cut.quantize(COLOURS).save(file, optimize=True)
    return file


if __name__ == "__main__":
    taken = take(Path(sys.argv[1]), Path(sys.argv[2]))
    print(f"{taken}: {taken.stat().st_size // 1000} kB")
