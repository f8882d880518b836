"""Read files as tables, write tables as files. A table is a pyarrow.Table; a row is a dictionary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools.errors import DataError
from polar_tools.fields import did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}


def read_files(folder: Path, format: str) -> pa.Table:
    """All files of one format below `folder`, one behind the other in the order of their names; raises DataError."""
    import pyarrow as pa

    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and (format != "auto" or path.suffix.lower() in FORMATS)]
    kinds = {FORMATS[path.suffix.lower()] for path in files} if format == "auto" else {format}
    if not files:
        raise DataError(f"{folder} holds no file that is known by its ending ({', '.join(FORMATS)}); name the `format`")
    if len(kinds) > 1:
        raise DataError(f"{folder} holds files of several formats ({', '.join(sorted(kinds))}); name the `format`, or narrow the source")
    tables = [_read_file(path, next(iter(kinds))) for path in files]
    try:
        table = pa.concat_tables(tables)
    except pa.ArrowInvalid as error:
        raise DataError(f"the files in {folder} do not have the same columns: {error}") from error
    if table.num_rows == 0:
        raise DataError(f"{', '.join(path.name for path in files)}: there is no row in it")
    return table


def choose_columns(table: pa.Table, columns: dict[str, str]) -> pa.Table:
    """`table` with only the columns named, under their new names; raises DataError for one that isn't there."""
    for column in columns.values():
        if column not in table.column_names:
            known = ", ".join(f"`{name}`" for name in table.column_names)
            raise DataError(f"there is no column `{column}`{did_you_mean(column, table.column_names)}; the data has {known}")
    return table.select(list(columns.values())).rename_columns(list(columns)) if columns else table


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


def write_table(table: pa.Table, file: Path) -> None:
    """`table` as a Parquet file, the same bytes for the same rows."""
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(None), file)


def write_rows(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """`rows`, all of the same columns, as a Parquet file."""
    import pyarrow as pa

    write_table(pa.Table.from_pylist(list(rows)), file)


def _read_file(path: Path, format: str) -> pa.Table:
    import pyarrow as pa

    readers = {"json": _read_json, "jsonl": _read_jsonl, "csv": _read_csv, "tsv": _read_csv, "parquet": _read_parquet}
    try:
        return readers[format](path)
    except (UnicodeDecodeError, json.JSONDecodeError, pa.ArrowException) as error:
        raise DataError(f"{path.name} is not valid {format}: {error}") from error


def _read_json(path: Path) -> pa.Table:
    """A list of records, or an object whose values are records."""
    data = json.loads(path.read_text(encoding="utf-8"))
    return _from_records(list(data.values()) if isinstance(data, dict) else data, path)


def _read_jsonl(path: Path) -> pa.Table:
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise DataError(f"{path.name}, line {number} is not JSON: {error}") from error
    return _from_records(records, path)


def _from_records(records: Any, path: Path) -> pa.Table:
    import pyarrow as pa

    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise DataError(f"{path.name} must hold records: a list of objects, or an object of objects")
    names = list(dict.fromkeys(name for record in records for name in record))
    return pa.Table.from_pylist([{name: record.get(name) for name in names} for record in records])


def _read_csv(path: Path) -> pa.Table:
    """Every column as text: numbers and words such as NA stay what they are."""
    import pyarrow as pa
    from pyarrow import csv

    parse = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",", newlines_in_values=True)
    with csv.open_csv(path, parse_options=parse) as stream:
        names = stream.schema.names
    convert = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return csv.read_csv(path, parse_options=parse, convert_options=convert)


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(path)
