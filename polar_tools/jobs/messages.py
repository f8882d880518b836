"""What a tool said last when it failed: the error in its log, for whoever only sees its status."""

from __future__ import annotations

import re
from pathlib import Path

TAIL, LONGEST = 65_536, 4_000
"""Bytes of a log that are looked at, and letters of a message."""
BEGINS = re.compile(r"^\s*[Ee]rror: (?=\S)")


def last(log: Path, begin: int) -> str | None:
    """The last error message in a log, behind its first `begin` bytes; without one its last lines; None where it is empty."""
    try:
        with log.open("rb") as file:
            file.seek(max(begin, log.stat().st_size - TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    places = [number for number, line in enumerate(lines) if BEGINS.match(line)]
    found = [BEGINS.sub("", lines[places[-1]]), *lines[places[-1] + 1 :]] if places else [line for line in lines if line.strip()][-3:]
    return "\n".join(found).strip()[:LONGEST] or None
