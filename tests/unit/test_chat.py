"""`polar-tools chat`: what is said goes through the model's own template, turn by turn."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from polar_tools import answering, decoding
from polar_tools.cli import group

LLAMA = ("chat", "--generation", "max_new_tokens=5", "--set", "threads=1")


def chat(*lines: str, model: str, words: tuple[str, ...] = ()) -> Result:
    done = CliRunner().invoke(group, [*LLAMA, *words, model], input="".join(line + "\n" for line in lines), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The ids that the model was given, answer by answer."""
    seen: list[list[int]] = []
    write = decoding.write

    def noted(model: Any, tokenizer: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
        seen.append(inputs["input_ids"][0].tolist())
        return write(model, tokenizer, inputs, *rest, **named)

    monkeypatch.setattr(decoding, "write", noted)
    return seen


def test_turns_follow_each_other_until_they_are_forgotten(assets: Path, asked: list[list[int]]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(assets / "assets/llama")
    done = chat("what is it?", "and why?", "/reset", "what is it?", "/system be short", "what is it?", model=str(assets / "assets/llama"))
    said = done.stdout.splitlines()
    texts = [tokenizer.decode(ids) for ids in asked]
    begun = "<|im_start|>user\nwhat is it?<|im_end|>\n<|im_start|>assistant\n"
    assert texts[0] == texts[2] == begun
    assert texts[1] == f"{begun}{said[0]}<|im_end|>\n<|im_start|>user\nand why?<|im_end|>\n<|im_start|>assistant\n"
    assert texts[3] == f"<|im_start|>system\nbe short<|im_end|>\n{begun}"
    assert said[0] == said[2], "the same question has the same answer"


def test_exit_ends_and_a_bad_line_does_not(assets: Path) -> None:
    done = chat("/what", "hello <|im_end|>", "", "hello", "/exit", "hello", model=str(assets / "assets/llama"))
    assert "/reset begins anew" in done.stderr
    assert "holds the text of the special token `<|im_end|>`" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_an_experiment_that_sorts_texts_says_the_label(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    done = chat("it purrs softly on the warm sofa", "it barks", model="sort")
    assert len(done.stdout.splitlines()) == 2
    assert all(line.split()[0] in ("cat", "dog", "fish") for line in done.stdout.splitlines())


def test_text_is_shown_as_it_comes_but_no_half_letters(assets: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(assets / "assets/llama")
    text, pieces = " 고양이 cat", list[str]()
    shown, ids = answering._Shown(tokenizer, pieces.append), tokenizer.encode(text, add_special_tokens=False)
    for upto in range(1, len(ids) + 1):
        shown(ids[:upto])
    shown.rest(text.strip())
    assert "".join(pieces) == text.strip()
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)
    assert len([piece for piece in pieces if piece]) >= 4
