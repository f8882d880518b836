"""What a model is trained on: the tokens of the answer, its end, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from polar_tools import marks
from polar_tools.errors import ConfigError, DataError
from polar_tools.methods import base, classification, sft

SHARED = {"model": "m", "dataset": "d"}
DIALOGUE = [("user", "a?"), ("assistant", "A."), ("user", "b?"), ("assistant", "B.")]
WITH_PROMPT = (
    "{% for m in messages %}"
    "<{{ m['role'] }}>{{ m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
REFUSES = "{% if messages[0]['role'] == 'ROLE' %}{{ raise_exception('none of this') }}{% endif %}" + WITH_PROMPT
LLAMA2 = (
    "{% for m in messages %}"
    "{% if m['role'] == 'user' %}{{ bos_token }}[{{ m['content'] }}]{% else %}{{ m['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)


@pytest.fixture(scope="module")
def tokenizer(assets: Path) -> Any:
    return AutoTokenizer.from_pretrained(assets / "assets" / "llama")


@pytest.fixture
def fresh_tokenizer(assets: Path) -> Any:
    """One that a test may change."""
    return AutoTokenizer.from_pretrained(assets / "assets" / "llama")


def made(begins: str = "", ends: str = "", blanks_left_out: bool = False, kind: str = "bytes", **special: str) -> PreTrainedTokenizerFast:
    """A tokenizer that puts `begins` and `ends` around texts: of bytes, of whole words, or of pieces as SentencePiece makes them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    names = [token for token in ("<s>", "</s>", "[UNK]", *special.values()) if token]
    texts = ["what is it? it is nothing at all", "question: answer: user assistant"]
    if kind == "words":
        inner = Tokenizer(models.WordLevel({name: number for number, name in enumerate([*names, *" ".join(texts).split()])}, "[UNK]"))
        inner.pre_tokenizer = pre_tokenizers.Whitespace()
        inner.add_special_tokens(names)
    else:
        inner = Tokenizer(models.BPE(unk_token=None if kind == "bytes" else "[UNK]"))
        pieces = pre_tokenizers.Metaspace(prepend_scheme="first"), decoders.Metaspace(prepend_scheme="first")
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        inner.pre_tokenizer, inner.decoder = bytes_ if kind == "bytes" else pieces
        alphabet = pre_tokenizers.ByteLevel.alphabet() if kind == "bytes" else []
        learn = trainers.BpeTrainer(vocab_size=330, special_tokens=names, initial_alphabet=alphabet, show_progress=False)
        inner.train_from_iterator(texts * 9, learn)
    around = [(token, inner.token_to_id(token)) for token in (begins, ends) if token]
    written = [processors.TemplateProcessing(single=f"{begins} $A {ends}".strip(), special_tokens=around)] if around else []
    inner.post_processor = processors.Sequence([*([processors.ByteLevel(trim_offsets=True)] if blanks_left_out else []), *written])
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special)


def trained(tokenizer: Any, example: base.Example) -> str:
    return str(tokenizer.decode([label for label in example["labels"] if label != base.IGNORED]))


