"""A config as text: the same config when it is read again, with a line by which editors find the schema."""

import json
import re
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest
import yaml

from polar_tools import config, config_text
from tests import tiny

ODD = {
    "models": {"mine": {"source": "hf://org/name@main", "sha256": None}},
    "run": {
        "notes": "two, and: three # not a comment\n  of several lines\n\n",
        "words": ["yes", "on", "1e-5", "2024-01-01", "", " ", "a, b", "[x]", "{{ x }}", "- x", "한국어 🙂", "\t", "it's", '"', "\\n"],
        "numbers": [1e-5, 1e-05 * 3, 2.0, 1e16, 0, -1, float("inf")],
        "nested": [{"name": "regex", "pattern": "a, b"}, ["x", {"y": []}]],
        "empty": {},
        "yes": True,
        "none": None,
    },
}
LINE = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")
CONFIGS = sorted((tiny.REPOSITORY / "config").rglob("*.yaml"))


@pytest.mark.parametrize("data", [ODD, yaml.safe_load(tiny.CONFIG), *(config.read(path) for path in CONFIGS[:5])])
def test_reads_back_as_what_it_was(data: dict) -> None:
    assert yaml.safe_load(config_text.document(data)) == data


def test_comments_stand_above_their_fields() -> None:
    text = config_text.document({"a": {"b": {"c": 1}, "d": 2}}, {"a.b.c": "of c\nmore", "a": "of a"}, head="first")
    assert text.splitlines()[1:] == ["# first", "# of a", "a:", "  b:", "    # of c", "    # more", "    c: 1", "  d: 2"]


def test_schema_is_found_from_where_the_file_lies(tmp_path: Path) -> None:
    (tmp_path / "project/workflow/schemas").mkdir(parents=True)
    (tmp_path / "project/workflow/schemas/config.schema.json").write_text("{}")
    (tmp_path / "project/config").mkdir()
    inside = LINE.match(config_text.document({"a": {}}, folder=tmp_path / "project/config"))
    outside = LINE.match(config_text.document({"a": {}}, folder=tmp_path))
    assert inside and outside
    assert inside[1] == "../workflow/schemas/config.schema.json"
    packaged = Path(url2pathname(urlparse(outside[1]).path))
    assert json.loads(packaged.read_bytes())["title"] == "Config"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(tiny.REPOSITORY)))
def test_editors_find_the_schema_of_every_config_of_ours(path: Path) -> None:
    line = LINE.match(path.read_text(encoding="utf-8"))
    assert line, f"{path} doesn't begin with the line for editors"
    assert (path.parent / line[1]).resolve() == tiny.REPOSITORY / "workflow/schemas/config.schema.json"


def test_a_converted_config_names_the_schema(tmp_path: Path) -> None:
    told = ["--training_method", "clm", "--use_sfttrainer", "true", "--model_name_or_path", "org/name", "--train_data", "org/rows"]
    printed = tiny.inside("convert", "--from", "polar_trainer", "--", *told, cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    line = LINE.match(printed.stdout)
    assert line and Path(url2pathname(urlparse(line[1]).path)).is_file()
