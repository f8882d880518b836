"""Lines of a file that grows, each read once; a file that was begun anew is read anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Tail:
    """The JSON lines of `file`, as they come."""

    def __init__(self, file: Path) -> None:
        self.file, self._at, self._last = file, 0, b""

    def read(self) -> list[dict[str, Any]]:
        """The objects of the whole lines that are new since the last call; none where there is no file."""
        try:
            with self.file.open("rb") as file:
                if not self._is_where_it_was(file):
                    self._at, self._last = 0, b""
                file.seek(self._at)
                lines = file.read().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        whole = [line for line in lines if line.endswith(b"\n")]
        if whole:
            self._at, self._last = self._at + sum(map(len, whole)), whole[-1]
        return [one for one in map(_object, whole) if one is not None]

    def _is_where_it_was(self, file: Any) -> bool:
        """Whether the line that was read last still stands before what comes now."""
        file.seek(self._at - len(self._last))
        return bool(file.read(len(self._last)) == self._last)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