def messages(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def rendered(tokenizer: Any, row: dict[str, Any], **fields: Any) -> base.Example:
    """One row as the stage makes it: set up, rendered, fitted, checked."""
    config = sft.Config(**SHARED, **fields)
    processor = sft.set_up(config, tokenizer)
    example = sft.fit(config, sft.render(config, processor, {}, [row])[0])
    assert example is not None
    sft.check(config, processor, row, example)
    return example


def test_answer_and_its_end_are_trained_on(tokenizer: Any) -> None:
    example = rendered(tokenizer, {"prompt": "뭐 해?", "completion": "자요"}, system_prompt="짧게 답해")
    assert trained(tokenizer, example) == "자요<|im_end|>"
    text = tokenizer.decode(example["input_ids"])
    assert text == "<|im_start|>system\n짧게 답해<|im_end|>\n<|im_start|>user\n뭐 해?<|im_end|>\n<|im_start|>assistant\n자요<|im_end|>\n"


def test_every_turn_of_the_assistant_is_trained_on(tokenizer: Any) -> None:
    assert trained(tokenizer, rendered(tokenizer, messages(*DIALOGUE))) == "A.<|im_end|>B.<|im_end|>"


def test_more_rows_than_are_written_at_once_stay_in_order(tokenizer: Any) -> None:
    config = sft.Config(**SHARED)
    rows = [{"prompt": f"{number}?", "completion": f"{number}!"} for number in range(300)]
    examples = sft.render(config, tokenizer, {}, rows)
    assert [trained(tokenizer, example) for example in examples] == [f"{number}!<|im_end|>" for number in range(300)]
    rows[290] = {"prompt": "a", "completion": "b<|im_end|>c"}
    rows[295] = {"prompt": "a", "completion": None}
    with pytest.raises(base.RowError, match="its `completion` is missing") as caught:
        sft.render(config, tokenizer, {}, rows)
    assert caught.value.place == 295


def test_only_the_completion_of_messages_is_trained_on(tokenizer: Any) -> None:
    turns = messages(*DIALOGUE)["messages"]
    example = rendered(tokenizer, {"prompt": turns[:3], "completion": turns[3:]}, system_prompt="be brief")
    assert trained(tokenizer, example) == "B.<|im_end|>"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("chatml", "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\na?<|im_end|>\n<|im_start|>assistant\n[A.<|im_end|>]\n"),
        ("zephyr", "<|system|>\nbe brief<|im_end|>\n<|user|>\na?<|im_end|>\n<|assistant|>\n[A.<|im_end|>]\n"),
        (WITH_PROMPT, "<system>be brief\n<user>a?\n<assistant>[A.<|im_end|>]\n"),
    ],
)
def test_chat_templates(fresh_tokenizer: Any, template: str, text: str) -> None:
    example = rendered(fresh_tokenizer, messages(*DIALOGUE[:2]), system_prompt="be brief", chat_template=template)
    begin, answer, end = text.replace("[", "]").split("]")
    assert fresh_tokenizer.decode(example["input_ids"]) == begin + answer + end
    assert trained(fresh_tokenizer, example) == answer


