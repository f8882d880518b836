"""What every command promises: a help that teaches by example, JSON for programs, one form of error, no colours where nobody asked."""

import contextlib
import errno
import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from polar_tools import arguments, cli, tools
from tests import tiny
from tests.tiny import inside, run

NOT_JSON = {
    "chat": "talks with a person",
    "predict": "writes JSON lines as they come",
    "schema": "writes nothing but JSON",
    "completion": "writes a script for a shell",
    "new-method": "writes a Python file",
    "init": "asks a person",
    "llm": "is AutoTrain's command line as it is",
    "run": "is snakemake",
}
"""Commands that don't take --json, and why."""
ASKED: dict[str, list[str]] = {
    "check": [],
    "compare": ["say:base", "say", "--samples", "200"],
    "diagnose": ["say"],
    "diff": ["say", "sort"],
    "impact": ["file://assets/rows.csv"],
    "lineage": ["say/seed0", "sayings", "rougeL"],
    "outdated": [],
    "plan": [],
    "score": ["results/say/seed0/evaluate/sayings/predictions.jsonl", "--metrics", "exact_match"],
    "status": ["--below", "results/say"],
    "track": ["--tracker", "tensorboard", "-o", "tensorboard.log_dir=events"],
    "verify": ["results/say/tokenize"],
    "why": [],
    "convert": ["flat.env"],
    "prepare": ["--source", "rows.csv", "--output", "../prepared"],
    "pull-push": ["--source", "file://assets/llama", "--target", "file://../copy"],
    "export-crate": ["results/say/tokenize", "--output", "../crate", "--license", "https://spdx.org/licenses/MIT"],
    "doctor": [],
    "publish": ["results/say/seed0/train", "--target", "./../published", "--dry-run", "--waive", "licenses=made up for a test"],
}
"""What is asked of each in a finished project; what is not here takes a training or a model: it is asked where that is there."""
ELSEWHERE = {"train", "evaluate", "preflight", "reproduce", "bundle"}
WRONG: dict[str, list[str]] = {
    "check": ["nothing.yaml"],
    "compare": ["nothing", "say"],
    "diagnose": ["nothing"],
    "lineage": ["nothing/seed0"],
    "plan": ["nothing.yaml"],
    "score": ["nothing.jsonl"],
    "status": ["nothing.yaml"],
    "convert": ["nothing.env"],
    "why": ["results/nothing"],
    "doctor": ["nothing.yaml"],
    "prepare": ["--source", "nothing.csv", "--output", "../prepared2"],
}
ESCAPE = "\x1b"
EMPTY = '""'
"""An empty word of a shell's."""


@pytest.fixture
def there(finished: Path) -> Path:
    """A finished project, with what the commands are given besides."""
    return finished


@pytest.mark.parametrize("name", tools.names())
def test_help_teaches_by_an_example_that_the_command_takes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = re.sub(r"\\\n\s*", "", str(tools.load(name).help))
    lines = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    examples = [part for line in lines for part in line.split(" | ") if part.startswith(f"polar-tools {name}")]
    assert examples, f"`polar-tools {name} --help` shows no example"
    for example in examples:
        words = shlex.split(re.split(r" [<>] |  #", example)[0])[2:]
        for word in words:
            _be_there(word)
        if words and words[-1] == "--help":
            continue
        tools.load(name).make_context(name, words)


def _be_there(word: str) -> None:
    """Something of that name, where a word may be a path: some commands want to see it."""
    if re.fullmatch(r"[\w./-]+", word) and not word.startswith(("-", "/", ".")) and not Path(word).exists():
        path = Path(word)
        (path.parent if path.suffix else path).mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.touch()


@pytest.mark.parametrize("name", tools.names())
def test_every_command_has_json_where_a_program_may_read(name: str) -> None:
    params = arguments.taken(tools.load(name).params)
    by_spec = [param for param in params if param != "help"] == ["spec"]
    assert ("json" in params) != (by_spec or name in NOT_JSON)
    assert by_spec or name in NOT_JSON or name in ASKED or name in ELSEWHERE, f"say in {Path(__file__).name} how {name} is asked for JSON"


