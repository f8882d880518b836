"""Values between tabs, all of them text; quoted as in CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from polar_tools.formats import csv

if TYPE_CHECKING:
    import pyarrow as pa

    from polar_tools.formats.base import File, OnBad

SUFFIXES = (".tsv", ".tab")


def schema(file: File, known: pa.Schema | None) -> pa.Schema:
    """The columns of the header, all text."""
    return csv.delimited_schema(file, "\t")


def read(file: File, schema: pa.Schema, bad: OnBad) -> Iterator[pa.Table]:
    """The rows of `file`."""
    return csv.delimited(file, schema, bad, "\t")


def places(file: File) -> Iterator[tuple[int, bytes]]:
    """Line and raw bytes of every row of `file`."""
    return csv.delimited_places(file, "\t")