@pytest.mark.parametrize("template", ["chatml", "zephyr"])
def test_built_in_templates_write_parts_of_text_and_refuse_what_they_dont_know(fresh_tokenizer: Any, template: str) -> None:
    parts = messages(("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "?"}]), ("assistant", "A."))
    plain = rendered(fresh_tokenizer, messages(*DIALOGUE[:2]), chat_template=template)
    assert rendered(fresh_tokenizer, parts, chat_template=template) == plain
    picture = messages(("user", [{"type": "image", "image": "x.png"}]), ("assistant", "A."))
    called = {"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]}
    for row, says in ((picture, "no parts but text"), (called, "no tool calls")):
        with pytest.raises(base.RowError, match=says):
            rendered(fresh_tokenizer, row, chat_template=template)


def test_what_ends_the_turns_of_a_chosen_template_is_saved_as_end_of_text(tmp_path: Path) -> None:
    other = made(eos_token="</s>", pad_token="<|im_start|>", unk_token="<|im_end|>")
    example = rendered(other, {"prompt": "a", "completion": "b"}, chat_template="chatml")
    assert trained(other, example) == "b<|im_end|>"
    other.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.eos_token == "<|im_end|>"
    assert again.chat_template == other.chat_template


def test_generation_stops_at_what_ends_the_turns_of_the_tokenizers_own_template() -> None:
    other = made(eos_token="</s>", pad_token="[END]")
    other.chat_template = WITH_PROMPT.replace("{{ eos_token }}", "[END]")
    example = rendered(other, {"prompt": "a", "completion": "b"})
    assert trained(other, example) == "b[END]"
    assert marks.end_of_turn(other) == other.convert_tokens_to_ids("[END]")
    assert other.eos_token == "</s>", "which still ends plain texts"


def test_chatml_without_its_tokens_proposes_zephyr() -> None:
    for other in (made(eos_token="</s>"), made(kind="words", eos_token="</s>", unk_token="[UNK]")):
        with pytest.raises(ConfigError, match=r"chatml needs <\|im_start\|> and <\|im_end\|> as single tokens.*zephyr"):
            rendered(other, {"prompt": "a", "completion": "b"}, chat_template="chatml")
    able = made(eos_token="</s>")
    assert trained(able, rendered(able, {"prompt": "a", "completion": "b"}, chat_template="zephyr")) == "b</s>"


@pytest.mark.parametrize(
    ("fields", "row", "says"),
    [
        ({"chat_template": "zephyr"}, {"prompt": "a", "completion": "b"}, "zephyr closes turns with .*eos_token.*has none"),
        ({"chat_template": "none"}, {"prompt": "a", "completion": "b"}, "no end-of-text token.*add_eos_token: false"),
        ({}, {"text": "a"}, "no end-of-text token.*add_eos_token: false"),
        ({}, {"prompt": "a", "completion": "b"}, "no chat template; set `chat_template` to chatml, zephyr, none"),
    ],
)
def test_tokenizer_without_what_a_template_needs(fields: dict[str, Any], row: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        rendered(made(), row, **fields)


def test_template_that_closes_turns_with_nothing_is_refused(fresh_tokenizer: Any) -> None:
    with pytest.raises(ConfigError, match=r"closes the assistant's turn with no special token.*eos_token"):
        rendered(fresh_tokenizer, messages(*DIALOGUE), chat_template=WITH_PROMPT.replace("{{ eos_token }}", ""))


def test_template_that_rewrites_earlier_turns_is_refused(fresh_tokenizer: Any) -> None:
    fresh_tokenizer.chat_template = "{{ messages|length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(DataError, match="changes earlier turns"):
        sft.render(sft.Config(**SHARED), fresh_tokenizer, {}, [{"prompt": "a", "completion": "b"}])


def test_what_a_template_says_of_a_row_names_the_row(fresh_tokenizer: Any) -> None:
    config = sft.Config(**SHARED, chat_template=REFUSES.replace("ROLE", "tool"))
    rows = [messages(*DIALOGUE)] * 200 + [messages(("tool", "x"), ("assistant", "A."))]
    with pytest.raises(base.RowError, match="the chat template says: none of this") as caught:
        sft.render(config, sft.set_up(config, fresh_tokenizer), {}, rows)
    assert caught.value.place == 200


def test_template_that_refuses_system_prompts_says_so_at_once(fresh_tokenizer: Any) -> None:
    fresh_tokenizer.chat_template = REFUSES.replace("ROLE", "system")
    with pytest.raises(ConfigError, match="small dialogue with a system prompt can't be written; the chat template says: none of this"):
        sft.set_up(sft.Config(**SHARED, system_prompt="x"), fresh_tokenizer)


def test_tools_calls_and_parts_reach_the_template_without_empty_keys(fresh_tokenizer: Any) -> None:
    fresh_tokenizer.chat_template = "{{ tools | tojson }}{% for m in messages %}{{ m | tojson }}{{ eos_token }}{% endfor %}"
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "x", "image": None}], "tool_calls": None},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"city": "y", "unit": None}}}]},
        {"role": "tool", "content": "3", "tool_calls": None},
    ]
    tools = [{"type": "function", "function": {"name": "f", "strict": None}}]
    config = sft.Config(**SHARED)
    asked = [{"messages": turns, "tools": given} for given in (tools, '[{"type": "function", "function": {"name": "f"}}]')]
    texts = [fresh_tokenizer.decode(example["input_ids"]) for example in sft.render(config, fresh_tokenizer, {}, asked)]
    assert texts[0] == texts[1]
    assert texts[0] == (
        '[{"type": "function", "function": {"name": "f"}}]'
        '{"role": "user", "content": [{"type": "text", "text": "x"}]}<|im_end|>'
        '{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"city": "y"}}}]}<|im_end|>'
        '{"role": "tool", "content": "3"}<|im_end|>'
    )
    with pytest.raises(base.RowError, match="its `tools` are no JSON"):
        sft.render(config, fresh_tokenizer, {}, [{"messages": turns, "tools": "f()"}])


