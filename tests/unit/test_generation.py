"""What a model writes is what transformers' own loop writes row by row, whoever shares a batch, however rows leave it."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from polar_tools import config as configs
from polar_tools import decoding, inference, memory
from polar_tools.errors import ConfigError, RowError
from polar_tools.evaluation_config import Generation
from tests.cases import seq2seq

ENDS = [2, *range(40, 75)]
"""So many tokens end a text that rows leave their batch early, and at different times."""


@pytest.fixture(scope="module")
def tokenizer(assets: Path) -> Any:
    return AutoTokenizer.from_pretrained(assets / "assets/llama")


@pytest.fixture(scope="module")
def models(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A decoder and an encoder-decoder that write something else for each prompt."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    seq2seq.make(folder, assets)
    made = {
        "llama": AutoModelForCausalLM.from_pretrained(assets / "assets/llama").eval(),
        "bart": AutoModelForSeq2SeqLM.from_pretrained(folder / "assets/bart").eval(),
    }
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in (weight for model in made.values() for weight in model.parameters()):
            weight.add_(0.2 * torch.randn_like(weight))
    return made


def prompts(rows: int = 24) -> list[list[int]]:
    chance = random.Random(0)
    return [[chance.randrange(3, 300) for _ in range(chance.choice([1, 3, 7, 20, 60]))] for _ in range(rows)]


def alone(model: Any, tokenizer: Any, prompt: list[int], **told: Any) -> tuple[str, int]:
    """The text by transformers itself, and how many tokens it has."""
    ids = torch.tensor([prompt])
    output = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), pad_token_id=0, eos_token_id=ENDS, **told)[0]
    new = output[1 if model.config.is_encoder_decoder else len(prompt) :]
    return tokenizer.decode(new, skip_special_tokens=True).strip(), len(new)


KNOBS: list[dict[str, Any]] = [
    *({}, {"repetition_penalty": 1.7}, {"no_repeat_ngram_size": 2}, {"min_new_tokens": 6}, {"num_beams": 3}),
    {"num_beams": 2, "no_repeat_ngram_size": 2, "length_penalty": 2.0, "early_stopping": True},
]


@pytest.mark.parametrize("name", ["llama", "bart"])
@pytest.mark.parametrize("knobs", KNOBS, ids=str)
def test_rows_together_are_written_as_each_alone(name: str, knobs: dict[str, Any], models: dict[str, Any], tokenizer: Any) -> None:
    model, told = models[name], {"max_new_tokens": 24, **knobs}
    wanted = [alone(model, tokenizer, prompt, **told) for prompt in prompts()]
    found = inference.generate(model, tokenizer, prompts(), {**told, "eos_token_id": ENDS})
    assert [one.text for one in found] == [text for text, _ in wanted]
    if "num_beams" not in knobs and name == "llama":
        assert len({length for _, length in wanted}) > 4, "no row left before the others"
        assert {one.cut for one in found} == {True, False}


def test_what_is_drawn_for_a_row_is_its_own(models: dict[str, Any], tokenizer: Any) -> None:
    told = {"max_new_tokens": 12, "do_sample": True, "temperature": 1.5, "top_k": 50, "seed": 3}
    together = inference.generate(models["llama"], tokenizer, prompts(), told)
    assert together == [inference.generate(models["llama"], tokenizer, [prompt], told)[0] for prompt in prompts()]
    assert together != inference.generate(models["llama"], tokenizer, prompts(), {**told, "seed": 4})
    first, second = inference.generate(models["llama"], tokenizer, [prompts()[0]] * 2, told)
    assert first != second, "the same prompt twice has other dice each time"


def test_tokens_are_drawn_by_their_probability() -> None:
    scores = torch.log(torch.tensor([[0.5, 0.0, 0.25, 0.25]])).expand(4000, 4)
    drawn, _ = decoding._chosen(scores, torch.rand(4000, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert shares.tolist() == pytest.approx([0.5, 0.0, 0.25, 0.25], abs=0.03)


def test_a_text_ends_before_a_stop_string_which_the_prompt_may_hold(models: dict[str, Any], tokenizer: Any) -> None:
    told = {"max_new_tokens": 24}
    free = inference.generate(models["llama"], tokenizer, prompts(), told)
    for beams in (1, 2):
        found = inference.generate(models["llama"], tokenizer, prompts(), {**told, "stop_strings": ("e", "1"), "num_beams": beams})
        assert not any("e" in one.text or "1" in one.text for one in found)
        if beams == 1:
            assert [one.text for one in found] == [cut_at(one.text) for one in free]
            stopped = [one.text != text.text for one, text in zip(found, free, strict=True)]
            assert any(stopped) and not any(one.cut for one, ended in zip(found, stopped, strict=True) if ended)


def cut_at(text: str) -> str:
    return text[: min((text.find(stop) for stop in ("e", "1") if stop in text), default=len(text))].strip()


@pytest.mark.parametrize("told", [{}, {"num_beams": 2}, {"do_sample": True}], ids=str)
def test_logits_that_are_nan_name_the_row(told: dict[str, Any], models: dict[str, Any], tokenizer: Any) -> None:
    with torch.no_grad():
        table = models["llama"].get_input_embeddings().weight
        before = table[350].clone()
        table[350] = float("nan")
    try:
        with pytest.raises(RowError, match="NaN.*float16") as caught:
            inference.generate(models["llama"], tokenizer, [[5, 6], [7], [8, 350, 9, 10]], {"max_new_tokens": 4, **told})
        assert caught.value.place == 2
    finally:
        with torch.no_grad():
            table[350] = before


def test_batches_are_filled_by_tokens(models: dict[str, Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "tokens_at_once", lambda model: 200)
    monkeypatch.setattr(inference, "BATCH", 2)
    sizes: list[tuple[int, ...]] = []
    write = decoding.write
    monkeypatch.setattr(decoding, "write", lambda *told: sizes.append(tuple(told[2]["input_ids"].shape)) or write(*told))
    inference.generate(models["llama"], tokenizer, prompts(), {"max_new_tokens": 4})
    assert sum(rows for rows, _ in sizes) == 24
    assert all(rows * (longest + 4) <= 200 for rows, longest in sizes)
    assert [longest for _, longest in sizes] == sorted((longest for _, longest in sizes), reverse=True)
    assert len({rows for rows, _ in sizes}) > 2


def test_fewer_rows_are_written_at_a_time_where_memory_runs_out(
    models: dict[str, Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, write = inference.generate(models["llama"], tokenizer, prompts(), {"max_new_tokens": 6}), decoding.write

    def little(model: Any, tokenizer: Any, inputs: Any, *rest: Any) -> Any:
        if len(inputs["input_ids"]) > 11:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return write(model, tokenizer, inputs, *rest)

    monkeypatch.setattr(decoding, "write", little)
    with memory.noting() as fitting:
        assert inference.generate(models["llama"], tokenizer, prompts(), {"max_new_tokens": 6}) == wanted
    assert 1 < fitting["writing"] <= 11
    assert f"memory ran out while writing; going on with {fitting['writing']} rows at a time" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"length_penalty": 0.5}, "length_penalty would be ignored without `num_beams: 2`"),
        ({"early_stopping": "never"}, "early_stopping would be ignored without `num_beams: 2`"),
        ({"top_p": 0.9, "temperature": 0.5}, "temperature, top_p would be ignored without `do_sample: true`"),
        ({"min_new_tokens": 9, "max_new_tokens": 8}, "min_new_tokens: 9 is more than max_new_tokens 8"),
        ({"stop_strings": [""]}, "stop_strings.0: must not be empty"),
        ({"num_beam": 2}, "unknown key `num_beam`, did you mean `num_beams`"),
    ],
)
def test_no_setting_is_ignored(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        configs.parse(fields, "generation", Generation)
