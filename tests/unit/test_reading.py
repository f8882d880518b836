"""Every format and every kind of bad row: what is read, what is said of the rest, and that no row is lost."""

import bz2
import gzip
import io
import json
import lzma
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polar_tools import reading
from polar_tools.errors import DataError, UserError
from polar_tools.filters.base import ROW
from polar_tools.formats import base

TEXTS = ["첫째 줄", 'he said "no", twice', "two\nlines", "", "NA", "007", "é,ü"]


def rows(folder: Path, format: str = "auto", quarantine: reading.Quarantine | None = None) -> list[dict[str, Any]]:
    """All rows below `folder`; every table is held to the contract on the way."""
    found: list[dict[str, Any]] = []
    schema = None
    for table in reading.read(folder, format, quarantine):
        schema = schema or table.schema
        assert table.schema == schema
        assert 0 < table.num_rows <= reading.ROWS
        table.validate(full=True)
        found += table.to_pylist()
    numbers = [row[ROW] for row in found]
    assert numbers == sorted(set(numbers))
    return found


def values(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != ROW} for row in found]


def complaint(folder: Path, format: str = "auto") -> str:
    with pytest.raises(DataError) as caught:
        rows(folder, format)
    return str(caught.value)


def set_aside(folder: Path, format: str = "auto") -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows that were read, and the reasons of those that were not, each with its raw bytes."""
    with reading.Quarantine(folder.parent / "quarantine") as quarantine:
        try:
            found = rows(folder, format, quarantine)
        except DataError as error:
            assert "were set aside" in str(error)
            found = []
    if not quarantine.count:
        assert not list((folder.parent / "quarantine").glob("*"))
        return found, []
    raw = (folder.parent / "quarantine/rows.bin").read_bytes()
    reasons = [json.loads(line) for line in (folder.parent / "quarantine/reasons.jsonl").read_text().splitlines()]
    assert len(reasons) == quarantine.count
    assert sum(reason["length"] for reason in reasons) == len(raw)
    return found, [{**reason, "raw": raw[reason["offset"] : reason["offset"] + reason["length"]]} for reason in reasons]


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Path]:
    """Writes files into a folder of their own."""

    def write(**files: bytes) -> Path:
        for name, data in files.items():
            path = tmp_path / "source" / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "source"

    return write


def as_csv(delimiter: str = ",", newline: str = "\n") -> bytes:
    import csv

    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline)
    writer.writerows([("id", "글"), *((str(number), text) for number, text in enumerate(TEXTS))])
    return out.getvalue().encode()


TABLE = [{"id": str(number), "글": text} for number, text in enumerate(TEXTS)]
JSONL = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in TABLE)


def as_parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(TABLE), out)
    return out.getvalue()


def as_arrow(stream: bool) -> bytes:
    out, table = io.BytesIO(), pa.Table.from_pylist(TABLE)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return out.getvalue()


FORMS = {
    "rows_csv": as_csv(),
    "crlf_csv": as_csv(newline="\r\n"),
    "bom_csv": b"\xef\xbb\xbf" + as_csv(),
    "semicolons_csv": as_csv(";"),
    "tabs_csv": as_csv("\t"),
    "bars_csv": as_csv("|"),
    "rows_tsv": as_csv("\t"),
    "open_csv": as_csv().removesuffix(b"\n"),
    "blank_csv": b"\n" + as_csv().replace(b"\n0,", b"\n\n0,") + b"\n\n",
    "rows_jsonl": JSONL,
    "rows_ndjson": JSONL,
    "crlf_jsonl": b"\xef\xbb\xbf" + JSONL.replace(b"\n", b"\r\n"),
    "blank_jsonl": JSONL.replace(b"\n", b"\n \n"),
    "list_json": json.dumps(TABLE, indent=1).encode(),
    "flat_json": b"\xef\xbb\xbf" + json.dumps(TABLE, ensure_ascii=False).encode(),
    "object_json": json.dumps({f"row {number}": row for number, row in enumerate(TABLE)}, indent=1).encode(),
    "rows_parquet": as_parquet(),
    "file_arrow": as_arrow(stream=False),
    "stream_arrow": as_arrow(stream=True),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_the_same_rows_reads_the_same(source: Callable[..., Path], name: str) -> None:
    found = rows(source(**{name: FORMS[name]}))
    assert values(found) == TABLE
    assert [row[ROW] for row in found] == list(range(len(TABLE)))


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": lambda data: pa.compress(data, "zstd", asbytes=True)}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["rows_csv", "rows_jsonl", "list_json", "rows_parquet", "file_arrow", "stream_arrow"])
def test_compressed(source: Callable[..., Path], name: str, packer: str) -> None:
    packed = PACKERS[packer](FORMS[name])
    folder = source(**{f"{name}_{packer}": packed})
    assert values(rows(folder)) == TABLE
    path = next(folder.iterdir())
    path.write_bytes(packed[: len(packed) // 2])
    assert f"{path.name} is damaged or cut off" in complaint(folder)
    path.write_bytes(b"no archive")
    assert f"{path.name} is damaged or cut off" in complaint(folder)


def test_text_is_a_row_a_line(source: Callable[..., Path]) -> None:
    folder = source(a_txt="\ufeff첫째\r\n\r\n  둘\x85째\n".encode(), b_txt=b"last")
    assert rows(folder) == [{"text": text, ROW: row} for row, text in enumerate(["첫째", "", "  둘\x85째", "last"])]


def test_files_follow_each_other_by_name_and_columns_by_the_first(source: Callable[..., Path]) -> None:
    folder = source(b__x_csv=b"b,a\n3,4\n", a_csv=b"a,b\n1,2\n", README_md=b"no data", **{".hidden__y_csv": b"z\n1\n"})
    assert rows(folder) == [{"a": "1", "b": "2", ROW: 0}, {"a": "4", "b": "3", ROW: 1}]
    assert values(rows(folder / "b/x.csv")) == [{"b": "3", "a": "4"}]


def test_one_type_a_column_over_all_files(source: Callable[..., Path]) -> None:
    folder = source(
        a_jsonl=b'{"a": null, "b": 1, "c": [], "d": {"x": 1}, "e": "2020-01-01"}\n',
        b_jsonl=b'{"b": 2.5, "a": "x", "c": ["y"], "d": {"z": "2020-01-01"}, "e": null}\n{"e": "12:00"}\n',
    )
    assert values(rows(folder)) == [
        {"a": None, "b": 1.0, "c": [], "d": {"x": 1, "z": None}, "e": "2020-01-01"},
        {"a": "x", "b": 2.5, "c": ["y"], "d": {"x": None, "z": "2020-01-01"}, "e": None},
        {"a": None, "b": None, "c": None, "d": None, "e": "12:00"},
    ]


def test_dictionaries_and_views_are_read_as_values(source: Callable[..., Path]) -> None:
    out = io.BytesIO()
    table = pa.table({"a": pa.array(["x", "y", "x"]).dictionary_encode(), "b": pa.array(["p", "q", "r"], pa.string_view())})
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    table = next(reading.read(source(rows_arrow=out.getvalue())))
    assert table.schema.types == [pa.string(), pa.string(), pa.int64()]
    assert table["a"].to_pylist() == ["x", "y", "x"]


BAD = [
    # what stands in the file, what is said of it, (row, raw bytes) of what is set aside
    ("rows_csv", b"a,b\n1,2\n1\n3,4\n", "rows.csv, line 3, column `b`: there is no value; the row has 1 of 2", (1, b"1\n")),
    ("rows_csv", b"a,b\r\n1,2,3\r\n3,4\r\n", "rows.csv, line 2, column 3: the header names 2 columns, the row has 3", (0, b"1,2,3\r\n")),
    ("rows_csv", b'a,b\n1,"2\n3,4\n5,6\n', "rows.csv, line 2, column `b`: a quote is opened and not closed", (0, b'1,"2\n')),
    ("rows_csv", b'a,b\n"x\ny",1\n1,"2"3\n5,6\n', "rows.csv, line 4, column `b`: text follows the closing quote", (1, b'1,"2"3\n')),
    ("rows_csv", b'a,b\n"x\ny",2\n1,p\xe9\n', "rows.csv, line 4, column `b`: byte 0xe9, byte 4 of line 4, is not UTF-8", (1, b"1,p\xe9\n")),
    ("rows_csv", b'a,b\n"x\ny\xff",2\n', "rows.csv, line 2, column `a`: byte 0xff, byte 2 of line 3, is not UTF-8", (0, b'"x\ny\xff",2\n')),
    ("rows_csv", b"a,b\n1,2\n\x001,3\n", "rows.csv, line 3, column `a`: a NUL byte, byte 1 of line 3", (1, b"\x001,3\n")),
    ("rows_csv", b"a,b\n1,2\n3\r4,5\n", "rows.csv, line 3, column `a`: a carriage return stands in a value", (1, b"3\r4,5\n")),
    ("rows_tsv", "글\t값\n1\t2\n1".encode(), "rows.tsv, line 3, column `값`: there is no value", (1, b"1")),
    ("rows_jsonl", b'{"a": 1}\n\n{"a": \n{"a": 2}', "rows.jsonl, line 3 is not JSON: Expecting value (character 7", (1, b'{"a": \n')),
    ("rows_jsonl", b'{"a": 1}\n[1]\n', "rows.jsonl, line 2 is not a JSON object but list", (1, b"[1]\n")),
    ("rows_jsonl", b'{"a": 1}\n{"a": 1} {"a": 2}\n', "rows.jsonl, line 2 is not JSON: Extra data", (1, b'{"a": 1} {"a": 2}\n')),
    ("rows_jsonl", b'{"a": 1, "a": 2}\n{"a": 1}\n', "rows.jsonl, line 1, column `a`: the key stands twice", (0, b'{"a": 1, "a": 2}\n')),
    ("rows_jsonl", b'{"a": 1}\n{"a": "x"}\n', "rows.jsonl, line 2, column `a`: changes from int to string", (1, b'{"a": "x"}\n')),
    ("rows_jsonl", b'{"a": [1]}\n{"a": {}}\n', "rows.jsonl, line 2, column `a`: changes from list to object", (1, b'{"a": {}}\n')),
    ("rows_jsonl", b'{"a": true}\n{"a": 0}\n', "rows.jsonl, line 2, column `a`: changes from bool to int", (1, b'{"a": 0}\n')),
    (
        "rows_jsonl",
        b'{"a": [1, "x"]}\n{"a": ["x"]}\n',
        "rows.jsonl, line 1, column `a`: changes from int to string",
        (0, b'{"a": [1, "x"]}\n'),
    ),
    ("rows_jsonl", b'{"a": 1}\n{"a": NaN}\n', "rows.jsonl, line 2 is not JSON: NaN is no number there", (1, b'{"a": NaN}\n')),
    ("rows_jsonl", b'{"a": "x"}\n{"a": "\xff"}\n', "rows.jsonl, line 2 is not UTF-8: byte 8 of the line is 0xff", (1, b'{"a": "\xff"}\n')),
    (
        "rows_jsonl",
        b'{"a": "x"}\n{"a": "\0"}\n',
        "rows.jsonl, line 2 is not JSON: Invalid control character at (character 8",
        (1, b'{"a": "\0"}\n'),
    ),
    (
        "rows_jsonl",
        b'{"a": "x"}\n{"a": "\\ud800"}\n',
        "rows.jsonl, line 2, column `a`: \\ud800 is half a letter",
        (1, b'{"a": "\\ud800"}\n'),
    ),
    ("rows_jsonl", b'{"a": 1}\n' + b'{"a": ' + b"[" * 99999 + b"]" * 99999 + b"}\n", "rows.jsonl, line 2 is nested too deeply", (1, None)),
    ("rows_jsonl", b'{"a": 1}\n{"a": 1e999}\n', "rows.jsonl, line 2 has a number that is too large: 1e999", (1, b'{"a": 1e999}\n')),
    ("rows_json", b'[{"a": 1},\n\n {"a":\n "x"}]', "rows.json, line 3, column `a`: changes from int to string", (1, b'{"a":\n "x"}')),
    (
        "rows_txt",
        b"one\ntwo\xff\nthree\n",
        "rows.txt, line 2, column `text`: byte 0xff, byte 4 of the line, is not UTF-8",
        (1, b"two\xff\n"),
    ),
    ("rows_txt", b"one\nthree\0", "rows.txt, line 2, column `text`: a NUL byte, byte 6 of the line", (1, b"three\0")),
]


@pytest.mark.parametrize(("name", "data", "says", "aside"), BAD)
def test_bad_rows(source: Callable[..., Path], name: str, data: bytes, says: str, aside: tuple[int, bytes | None]) -> None:
    folder = source(**{name: data})
    message = complaint(folder)
    assert message.startswith(says)
    assert message.endswith("; `on_bad_row: quarantine` would set such rows aside")
    found, reasons = set_aside(folder)
    assert [reason["row"] for reason in reasons] == [aside[0]]
    assert aside[1] in (None, reasons[0]["raw"])
    assert sorted([aside[0], *(row[ROW] for row in found)]) == list(range(len(found) + 1))


BAD_FILES = [
    ({"rows_csv": b""}, "rows.csv is empty: there is not even a header in it"),
    ({"rows_csv": b"a,b\n"}, "rows.csv: there is no row in it"),
    ({"rows_csv": b'a,"b\n1,2\n'}, "rows.csv, line 1: the header has a quote that is not closed"),
    ({"rows_csv": b"a,a\n1,2\n"}, "rows.csv, line 1: two columns are called `a`"),
    ({"rows_csv": b"a,\xff\n1,2\n"}, "rows.csv, line 1, column 2: byte 0xff, byte 3 of line 1, is not UTF-8"),
    ({"rows_csv": "a,b\n1,2\n".encode("utf-16")}, "rows.csv is written in UTF-16; save it as UTF-8"),
    ({"rows_csv": b"a,__row__\n1,2\n".replace(b"__", b"__")}, "rows.csv has a column `__row__`"),
    ({"rows_jsonl": b""}, "rows.jsonl: there is no row in it"),
    ({"rows_jsonl": b"\n\n"}, "rows.jsonl: there is no row in it"),
    ({"rows_jsonl": b"{}\n{}\n"}, "rows.jsonl has rows, but not a single column"),
    ({"rows_txt": b""}, "rows.txt: there is no row in it"),
    ({"rows_json": b"[]"}, "rows.json: there is no row in it"),
    ({"rows_json": b"{}"}, "rows.json: there is no row in it"),
    ({"rows_json": b""}, "rows.json is not valid json: line 1: a list or an object is expected"),
    ({"rows_json": b"[1, 2]"}, "rows.json, line 1: rows.json must hold records: a list of objects, or an object of objects"),
    ({"rows_json": b'{"a": '}, "rows.json is not valid json: line 1: Expecting value"),
    ({"rows_json": b'[{"a": 1}\n{"a": 2}]'}, "rows.json is not valid json: line 2: a comma or ] is expected"),
    ({"rows_json": b'[{"a": 1}]\n]'}, "rows.json is not valid json: line 2: there is more behind its end"),
    ({"rows_json": b'{"a": 1}\n{"a": 2}\n'}, "rows.json, line 1: rows.json must hold records"),
    ({"rows_json": '[\n{"a": "é"}]'.encode("latin-1")}, "rows.json is not valid json: line 2: byte 0xe9 is not UTF-8"),
    ({"rows_parquet": b"PAR1 no"}, "rows.parquet is not valid parquet"),
    ({"rows_parquet": as_parquet()[:-20]}, "rows.parquet is not valid parquet"),
    ({"rows_arrow": b"ARROW1 no"}, "rows.arrow is not valid arrow"),
    ({"rows_arrow": as_arrow(stream=True)[:-400]}, "rows.arrow is not valid arrow"),
    ({"README_md": b"hello"}, "holds no file that is known by its ending (.arrow"),
    ({"a_csv": b"a\n1\n", "b_jsonl": b"{}"}, "holds files of several formats (csv, jsonl); name the `format`"),
    ({"a_csv": b"a,b\n1,2\n", "b_csv": b"a\n1\n"}, "do not have the same columns: a.csv has `a`, `b`; b.csv has `a`"),
    ({"a_jsonl": b'{"a": 1}', "b_jsonl": b'{"b": 1}'}, "do not have the same columns: a.jsonl has `a`; b.jsonl has `b`"),
    ({"a_jsonl": b'{"a": 1}', "b_jsonl": b'{"a": "x"}'}, "b.jsonl, line 1, column `a`: changes from int to string"),
    ({"rows_pkl": b"\x80\x04.", "load_py": b"print()"}, "holds no file that is known by its ending"),
]


@pytest.mark.parametrize(("files", "says"), BAD_FILES)
def test_bad_files(source: Callable[..., Path], files: dict[str, bytes], says: str) -> None:
    folder = source()
    for name, data in files.items():
        folder.mkdir(exist_ok=True)
        (folder / name.replace("_", ".")).write_bytes(data)
    assert says in complaint(folder)


def test_named_format(source: Callable[..., Path]) -> None:
    folder = source(ratings_dat=b"a,b\n1,2\n")
    assert values(rows(folder, "csv")) == [{"a": "1", "b": "2"}]
    folder = source(lines_json=b'{"a": 1}\n{"a": 2}\n', README_md=b"no data")
    assert values(rows(folder, "jsonl")) == [{"a": 1}, {"a": 2}]
    with pytest.raises(UserError, match="did you mean `parquet`"):
        rows(folder, "parkett")


def test_all_rows_bad(source: Callable[..., Path]) -> None:
    assert set_aside(source(rows_csv=b"a,b\n1\n2\n"))[0] == []


def test_results_do_not_depend_on_where_pieces_end(source: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files, read in pieces of a few bytes and at once."""
    chance = random.Random(1)
    letters = ["a", "é", '"', '""', ",", "\n", "\r\n", "1", "\\", " "]
    for trial in range(60):
        data = "a,b\n" + "".join(chance.choices(letters, k=80))
        folder = source(rows_csv=data.encode())
        monkeypatch.setattr(base, "CHUNK", 1 << 20)
        whole = set_aside(folder)
        monkeypatch.setattr(base, "CHUNK", chance.randint(7, 40))
        assert set_aside(folder) == whole, (trial, data)