def test_plain_text_and_bare_prompts_end_with_end_of_text(tokenizer: Any) -> None:
    rows = {"text": "all of it"}, {"prompt": "two and", "completion": " two"}
    plain, bare = (rendered(tokenizer, row, chat_template="none") for row in rows)
    assert trained(tokenizer, plain) == "all of it<|im_end|>"
    assert trained(tokenizer, bare) == " two<|im_end|>"
    assert trained(tokenizer, rendered(tokenizer, rows[0], add_eos_token=False)) == "all of it"
    assert trained(tokenizer, rendered(tokenizer, rows[1], chat_template="none", add_eos_token=False)) == " two"


@pytest.mark.parametrize(("begins", "ends"), [("<s>", "</s>"), ("", "</s>"), ("<s>", ""), ("", "")])
def test_marks_of_the_tokenizer_stand_at_the_beginning_and_never_in_the_middle(begins: str, ends: str) -> None:
    other = made(begins, ends, bos_token="<s>", eos_token="</s>")
    text = other.decode(rendered(other, {"text": "it is nothing"}, chat_template="none")["input_ids"])
    pair = other.decode(rendered(other, {"prompt": "what is it?", "completion": " nothing"}, chat_template="none")["input_ids"])
    assert (text, pair) == (f"{begins}it is nothing</s>", f"{begins}what is it? nothing</s>")
    dialogue = other.decode(rendered(other, messages(*DIALOGUE), chat_template="zephyr")["input_ids"])
    assert dialogue.startswith(f"{begins}<|user|>\na?</s>\n")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (WITH_PROMPT, "doesn't begin with `<s>`, with which this tokenizer begins every text; let the chat template write it.*bos_token"),
        ("{{ bos_token + bos_token }}" + WITH_PROMPT, "`<s>` stands in it more than once"),
        ("{{ bos_token }}so" + LLAMA2, "`<s>` stands in it more than once"),
    ],
)
def test_dialogue_that_doesnt_begin_once(template: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        rendered(made("<s>", bos_token="<s>", eos_token="</s>"), messages(*DIALOGUE[:2]), chat_template=template)


def test_templates_may_begin_each_exchange_with_bos() -> None:
    other = made("<s>", bos_token="<s>", eos_token="</s>")
    assert trained(other, rendered(other, messages(*DIALOGUE), chat_template=LLAMA2)) == "A.</s>B.</s>"


def test_text_that_begins_twice_or_holds_nothing(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="`<s>` stands in it more than once"):
        rendered(made("<s>", bos_token="<s>", eos_token="</s>"), {"text": "<s>it is"})
    gpt2 = made(bos_token="</s>", eos_token="</s>")
    assert trained(gpt2, rendered(gpt2, {"text": "it is"})) == "it is</s>", "one token is both there"
    with pytest.raises(DataError, match="no token of it would be trained on"):
        rendered(tokenizer, {"text": ""}, add_eos_token=False)
    with pytest.raises(DataError, match="all of it would be trained on, for it has no prompt"):
        rendered(tokenizer, {"prompt": "", "completion": "x"}, chat_template="none")


def test_rows_that_were_cut_may_lack_what_was_cut_off() -> None:
    other = made("<s>", bos_token="<s>", eos_token="</s>")
    row = {"prompt": "what is it?", "completion": " nothing at all"}
    whole = rendered(other, row, chat_template="none")["input_ids"]
    for side, kept in (("cut_right", whole[:-1]), ("cut_left", whole[1:])):
        assert rendered(other, row, chat_template="none", max_length=len(whole) - 1, on_too_long=side)["input_ids"] == kept
    example = {"input_ids": whole[:-1], "labels": [base.IGNORED, *whole[1:-1]]}
    with pytest.raises(DataError, match="doesn't end with the token at which generation stops"):
        sft.check(sft.Config(**SHARED, chat_template="none"), other, row, example)
    with pytest.raises(DataError, match="no token of it would be trained on; is max_length too short"):
        rendered(other, row, chat_template="none", max_length=2, on_too_long="cut_right")


@pytest.mark.parametrize("blanks_left_out", [False, True])
def test_token_across_the_border_names_the_row_and_the_token(blanks_left_out: bool) -> None:
    other = made(blanks_left_out=blanks_left_out, eos_token="</s>")
    config = sft.Config(**SHARED, chat_template="none")
    good = {"prompt": "what is it?", "completion": " nothing"}
    with pytest.raises(base.RowError, match=r"the token ' nothing' stands across the border.*'what is it\? ' and 'nothing'") as caught:
        sft.render(config, other, {}, [good, {"prompt": "what is it? ", "completion": "nothing"}])
    assert caught.value.place == 1
    assert trained(other, rendered(other, good, chat_template="none")) == " nothing</s>"
    assert trained(other, rendered(other, messages(("user", "it "), ("assistant", " it ")), chat_template="zephyr")) == " it </s>"


def test_prompt_alone_has_the_ids_that_it_has_in_training(tokenizer: Any) -> None:
    """Checked against the library itself, for all that the tokenizers of these tests can do."""
    for other, template in (
        (tokenizer, "tokenizer"),
        (made(blanks_left_out=True, eos_token="</s>"), "zephyr"),
        (made("<s>", eos_token="</s>"), "zephyr"),
        (made("<s>", kind="pieces", eos_token="</s>", unk_token="[UNK]"), "zephyr"),
    ):
        for row in ({"prompt": "뭐 해? 🙂", "completion": "자요\n\n"}, {"prompt": "a", "completion": " b"}):
            example = rendered(other, row, chat_template=template)
            turns = [{"role": "user", "content": row["prompt"]}]
            prompt = other.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=False)
            assert example["input_ids"][: sft._last_turn(example["labels"])] == prompt