def test_with_json_there_is_one_document_and_nothing_else(project: Path) -> None:
    (project / "flat.env").write_text("training_method=clm\nuse_sfttrainer=true\nmodel_name_or_path=org/name\ntrain_data=org/rows\n")
    shutil.copy(project / "assets/rows.csv", project / "rows.csv")
    (project / "rows.csv").write_text((project / "rows.csv").read_text().replace("question,answer", "prompt,completion"))
    for name, words in ASKED.items():
        done = inside(name, *words, "--json", cwd=project)
        assert done.returncode in (0, 1), f"{name}: {done.stderr}"
        json.loads(done.stdout)


def test_with_json_an_error_is_a_status_and_a_message(project: Path) -> None:
    for name, words in WRONG.items():
        done = inside(name, *words, "--json", cwd=project)
        assert done.returncode == 2 and done.stdout == "", name
        assert done.stderr.startswith("error: ") or "\nerror: " in done.stderr, f"{name}: {done.stderr}"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["trian"], "there is no command `trian`, did you mean `train`?"),
        (["train", "--lerning-rate", "1"], "there is no option `--lerning-rate`, did you mean `--learning-rate`?"),
        (["evaluate", "--num-beam", "1"], "there is no option `--num-beam`, did you mean `--num-beams`?"),
        (["status", "--jsn"], "there is no option `--jsn`, did you mean `--json`?"),
        (["pull-push", "--target-repo-type", "modle"], "did you mean `model`?"),
        (["completion", "bsh"], "did you mean `bash`?"),
        (["schema", "trian"], "did you mean `train`?"),
        (["train", "--method", "stf", "--model-name-or-path", "a/b", "--train-data", "c/d", "--output-dir", "o"], "did you mean `sft`?"),
        (["score", "p.jsonl", "--metrics", "rogue"], "did you mean `rouge`?"),
        (["chat", "sya"], "did you mean `say`?"),
        (["compare", "sya", "say"], "did you mean `say`?"),
        (["diagnose", "sya"], "did you mean `say`?"),
        (["lineage", "sya/seed0", "sayings"], "did you mean `say"),
        (["why", "results/say/seed0/trian"], "did you mean `results/say/seed0/train`?"),
        (["diff", "sya", "say"], "did you mean `say`?"),
        (["doctor", "--profile", "slrum"], "did you mean `slurm`?"),
        (["predict", "say", "--input", "-", "--evaluation", "saying"], "did you mean `sayings`?"),
    ],
)
def test_what_was_meant_is_proposed(words: list[str], meant: str, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prediction": "a", "reference": "a"}\n')
    done = inside(*(str(tmp_path / word) if word == "p.jsonl" else word for word in words), cwd=finished)
    assert done.returncode == 2
    assert meant in done.stderr, done.stderr


@contextlib.contextmanager
def _terminal(*words: str, cwd: Path, **environment: str) -> Iterator[tuple[int, str]]:
    """What a command writes to a terminal, and its status."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, "PATH": path, "TERM": "xterm", **environment}
    child = subprocess.Popen(words, cwd=cwd, env=env, stdin=side, stdout=side, stderr=side)
    os.close(side)
    parts = []
    while True:
        try:
            part = os.read(main, 65536)
        except OSError as error:
            assert error.errno == errno.EIO
            break
        if not part:
            break
        parts.append(part)
    os.close(main)
    yield child.wait(), b"".join(parts).decode("utf-8", "replace")


COPY = ("polar-tools", "pull-push", "--source", "file://assets", "--target")


def test_bars_are_for_a_terminal(finished: Path, tmp_path: Path) -> None:
    with _terminal(*COPY, f"file://{tmp_path}/one", cwd=finished) as (status, shown):
        assert status == 0 and "files: 100%" in shown
    done = run(*COPY, f"file://{tmp_path}/two", cwd=finished)
    assert done.returncode == 0 and "\r" not in done.stderr + done.stdout and ESCAPE not in done.stderr + done.stdout


@pytest.mark.slow
def test_no_colour_where_none_is_wanted(project: Path, tmp_path: Path) -> None:
    (project / "results/report/manifest.json").unlink()
    with _terminal("polar-tools", "run", "--dry-run", cwd=project) as (status, shown):
        assert status == 0 and re.search(rf"{ESCAPE}\[3\dm", shown), "a terminal shows colours, or this test tells nothing"
    with _terminal("polar-tools", "run", "--dry-run", cwd=project, NO_COLOR="1") as (status, shown):
        assert status == 0 and "report" in shown and not re.search(rf"{ESCAPE}\[[\d;]*m", shown)
    with _terminal(*COPY, f"file://{tmp_path}/three", cwd=project, NO_COLOR="1") as (status, shown):
        assert status == 0 and not re.search(rf"{ESCAPE}\[[\d;]*m", shown)


def test_exit_statuses_are_those_that_the_page_says(finished: Path) -> None:
    page = (tiny.REPOSITORY / "docs/shell.md").read_text(encoding="utf-8")
    for status in (0, 1, 2, 75, cli.STOPPED_BY_HAND):
        assert f"| {status} |" in page
    assert run("polar-tools", "--version", cwd=finished).returncode == 0
    assert run("polar-tools", "nothing", cwd=finished).returncode == 2


COMPLETED: dict[str, set[str]] = {
    "polar-tools tra": {"track", "train"},
    "polar-tools train --method s": {"sentence_transformer", "seq2seq", "sft"},
    "polar-tools train --method sft --learning-r": {"--learning-rate"},
    "polar-tools score p.jsonl --metrics rouge,exact": {"rouge,exact_match"},
    "polar-tools chat s": {"say", "sort"},
    "polar-tools why results/say/seed0/t": {"results/say/seed0/train"},
    "polar-tools completion ": {"bash", "fish", "zsh"},
}
"""A line -> what TAB makes of its last word."""


def test_bash_completes(finished: Path) -> None:
    script = run("polar-tools", "completion", "bash", cwd=finished).stdout
    tries = "\n".join(
        f"COMP_WORDS=({line + EMPTY if line.endswith(' ') else line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=(); "
        '_polar_tools_completion polar-tools; echo "${COMPREPLY[@]}"'
        for line in COMPLETED
    )
    done = subprocess.run(["bash", "--norc", "-c", f"{script}\n{tries}"], cwd=finished, capture_output=True, text=True, env=_environment())
    assert done.stderr == ""
    assert [set(line.split()) for line in done.stdout.splitlines()] == list(COMPLETED.values())


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish: apt-get install fish")
def test_fish_completes(finished: Path) -> None:
    script = run("polar-tools", "completion", "fish", cwd=finished).stdout
    tries = "\n".join(f"complete -C '{line}'; echo ----" for line in COMPLETED)
    done = subprocess.run(["fish", "-c", f"{script}\n{tries}"], cwd=finished, capture_output=True, text=True, env=_environment())
    found = [{line.split("\t")[0] for line in part.splitlines()} for part in done.stdout.split("----\n")[:-1]]
    assert found == list(COMPLETED.values()), done.stderr


def test_every_shell_has_its_script(finished: Path) -> None:
    for shell, word in (
        ("bash", "complete -o nosort"),
        ("zsh", "#compdef polar-tools"),
        ("fish", "complete --no-files --command polar-tools"),
    ):
        done = inside("completion", shell, cwd=finished)
        assert done.returncode == 0 and word in done.stdout


def _environment() -> dict[str, Any]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_click_is_asked_nothing_that_it_answers_otherwise() -> None:
    """A message of click's that isn't ours any more would be shown as it is."""
    with pytest.raises(click.BadParameter) as seen:
        tools.load("completion").make_context("completion", ["bsh"])
    assert cli.misuse(seen.value).splitlines()[0].endswith(", did you mean `bash`?")
