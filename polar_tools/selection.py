"""Which files of a source hold the rows of a part: by name, by folder, or by the word for a split in their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from polar_tools.errors import DataError
from polar_tools.fields import did_you_mean

if TYPE_CHECKING:
    from polar_tools.formats.base import File

TRAIN = ("train", "training")
HELD_OUT = ("test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation")
SHOWN = 8
"""Files that a message names at most."""


@dataclass(frozen=True)
class Selection:
    """What is asked for; nothing of it means all files. `without` are taken by another part and left out unless asked for by name."""

    data: tuple[str, ...] = ()
    dir: str | None = None
    split: str | None = None
    without: Selection | None = None

    def of(self, files: Sequence[File], field: str) -> list[File]:
        """The files asked for, in their order; `field` is what the config calls them. Raises DataError for what isn't there."""
        chosen = list(files)
        if self.dir is not None:
            chosen = _some([file for file in chosen if file.name.startswith(f"{self.dir.strip('/')}/")], f"{field}_dir", self.dir, files)
        if self.split is not None:
            chosen = _some(_of_split(chosen, self.split), f"{field}_split", self.split, files)
        for pattern in self.data:
            _some([file for file in chosen if fnmatchcase(file.name, pattern)], field, pattern, chosen)
        if self.data:
            chosen = [file for file in chosen if any(fnmatchcase(file.name, pattern) for pattern in self.data)]
        if self.without is not None and not self.asks():
            taken = {file.name for file in self.without.of(files, field)} if self.without.asks() else set()
            chosen = [file for file in chosen if file.name not in taken]
        return chosen

    def asks(self) -> bool:
        """Whether some files are asked for, rather than all."""
        return bool(self.data) or self.dir is not None or self.split is not None


ALL = Selection()


def refuse_unasked_splits(files: Sequence[File]) -> None:
    """Raise DataError where the files' names tell of a part to train on and of one held out: all of them as one would leak."""
    said = [({word for word in TRAIN if _says(file, word)}, {word for word in HELD_OUT if _says(file, word)}) for file in files]
    train = {word for own, other in said for word in own if not other}
    held_out = {word for own, other in said for word in other if not own}
    if train and held_out:
        one, other = min(train), min(held_out)
        raise DataError(
            f"the files are of several splits ({', '.join(sorted(train | held_out))}): {_listed(files)}. Say which are trained on: "
            f"`train_data_split: {one}`, with `test_data_split: {other}` for those held out, or `train_data: '*'` for all of them as one"
        )


def _of_split(files: Sequence[File], split: str) -> list[File]:
    """The files that say the split; where none says any, they are those of the one to train on, as `datasets` has it."""
    said = [file for file in files if _says(file, split)]
    alone = split in TRAIN and not any(_says(file, word) for file in files for word in (*TRAIN, *HELD_OUT))
    return list(files) if alone else said


def _says(file: File, word: str) -> bool:
    """Whether `word` stands by itself in the file's name or in that of its folder."""
    return re.search(rf"(?:^|[/._-]){re.escape(word)}(?:[/._-]|$)", file.name) is not None


def _some(found: list[File], field: str, asked: str, files: Sequence[File]) -> list[File]:
    if not found:
        hint = did_you_mean(asked, [file.name for file in files])
        raise DataError(f"{field}: nothing in the source fits `{asked}`{hint}; it holds {_listed(files)}")
    return found


def _listed(files: Sequence[File]) -> str:
    more = f" and {len(files) - SHOWN:,} more" if len(files) > SHOWN else ""
    return ", ".join(f"`{file.name}`" for file in files[:SHOWN]) + more
