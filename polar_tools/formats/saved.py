"""A folder that `datasets` wrote with save_to_disk: one dataset, or one in each subfolder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from polar_tools.errors import DataError
from polar_tools.formats import arrow

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.formats.base import File, OnBad

SUFFIXES = (".arrow",)
MARKS = ("state.json",)


def select(files: Sequence[File]) -> list[File]:
    """The files that the datasets' states list, in their order; raises DataError where one is not there."""
    return [file for state in files if state.path.name in MARKS for file in _listed(state, files)]


def schema(file: File, known: pa.Schema | None) -> pa.Schema:
    """The columns of `file`."""
    return arrow.schema(file, known)


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows of `file`."""
    return arrow.read(file, schema, bad)


def _listed(state: File, files: Sequence[File]) -> Iterator[File]:
    there = {file.path: file for file in files}
    try:
        names = [entry["filename"] for entry in json.loads(state.path.read_bytes())["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{state.name} does not list the files of a dataset saved by `datasets`") from error
    for name in names:
        if state.path.parent / str(name) not in there:
            raise DataError(f"{state.name} lists {name}, which is not there; copy the whole folder")
        yield there[state.path.parent / str(name)]
