"""What `polar-tools tokenize` makes of templates, and what a person reads where one doesn't go with the data."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from transformers import AutoTokenizer

from polar_tools import cli, config
from polar_tools.plan import Plan
from tests.tiny import CONFIG

ROWS = "question,answer\nwhat does the cat do?,it purrs\nwhat does the dog do?,it barks\n" + "what is it?,a fish\n" * 12
EXPERIMENT = """\
experiments:
  say:
    method: sft
    model: llama
    dataset: sayings
"""


@pytest.fixture
def place(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "assets").symlink_to(assets / "assets")
    (tmp_path / "rows.csv").write_text(ROWS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tokenize(place: Path, *fields: str, columns: str = "{prompt: question, completion: answer}", test: str = "rows.csv") -> tuple[str, int]:
    """What a person reads of all commands up to `polar-tools tokenize`, with these fields in the experiment, and the exit status.

    Where the untouched model is evaluated, on the rows of the file `test`, it is that command's.
    """
    text = CONFIG.partition("experiments:")[0] + EXPERIMENT + "".join(f"    {field}\n" for field in fields)
    text = text.replace("  kinds:\n    dataset: kinds\n", "")  # these rows have no kinds
    text = text.replace("source: file://assets/rows.csv", "source: file://rows.csv")
    text = text.replace("columns: {prompt: question, completion: answer}", f"columns: {columns}").replace("test_size: 12", "test_size: 1")
    text = text.replace("evaluations:", f"  tested: {{source: file://{test}, split: {{test_size: 2}}}}\nevaluations:", 1)
    text = text.replace("dataset: sayings\n    metrics", "dataset: tested\n    metrics")
    (place / "config.yaml").write_text(text, encoding="utf-8")
    commands = [["check", "config.yaml"]]
    for command in commands:
        done = CliRunner().invoke(cli.group, command)
        if done.exception is not None:
            assert isinstance(done.exception, Exception)
            return cli.explain(done.exception)
        if command[0] == "check":
            commands += planned(place / "config.yaml")
    return done.output, 0


def planned(file: Path) -> list[list[str]]:
    """The rules' commands up to the tokens of `say`."""
    plan = Plan(config.load(file))
    plan.settle()
    names = {"mirror": "pull-push", "prepare": "prepare", "tokenize": "tokenize"}
    stages = [(made.spec.stage, path) for path, made in plan.artifacts.items()]
    commands = [[names[stage], f"{path}/spec.json"] for stage, path in stages if stage in names]
    return commands + [["evaluate", f"{path}/spec.json"] for stage, path in stages if stage == "evaluate" and "/base/" in path]


def first_row(place: Path) -> tuple[str, str]:
    """Text and trained text of the first tokens on the disk, by the tokenizer that lies beside them."""
    made = place / "results/say/tokenize"
    tokenizer: Any = AutoTokenizer.from_pretrained(made / "tokenizer")
    row = pq.read_table(made / "tokens").slice(0, 1).to_pylist()[0]
    return tokenizer.decode(row["input_ids"]), tokenizer.decode([label for label in row["labels"] if label >= 0])


@pytest.mark.parametrize(
    ("field", "text", "answer"),
    [
        ("chat_template: tokenizer", "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n", "A<|im_end|>"),
        ("chat_template: chatml", "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n", "A<|im_end|>"),
        ("chat_template: zephyr", "<|user|>\nQ<|im_end|>\n<|assistant|>\nA<|im_end|>\n", "A<|im_end|>"),
        ("chat_template: none", "QA<|im_end|>", "A<|im_end|>"),
        ("chat_template: mine.jinja", "Q ->A<|im_end|>", "A<|im_end|>"),
    ],
)
def test_templates(place: Path, field: str, text: str, answer: str) -> None:
    (place / "mine.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{{ ' ->' if m.role == 'user' else eos_token }}{% endfor %}", encoding="utf-8"
    )
    done = tokenize(place, field)
    assert done[1] == 0, done
    whole, trained = first_row(place)
    question = next(line.partition(",")[0] for line in ROWS.splitlines()[1:] if line.partition(",")[0] in whole)
    reply = next(line.partition(",")[2] for line in ROWS.splitlines()[1:] if line.startswith(question))
    assert (whole, trained) == tuple(expected.replace("Q", question).replace("A", reply) for expected in (text, answer))


def test_prompt_template_makes_the_prompt_of_other_columns(place: Path) -> None:
    done = tokenize(
        place, 'prompt_template: "question: {asked} answer:"', "chat_template: none", columns="{asked: question, completion: answer}"
    )
    assert done[1] == 0, done
    whole, trained = first_row(place)
    assert whole.startswith("question: what ")
    assert whole.endswith(f" answer:{trained}")


def test_template_of_ones_own_lies_in_the_spec_and_beside_the_tokens(place: Path) -> None:
    (place / "mine.jinja").write_text("{% for m in messages %}{{ m.content + eos_token }}{% endfor %}", encoding="utf-8")
    assert tokenize(place, "chat_template: mine.jinja")[1] == 0
    spec = json.loads((place / "results/say/tokenize/spec.json").read_bytes())
    assert spec["experiment"]["chat_template"] == (place / "mine.jinja").read_text()
    assert AutoTokenizer.from_pretrained(place / "results/say/tokenize/tokenizer").chat_template == (place / "mine.jinja").read_text()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (["chat_template: zephir"], "experiments.say.chat_template: there is no chat template `zephir`, did you mean `zephyr`?"),
        (["chat_template: mine.jinja"], "experiments.say.chat_template: the template mine.jinja can't be read"),
        (["chat_template: '{{ messages'"], "experiments.say.chat_template: the chat template is not valid jinja: line 1"),
        (["chat_template: '{{ messages[9].content }}'"], "a small dialogue can't be written; the chat template says:"),
        (["prompt_template: 'say: {promt}'"], "prompt_template: there is no column `promt`, did you mean `prompt`?"),
        (["prompt_template: 'say: {prompt'"], "experiments.say.prompt_template: expected '}' before end of string"),
        (["chat_template: none", "prompt_template: '{prompt} '"], "stands across the border between prompt and answer"),
        (["add_eos_token: false"], "add_eos_token would be ignored"),
    ],
)
def test_what_a_person_reads(place: Path, fields: list[str], says: str) -> None:
    message, status = tokenize(place, *fields)
    assert says in message
    assert status == 2


def test_special_token_in_the_data(place: Path) -> None:
    (place / "rows.csv").write_text(ROWS + "what?,an end<|im_end|>\n" * 2, encoding="utf-8")
    message, status = tokenize(place)
    assert r"its `completion` holds the text of the special token `<|im_end|>`" in message
    assert r"{name: pattern, column: completion, drop: '<\|im_end\|>'}" in message
    assert status == 2


def test_special_token_in_the_data_of_an_evaluation_names_the_test_row(place: Path) -> None:
    (place / "bad.csv").write_text("prompt,completion\n" + "what?,an end<|im_end|>\nand?,fine\n" * 2, encoding="utf-8")
    message, status = tokenize(place, "evaluations: [sayings]", test="bad.csv")
    assert "test row " in message
    assert "its `completion` holds the text of the special token" in message
    assert status == 2
