"""`docs/faults.md`: what a copy does when a call goes wrong, as the tests saw it. Several tests write it, each the cells that it fills."""

import re
import tempfile
from pathlib import Path

from filelock import FileLock

from tests.tiny import REPOSITORY

PAGE = REPOSITORY / "docs" / "faults.md"
FIX = "pytest tests/contract/test_faults.py --fix -m 'slow or not slow'"
SURVIVED = "survived"
INTRODUCTION = f"""\
# When a call goes wrong

What `polar-tools pull-push` does about each fault at each kind of call; `{FIX}` writes this anew from what the tests see.
*{SURVIVED}* is a copy that ended exact, with status 0 and no commit or file twice. A number is an end with the message below, another
exit status, and nothing temporary left; whole files stay, and the same command ended exact when the fault was over.
"""
Cells = dict[tuple[str, str, str], str]
"""Outcomes by section, call and fault."""


def plain(message: str) -> str:
    """The message of an error without what differs from run to run: ports, buckets, hashes, and who first noticed a broken connection."""
    text = message.partition("error: ")[2].strip()
    for pattern, word in [
        (r"127\.0\.0\.1:\d+", "HOST"),
        (r"polar-[0-9a-f]{12}", "BUCKET"),
        (r"\b[0-9a-f]{40,64}\b", "HASH"),
        (r"\b\w+(Error|Exception)\b", "an error of the connection"),
    ]:
        text = re.sub(pattern, word, text)
    return text


def render(cells: Cells) -> str:
    """The page."""
    notes: list[str] = []
    parts = [INTRODUCTION]
    for section in dict.fromkeys(section for section, _, _ in cells):
        here = {(call, fault): text for (part, call, fault), text in cells.items() if part == section}
        faults, calls = sorted({fault for _, fault in here}), sorted({call for call, _ in here})
        rows = [f"| call | {' | '.join(faults)} |", f"|---|{'---|' * len(faults)}"]
        for call in calls:
            marks = [_mark(here.get((call, fault)), notes) for fault in faults]
            rows.append(f"| {call} | {' | '.join(marks)} |")
        parts.append("\n".join([f"## {section}", "", *rows, ""]))
    parts.append("\n".join(["## How it ends", "", *(f"{number}. {note}" for number, note in enumerate(notes, 1)), ""]))
    return "\n".join(parts)


def _mark(text: str | None, notes: list[str]) -> str:
    if text in (None, SURVIVED):
        return text or ""
    if text not in notes:
        notes.append(str(text))
    return f"ends ({notes.index(str(text)) + 1})"


def read(page: Path = PAGE) -> Cells:
    """The cells as they are written."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    notes = dict(re.findall(r"^(\d+)\. (.+)$", text, re.MULTILINE))
    cells: Cells = {}
    for section, body in re.findall(r"^## (.+)\n\n((?:\|.*\n)+)", text, re.MULTILINE):
        head, _, *rows = ([word.strip() for word in line.strip("|").split("|")] for line in body.splitlines())
        for call, *marks in rows:
            for fault, mark in zip(head[1:], marks, strict=True):
                number = re.search(r"\((\d+)\)", mark)
                if mark:
                    cells[section, call, fault] = notes[number[1]] if number else mark
    return cells


def check(seen: Cells, fix: bool) -> None:
    """What was seen is what the page says; with `fix` the page says what was seen."""
    with FileLock(Path(tempfile.gettempdir(), "polar-faults.lock")):
        if fix:
            cells = read() | seen
            PAGE.write_text(render({cell: cells[cell] for cell in sorted(cells)}), encoding="utf-8")
        written = read()
    assert {cell: written.get(cell) for cell in seen} == seen, f"docs/faults.md is not what happens any more: run {FIX}"