def test_generation_goes_on_from_the_prompt_of_the_training_row(
    fresh_tokenizer: Any, assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from polar_tools import inference, modeling

    seen: dict[str, Any] = {}
    real: Callable[..., Any] = inference.generate

    def watched(model: Any, tokenizer: Any, prompts: Any, generation: Any) -> Any:
        seen.update(prompts=prompts, generation=generation)
        return real(model, tokenizer, prompts, generation)

    monkeypatch.setattr(inference, "generate", watched)
    config = sft.Config(**SHARED, prompt_template="{kind}: {question}", chat_template="zephyr")
    row = {"question": "what is it?", "kind": "cat", "completion": "it purrs"}
    processor = sft.set_up(config, fresh_tokenizer)
    model = modeling.load_model(str(assets / "assets/llama"), sft, config, {})
    done = sft.predict(config, model, processor, {}, [row], {"max_new_tokens": 2})
    example = sft.render(config, processor, {}, [row])[0]
    assert seen["prompts"] == [example["input_ids"][: example["labels"].count(base.IGNORED) - 1]], "the line break behind is one token"
    assert seen["generation"] == {"max_new_tokens": 2, "eos_token_id": processor.eos_token_id}
    assert (done[0].input, done[0].reference) == ("cat: what is it?", "it purrs")


def test_prompt_templates(tokenizer: Any) -> None:
    row = {"question": "why?", "count": 3, "completion": " so"}
    example = rendered(tokenizer, row, chat_template="none", prompt_template="{{{count}}} question: {question} answer:")
    assert tokenizer.decode(example["input_ids"]) == "{3} question: why? answer: so<|im_end|>"
    assert trained(tokenizer, example) == " so<|im_end|>"
    config = sft.Config(**SHARED, prompt_template="question: {qestion}")
    with pytest.raises(DataError, match="prompt_template: there is no column `qestion`, did you mean `question`"):
        sft.render(config, tokenizer, {}, [row])
    config = sft.Config(**SHARED, prompt_template="{question}")
    for bad, says in ((None, "its `question` is missing; the filter `missing`"), ([1], "its `question`.* neither text nor a number")):
        with pytest.raises(base.RowError, match=says) as caught:
            sft.render(config, tokenizer, {}, [row, {**row, "question": bad}])
        assert caught.value.place == 1
    base.check_columns(config, sft.COLUMNS, ["question", "completion"])
    with pytest.raises(DataError, match="needs `messages` or `prompt`"):
        base.check_columns(config, sft.COLUMNS, ["question"])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"chat_template": "zephir"}, "there is no chat template `zephir`, did you mean `zephyr`"),
        ({"chat_template": "mine"}, "there is no chat template `mine`; known are tokenizer, chatml, zephyr, none, the path of a file"),
        ({"chat_template": "no/such.jinja"}, "the template no/such.jinja can't be read"),
        ({"chat_template": "{% for m in messages %}\n{{ m }"}, "not valid jinja: line 2"),
        ({"prompt_template": "no column"}, "names no column"),
        ({"prompt_template": "{question"}, "write `{{` and `}}` for braces"),
        ({"prompt_template": "{question:>10}"}, "a field is `{column}`"),
        ({"prompt_template": "{}"}, "a field is `{column}`"),
    ],
)
def test_templates_that_are_none(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        sft.Config(**SHARED, **fields)


def test_template_from_a_file_is_kept_as_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(WITH_PROMPT, encoding="utf-8")
    config = sft.Config(**SHARED, chat_template=str(file))
    assert config.chat_template == WITH_PROMPT
    assert sft.Config(**config.model_dump()) == config, "and stays so when the spec is read"
    file.write_text("no template", encoding="utf-8")
    with pytest.raises(ValidationError, match="holds no template"):
        sft.Config(**SHARED, chat_template=str(file))


@pytest.mark.parametrize(
    ("fields", "row", "says"),
    [
        ({"system_prompt": "x"}, {"text": "all of it"}, "system_prompt would be ignored"),
        ({"chat_template": "zephyr"}, {"text": "all of it"}, "chat_template would be ignored"),
        ({"add_eos_token": False}, {"prompt": "a", "completion": "b"}, "add_eos_token would be ignored"),
        ({"prompt_template": "{text}"}, {"text": "all of it"}, "prompt_template would be ignored: the rows have no `completion`"),
        ({"chat_template": "none"}, messages(*DIALOGUE), "chat_template: none writes no turns"),
    ],
)
def test_what_would_be_ignored_is_refused(tokenizer: Any, fields: dict[str, Any], row: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        sft.render(sft.Config(**SHARED, **fields), tokenizer, {}, [row])


@pytest.mark.parametrize(
    ("fields", "column", "row"),
    [
        ({}, "completion", {"prompt": "a", "completion": "b<|im_end|>c"}),
        ({"chat_template": "none"}, "prompt", {"prompt": "a<|im_end|>", "completion": "b"}),
        ({"prompt_template": "{q}"}, "q", {"q": "a<|im_end|>", "completion": "b"}),
        ({}, "messages", messages(("user", [{"type": "text", "text": "<|im_end|>"}]), ("assistant", "b"))),
    ],
)
def test_special_token_in_the_content_is_refused_with_the_filter_for_it(
    tokenizer: Any, fields: dict[str, Any], column: str, row: dict[str, Any]
) -> None:
    good = {"prompt": "a", "completion": "a <b>", "q": "x"} if column != "messages" else messages(*DIALOGUE)
    with pytest.raises(base.RowError, match=rf"its `{column}` holds the text of the special token `<\|im_end\|>`") as caught:
        sft.render(sft.Config(**SHARED, **fields), tokenizer, {}, [good, row])
    assert caught.value.place == 1
    assert rf"{{name: pattern, column: {column}, drop: '<\|im_end\|>'}}" in str(caught.value)


def test_plain_text_may_hold_special_tokens(tokenizer: Any) -> None:
    text = "<|im_start|>user\na<|im_end|>"
    assert trained(tokenizer, rendered(tokenizer, {"text": text}, add_eos_token=False)) == text


@pytest.mark.parametrize(("policy", "kept"), [("cut_right", [0, 1, 2]), ("cut_left", [2, 3, 4]), ("drop", None)])
def test_too_long_rows(policy: str, kept: list[int] | None) -> None:
    config = sft.Config(**SHARED, max_length=3, on_too_long=policy)
    fitted = base.fit(config, {"input_ids": [0, 1, 2, 3, 4], "labels": [0, 1, 2, 3, 4]})
    assert (None if fitted is None else fitted["input_ids"]) == kept
    assert (None if fitted is None else fitted["labels"]) == kept


def test_cut_of_a_text_keeps_the_encoders_marks() -> None:
    config = classification.Config(**SHARED, max_length=4, on_too_long="cut_right")
    assert classification.fit(config, {"input_ids": [101, 1, 2, 3, 4, 102], "label": [7]}) == {
        "input_ids": [101, 1, 2, 102],
        "label": [7],
    }
    left = config.model_copy(update={"on_too_long": "cut_left"})
    assert classification.fit(left, {"input_ids": [101, 1, 2, 3, 4, 102], "label": [7]}) == {"input_ids": [101, 3, 4, 102], "label": [7]}


def test_too_long_rows_fail_unless_told_otherwise() -> None:
    with pytest.raises(DataError, match="5 tokens, more than max_length 3"):
        base.fit(sft.Config(**SHARED, max_length=3), {"input_ids": [0] * 5, "labels": [0] * 5})


def test_label_that_training_never_saw_is_named(tokenizer: Any) -> None:
    config = classification.Config(**SHARED)
    rows = [{"text": "x", "label": "cat"}, {"text": "y", "label": "dog"}]
    features = classification.features(config, rows)
    with pytest.raises(base.RowError, match=r"\['cow'\] do not occur.*\['cat', 'dog'\]") as caught:
        classification.render(config, tokenizer, features, [*rows, {"text": "moo", "label": "cow"}])
    assert caught.value.place == 2


def test_texts_to_classify_are_neither_padded_nor_cut_and_not_empty() -> None:
    encoder = made("<s>", "</s>", cls_token="<s>", sep_token="</s>")
    encoder.backend_tokenizer.enable_truncation(4)
    encoder.backend_tokenizer.enable_padding()
    config = classification.Config(**SHARED)
    features = classification.features(
        config, rows := [{"text": "it is nothing at all", "label": 1}, {"text": "it", "label": 2}, {"text": "", "label": 1}]
    )
    examples = classification.render(config, encoder, features, rows)
    assert [encoder.decode(example["input_ids"]) for example in examples] == [f"<s>{row['text']}</s>" for row in rows]
    assert [example["label"] for example in examples] == [[0], [1], [0]]
    for row, example in zip(rows[:2], examples[:2], strict=True):
        classification.check(config, encoder, row, example)
    with pytest.raises(DataError, match="its `text` has no tokens"):
        classification.check(config, encoder, rows[2], examples[2])
    with pytest.raises(base.RowError, match="its `label` is missing"):
        classification.render(config, encoder, features, [{"text": "it", "label": None}])
