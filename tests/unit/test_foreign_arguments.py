"""Arguments out of what people have them in: environment files, scripts of Python and of the shell, YAML, JSON, command lines."""

import re
from pathlib import Path
from typing import Any

import pytest

from polar_tools import foreign_arguments
from polar_tools.errors import UserError
from polar_tools.foreign_arguments import Computed


def read(folder: Path, name: str, text: str, *words: str) -> dict[str, Any]:
    (folder / name).write_text(text, encoding="utf-8")
    return foreign_arguments.read([folder / name], words)


def test_an_environment_file(tmp_path: Path) -> None:
    text = '# a comment\nexport model="org/a model"  # said\n\nrows=5\nrate=1e-4\nflag=True\nempty=\nname=2024_01\nlist=a,b\n'
    said = {"model": "org/a model", "rows": 5, "rate": 1e-4, "flag": True, "empty": None, "name": "2024_01", "list": "a,b"}
    assert read(tmp_path, ".env", text) == said


def test_a_script_is_not_run(tmp_path: Path) -> None:
    text = (
        "import os\nos.abort()\nrate = 1e-4\nnames: list[str] = ['a', 'b']\ntoken = os.environ['T']\nsize = 2 * rate\na = b = 1\nx[0] = 2\n"
    )
    assert read(tmp_path, "train.py", text) == {
        "rate": 1e-4,
        "names": ["a", "b"],
        "token": Computed(f"{tmp_path / 'train.py'}:5"),
        "size": Computed(f"{tmp_path / 'train.py'}:6"),
    }


def test_mappings_become_names_with_dots_and_references_are_filled_in(tmp_path: Path) -> None:
    text = "a: {b: 1, c: {d: rows}}\ne: ${a.c.d}/train.csv\nf: ${now:%Y}\ng: []\nh: {}\n"
    assert read(tmp_path, "c.yaml", text) == {"a.b": 1, "a.c.d": "rows", "e": "rows/train.csv", "f": "${now:%Y}", "g": []}
    assert read(tmp_path, "c.json", '{"a": {"b": null}}') == {"a.b": None}


def test_a_command_line_counts_more_than_files(tmp_path: Path) -> None:
    words = ["--rate=2", "--flag", "--no-thing", "--many", "a", "b", "--steps", "-1"]
    said = read(tmp_path, "c.json", '{"rate": 1, "other": 3}', *words)
    assert said == {"rate": 2, "other": 3, "flag": True, "no-thing": True, "many": ["a", "b"], "steps": -1}


SCRIPT = """\
#!/bin/bash
set -e
HERE="$(cd "$(dirname "$0")/.." && pwd)"
NAME=${1:-first}
RATE=1e-4   # of learning
GPUS=$(nvidia-smi -L | wc -l)
echo --not "an option of $NAME"
python -c "import torch" --ignored
mkdir -p "$HERE/out"
CUDA_VISIBLE_DEVICES=0,1 accelerate launch --num_processes 2 \\
    --mixed_precision bf16 "$HERE/train.py" "$HERE/settings.json" --name "$NAME" \\
    --rate ${RATE} --gpus $GPUS --text "a b" "$@" 2>&1 | tee log
"""


def test_a_shell_script_says_what_its_one_training_is_told(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "settings.json").write_text('{"rate": 5, "from_file": true}')
    said = read(tmp_path / "inner", "run.sh", SCRIPT)
    assert said == {"nproc_per_node": 2, "rate": 1e-4, "from_file": True, "name": "first", "text": "a b"}, (
        "$GPUS is known only to who runs it"
    )


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.env", "good=1\ntoken hf_canary\n", "a.env:2: the line is not of the form NAME=VALUE"),
        ("a.env", "token='hf_canary\n", "a.env:1: no closing quotation; quotes come in pairs"),
        ("a.yaml", "good: 1\ntoken: 'hf_canary\n", "a.yaml:3: no YAML"),
        ("a.json", '{"token": "hf_canary}', "a.json:1: no JSON"),
        ("a.json", '["hf_canary"]', "must hold a mapping"),
        ("a.py", "token = 'hf_canary\n", "a.py:1: no Python"),
        ("a.sh", "echo hf_canary\n", "a.sh has 0 commands that start a training"),
        ("a.sh", "python a.py --x 1\npython b.py --token hf_canary\n", "a.sh has 2 commands"),
        ("a.sh", "python a.py --config hf_canary.json\n", "which is neither here nor beside it"),
    ],
)
def test_what_cant_be_read_is_said_without_showing_it(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        read(tmp_path, name, text)
    assert "hf_canary" not in str(caught.value).replace("hf_canary.json", "")


def test_a_word_that_belongs_to_nothing_isnt_shown_either() -> None:
    with pytest.raises(UserError, match="a word stands before all options") as caught:
        foreign_arguments.read([], ["hf_canary"])
    assert "hf_canary" not in str(caught.value)
    with pytest.raises(UserError, match="there is no file nowhere.env"):
        foreign_arguments.read([Path("nowhere.env")])