def test_types_do_not_depend_on_where_pieces_end(source: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns that come late, fractions after whole numbers, rows that are wrong: read in pieces of a few rows and at once."""
    chance = random.Random(3)
    values = {
        "a": ["1", "null", "-7", "3"],
        "b": ['"x"', '"2020-01-01"', "null", '"y"'],
        "c": ["[]", "[1]", "null", "[null]"],
        "d": ['{"x": 1}', "{}", "null", '{"y": "z"}'],
    }
    rare = ["2.5", "NaN", "1e999", '"\\ud800"', '"\xff"', "[[]]", '{"x": 2.5}', "99999999999999999999", "true", '"12:00"']
    for trial in range(60):
        lines = []
        for _ in range(40):
            names = chance.sample(sorted(values), k=chance.randint(1, 4))
            told = {name: chance.choice(rare if chance.random() < 0.03 else values[name]) for name in names}
            lines.append("{" + ", ".join(f'"{name}": {value}' for name, value in told.items()) + "}\n")
        folder = source(rows_jsonl="".join(lines).encode("latin-1"))
        monkeypatch.setattr(base, "CHUNK", 1 << 20)
        whole = set_aside(folder)
        monkeypatch.setattr(base, "CHUNK", chance.randint(60, 400))
        assert set_aside(folder) == whole, (trial, lines)


def test_the_first_bad_row_is_told_wherever_it_stands(source: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "CHUNK", 300)
    good = b'{"a": 1.5, "b": "some words"}\n'
    for wrong in (b'{"a": NaN, "b": ""}\n', b'{"a": 1, "b": "\xff"}\n', b'{"a": "", "b": ""}\n'):
        folder = source(rows_jsonl=good * 200 + wrong + good * 200 + b'{"a": \n')
        assert complaint(folder).startswith("rows.jsonl, line 201")


def damaged(lines: list[bytes], chance: random.Random) -> bytes:
    """One byte in some places lost, doubled, or turned into another; line breaks stay."""
    data = bytearray(b"".join(lines))
    for _ in range(8):
        at = chance.randrange(20, len(data))
        if data[at] != ord("\n"):
            data[at : at + 1] = chance.choice([b"", b'"', b"\xff", b"\0", b",", b"{", bytes(data[at : at + 1]) * 2])
    return bytes(data)


@pytest.mark.parametrize("name", ["rows_csv", "rows_jsonl", "rows_txt"])
def test_no_row_is_lost_whatever_the_damage(source: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    chance = random.Random(2)
    monkeypatch.setattr(base, "CHUNK", 500)
    quoted = [b'%d,"row, %d"\n' % (number, number) for number in range(100)]
    objects = [b'{"id": %d, "text": "row %d"}\n' % (number, number) for number in range(100)]
    lines = {"rows_csv": [b"id,text of the rows\n", *quoted], "rows_jsonl": objects, "rows_txt": objects}[name]
    for _ in range(40):
        data = damaged(lines, chance)
        found, reasons = set_aside(source(**{name: data}))
        numbers = [row[ROW] for row in found] + [reason["row"] for reason in reasons]
        assert sorted(numbers) == list(range(len(numbers)))
        assert all(reason["raw"] in data for reason in reasons)
        unhurt = set(lines[1:]) & set(data.splitlines(keepends=True))
        assert sum(line.strip() != b"" for line in data.splitlines()) >= len(numbers) >= 0.9 * (len(lines) - 1)
        if name != "rows_csv":
            assert len(numbers) == len(lines)
            assert len(found) >= len(unhurt)
        else:
            kept = {row["id"] for row in found}
            assert sum(line.split(b",")[0].decode() in kept for line in unhurt) >= 0.9 * len(unhurt) - 1


def test_long_values_and_many_columns(source: Callable[..., Path]) -> None:
    long = "ab\n" * (3 << 20)
    folder = source(rows_csv=f'a,b\n"{long}",x\ny,z\n'.encode())
    assert [len(row["a"]) for row in rows(folder)] == [len(long), 1]
    folder = source(rows_jsonl=json.dumps({"a": long}).encode() + b'\n{"a": "x"}\n')
    assert [len(row["a"]) for row in rows(folder / "rows.jsonl")] == [len(long), 1]


def picture(size: int = 8) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (size, size), "red").save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_images(source: Callable[..., Path], tmp_path: Path, suffix: str) -> None:
    names = ["cats/1.png", "broken.png", "missing.png", "../secret.png", "2.png"]
    table = pa.table({"file_name": names, "text": ["하나", "b", "c", "d", "둘"]})
    write = {
        "csv": lambda path: path.write_text(
            "file_name,text\n" + "".join(f"{row['file_name']},{row['text']}\n" for row in table.to_pylist())
        ),
        "jsonl": lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist())),
        "parquet": lambda path: pq.write_table(table, path),
    }
    folder = source(**{"cats__1_png": picture(), "broken_png": picture(99)[:80], "2_png": picture(16)})
    (tmp_path / "secret.png").write_bytes(picture())
    write[suffix](folder / f"metadata.{suffix}")
    found, reasons = set_aside(folder)
    assert values(found) == [
        {"image": {"bytes": picture(), "path": "cats/1.png"}, "text": "하나"},
        {"image": {"bytes": picture(16), "path": "2.png"}, "text": "둘"},
    ]
    assert [reason["row"] for reason in reasons] == [1, 2, 3]
    first = {"csv": 2, "jsonl": 1, "parquet": None}[suffix]
    assert [reason["line"] for reason in reasons] == [first and first + number for number in (1, 2, 3)]
    for reason, part in zip(
        reasons, ["broken.png is not a picture", "there is no picture missing.png", "leads out of the folder"], strict=True
    ):
        assert reason["column"] == "file_name"
        assert part in reason["reason"]
    assert complaint(folder).startswith(
        f"metadata.{suffix}, {'row 2' if suffix == 'parquet' else f'line {first + 1}'}, column `file_name`: broken"
    )


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_several_images_a_row(source: Callable[..., Path], suffix: str) -> None:
    rows = [{"file_names": names, "text": str(number)} for number, names in enumerate([[], ["a.png", "b.png"], None, ["a.png", "no.png"]])]
    folder = source(a_png=picture(), b_png=picture(16))
    if suffix == "jsonl":
        (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
    found, reasons = set_aside(folder)
    stored = [{"bytes": picture(), "path": "a.png"}, {"bytes": picture(16), "path": "b.png"}]
    assert [(row["text"], row["images"]) for row in values(found)] == [("0", []), ("1", stored), ("2", [])]
    assert [(reason["row"], reason["column"], reason["reason"]) for reason in reasons] == [(3, "file_names", "there is no picture no.png")]


def test_images_without_names(source: Callable[..., Path]) -> None:
    assert "has both `file_name` and" in complaint(
        source(metadata_jsonl=b'{"file_name": "a.png", "file_names": ["a.png"]}\n', a_png=picture())
    )
    (source() / "metadata.jsonl").unlink()
    assert "`file_names` must hold lists" in complaint(source(metadata_csv=b"file_names\na.png\n", a_png=picture()))
    assert "no column `file_name`" in complaint(source(metadata_csv=b"name\na.png\n", a_png=picture()))
    assert "holds nothing that could be read as `images`" in complaint(source(rows_csv=b"a\n1\n") / "rows.csv", "images")


def test_saved_by_datasets(tmp_path: Path) -> None:
    import datasets

    splits = {name: datasets.Dataset.from_list([{"text": f"{name} {row}", "n": row} for row in range(25)]) for name in ("train", "test")}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "all", num_shards={"train": 3, "test": 1})
    assert "train_data_split: train" in complaint(tmp_path / "all")
    assert [row["text"] for row in rows(tmp_path / "all/train")] == [f"train {row}" for row in range(25)]
    next((tmp_path / "all/train").glob("*-00001-*.arrow")).unlink()
    assert "which is not there; copy the whole folder" in complaint(tmp_path / "all/train")


def test_large_file_in_little_memory(source: Callable[..., Path]) -> None:
    line = b'%d,"' + b"some words of text, " * 50 + b'"\n'
    folder = source(rows_csv=b"id,text\n" + b"".join(line % row for row in range(200_000)))
    assert (folder / "rows.csv").stat().st_size > 200e6
    program = (
        "import resource, sys; from pathlib import Path; import pyarrow.csv, numpy; from polar_tools import reading;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "rows = sum(table.num_rows for table in reading.read(Path(sys.argv[1])));"
        "print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True, env=os.environ)
    count, grown = map(int, done.stdout.split())
    assert count == 200_000
    assert grown < 300_000
