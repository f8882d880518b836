"""Shapes: recognised from small tables as people have them, turned into the standard columns, and never guessed between two."""

import ast
from typing import Any

import pyarrow as pa
import pytest

from polar_tools import discovery, recognition
from polar_tools.errors import ConfigError, DataError
from polar_tools.filters.base import ROW
from polar_tools.shapes import base
from tests.tiny import REPOSITORY

Columns = dict[str, Any]

CALL = [{"function": {"name": "weather", "arguments": '{"city": "서울"}'}}]
TALK = [
    [{"role": "User", "content": "서울 날씨는?", "tool_calls": None}, {"role": "assistant", "content": None, "tool_calls": CALL}],
    [{"role": "user", "content": "고마워", "tool_calls": None}],
    None,
]
PARTS = [[{"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": "무엇인가?"}]}], []]


def says(*turns: str) -> list[dict[str, str]]:
    """Turns such as `user: hello` as messages."""
    return [dict(zip(("role", "content"), turn.split(": ", 1), strict=True)) for turn in turns]


def values(*turns: str) -> list[dict[str, str]]:
    """The same as ShareGPT has them."""
    return [{"from": turn["role"], "value": turn["content"]} for turn in says(*turns)]


# shape, what people have, what methods read
CASES: dict[str, tuple[str, Columns, Columns]] = {
    "text": ("text", {"id": ["1", "2"], "text": ["하나", None]}, {"id": ["1", "2"], "text": ["하나", None]}),
    "text by its Korean name": ("text", {"본문": ["하나"], "날짜": ["2024"]}, {"text": ["하나"], "날짜": ["2024"]}),
    "prompt_completion": ("prompt_completion", {"prompt": ["a"], "completion": ["b"]}, {"prompt": ["a"], "completion": ["b"]}),
    "questions in capitals": (
        "prompt_completion",
        {"Question": ["수도는?"], "ANSWER": ["서울"], "source": ["wiki"]},
        {"prompt": ["수도는?"], "completion": ["서울"], "source": ["wiki"]},
    ),
    "translation": ("prompt_completion", {"source": ["안녕"], "target": ["hello"]}, {"prompt": ["안녕"], "completion": ["hello"]}),
    "Korean questions": ("prompt_completion", {"질문": ["수도는?"], "답변": ["서울"]}, {"prompt": ["수도는?"], "completion": ["서울"]}),
    "prompt and completion of messages": (
        "prompt_completion",
        {"prompt": [says("human: 안녕")], "completion": [says("gpt: 네")]},
        {"prompt": [says("user: 안녕")], "completion": [says("assistant: 네")]},
    ),
    "messages": (
        "messages",
        {"messages": TALK, "tools": ["[]", None, None]},
        {"messages": [[{**TALK[0][0], "role": "user"}, TALK[0][1]], TALK[1], None], "tools": ["[]", None, None]},
    ),
    "messages of parts": ("messages", {"messages": PARTS, "images": [["a.png"], []]}, {"messages": PARTS, "images": [["a.png"], []]}),
    "conversations of messages": (
        "messages",
        {"conversations": [says("user: hi", "assistant: ho")]},
        {"messages": [says("user: hi", "assistant: ho")]},
    ),
    "sharegpt": (
        "sharegpt",
        {"id": ["x", "y"], "conversations": [values("system: 짧게", "human: 안녕", "gpt: 네"), values("human: a", "observation: b")]},
        {"messages": [says("system: 짧게", "user: 안녕", "assistant: 네"), says("user: a", "tool: b")], "id": ["x", "y"]},
    ),
    "sharegpt with system": (
        "sharegpt",
        {"conversations": [values("human: a"), values("system: b", "human: c"), values("human: d"), None], "system": ["s", "s", None, "s"]},
        {"messages": [says("system: s", "user: a"), says("system: b", "user: c"), says("user: d"), None]},
    ),
    "alpaca": (
        "alpaca",
        {"instruction": ["번역하라", "인사하라", None], "input": ["hello", " ", "x"], "output": ["안녕", "네", "y"]},
        {"prompt": ["번역하라\n\nhello", "인사하라", None], "completion": ["안녕", "네", "y"]},
    ),
    "alpaca without input": ("alpaca", {"instruction": ["a"], "output": ["b"]}, {"prompt": ["a"], "completion": ["b"]}),
    "dolly": (
        "alpaca",
        {"instruction": ["a"], "context": [""], "response": ["b"], "category": ["qa"]},
        {"prompt": ["a"], "completion": ["b"], "category": ["qa"]},
    ),
    "alpaca with history": (
        "alpaca",
        {
            "instruction": ["또?", "c"],
            "input": [None, "d"],
            "output": ["네", "e"],
            "system": ["s", None],
            "history": [[["하나?", "네"]], []],
        },
        {
            "messages": [
                says("system: s", "user: 하나?", "assistant: 네", "user: 또?", "assistant: 네"),
                says("user: c\n\nd", "assistant: e"),
            ]
        },
    ),
    "autotrain": ("autotrain", {"text": ["좋다"], "rejected_text": ["나쁘다"]}, {"chosen": ["좋다"], "rejected": ["나쁘다"]}),
    "autotrain with prompt": (
        "autotrain",
        {"prompt": ["어때?"], "text": ["좋다"], "Rejected Text": ["나쁘다"]},
        {"prompt": ["어때?"], "chosen": ["좋다"], "rejected": ["나쁘다"]},
    ),
    "preference": (
        "preference",
        {"question": ["?"], "chosen": ["a"], "rejected": ["b"], "score_chosen": [0.5]},
        {"prompt": ["?"], "chosen": ["a"], "rejected": ["b"], "score_chosen": [0.5]},
    ),
    "preference of dialogues": (
        "preference",
        {"chosen": [says("human: ?", "bot: a")], "rejected": [says("human: ?", "bot: b")]},
        {"chosen": [says("user: ?", "assistant: a")], "rejected": [says("user: ?", "assistant: b")]},
    ),
    "kto": (
        "kto",
        {"prompt": list("abcde"), "completion": list("vwxyz"), "label": ["True", "0", " false", "", None]},
        {"prompt": list("abcde"), "completion": list("vwxyz"), "label": [True, False, False, None, None]},
    ),
    "kto of numbers": (
        "kto",
        {"prompt": ["a", "b"], "completion": ["c", "d"], "label": [1, 0]},
        {"prompt": ["a", "b"], "completion": ["c", "d"], "label": [True, False]},
    ),
    "pairs": ("pairs", {"query": ["사과"], "positive": ["과일"]}, {"anchor": ["사과"], "positive": ["과일"]}),
    "triplets": (
        "triplets",
        {"anchor": ["사과"], "positive": ["과일"], "negative": ["자동차"]},
        {"anchor": ["사과"], "positive": ["과일"], "negative": ["자동차"]},
    ),
    "scored_pairs": (
        "scored_pairs",
        {"sentence1": ["가", "나", "다"], "sentence2": ["라", "마", "바"], "score": ["4.5", "0", ""]},
        {"sentence1": ["가", "나", "다"], "sentence2": ["라", "마", "바"], "score": [4.5, 0.0, None]},
    ),
    "classification": ("classification", {"document": ["재미없다"], "label": [0]}, {"text": ["재미없다"], "label": [0]}),
    "classification by several labels": (
        "classification",
        {"리뷰": ["좋고 싸다"], "labels": [["좋다", "싸다"]]},
        {"text": ["좋고 싸다"], "labels": [["좋다", "싸다"]]},
    ),
    "summarization": ("summarization", {"본문": ["긴 글"], "요약": ["글"]}, {"document": ["긴 글"], "summary": ["글"]}),
    "summarization of news": (
        "summarization",
        {"article": ["long"], "highlights": ["short"]},
        {"document": ["long"], "summary": ["short"]},
    ),
    "image_text": (
        "image_text",
        {"image": [{"bytes": b"PNG", "path": None}], "caption": ["고양이"]},
        {"image": [{"bytes": b"PNG", "path": None}], "text": ["고양이"]},
    ),
    "images by their files": ("image_text", {"file_name": ["a.png"], "설명": ["고양이"]}, {"image": ["a.png"], "text": ["고양이"]}),
}
ASKED: Columns = {
    "text": [
        "human: 안녕? bot: 네. 무엇을\n도울까요? human: 없다",
        "### Human: the robot: what?### Assistant: It.",
        "<user>: a\n<bot>:",
        "사용자: 가\n챗봇: 나",
        None,
    ]
}
PARSED: Columns = {
    "messages": [
        says("user: 안녕?", "assistant: 네. 무엇을\n도울까요?", "user: 없다"),
        says("user: the robot: what?", "assistant: It."),
        [*says("user: a"), {"role": "assistant", "content": ""}],
        says("user: 가", "assistant: 나"),
        None,
    ]
}


def table(columns: Columns, first: int = 0) -> pa.Table:
    numbers = range(first, first + len(next(iter(columns.values()))))
    return pa.table({**columns, ROW: pa.array(numbers, pa.int64())})


def recognised(columns: Columns, shape: str | None = None, **given: str) -> recognition.Recognised:
    found = recognition.recognise(table(columns).schema, shape, given)
    assert found is not None
    return found


def converted(columns: Columns, shape: str | None = None, **given: str) -> Columns:
    result: Columns = recognised(columns, shape, **given).convert(table(columns)).drop_columns([ROW]).to_pydict()
    return result


@pytest.mark.parametrize("case", CASES)
def test_shape_is_recognised_and_becomes_the_standard_columns(case: str) -> None:
    shape, columns, expected = CASES[case]
    assert recognised(columns).name == shape
    assert converted(columns) == expected


def test_dialogue_in_one_text_is_parsed_only_where_it_is_asked_for() -> None:
    assert recognised(ASKED).name == "text"
    assert converted(ASKED, "dialogue") == converted(ASKED, "human_bot") == PARSED
    assert recognition.recognise(table({"dialogue": ["human: a"]}).schema) is None
    assert "`shape: dialogue` would fit" in recognition.unrecognised(table({"dialogue": ["human: a"]}).schema)


# what every shape promises


NAMES = ["ALIASES", "BY_NAME_ONLY", "ROLES", "OPTIONAL", "KINDS", "fits", "convert"]
SAMPLES = [*CASES.values(), ("dialogue", ASKED, PARSED)]


def test_every_shape_has_a_case() -> None:
    assert {shape for shape, _, _ in SAMPLES} == set(discovery.names("shapes"))


@pytest.mark.parametrize("shape", discovery.names("shapes"))
def test_same_names_in_the_same_order(shape: str) -> None:
    body = ast.parse((REPOSITORY / f"polar_tools/shapes/{shape}.py").read_text(encoding="utf-8")).body
    written = [getattr(item, "name", None) or item.targets[0].id for item in body if isinstance(item, ast.FunctionDef | ast.Assign)]
    assert [name for name in written if name in NAMES] == NAMES


@pytest.mark.parametrize("shape", discovery.names("shapes"))
def test_spellings_are_unique_and_the_own_one_comes_first(shape: str) -> None:
    module = discovery.load("shapes", shape)
    spellings = [base.plain(spelling) for names in module.ROLES.values() for spelling in names]
    assert len(spellings) == len(set(spellings))
    assert all(names[0] == role for role, names in module.ROLES.items())
    assert list(module.KINDS) == list(module.ROLES)
    assert set(module.OPTIONAL) < set(module.ROLES)
    assert isinstance(module.BY_NAME_ONLY, bool)


def test_no_name_means_two_shapes() -> None:
    spellings = [name for shape, module in discovery.modules("shapes").items() for name in (shape, *module.ALIASES)]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize(("shape", "columns", "_"), SAMPLES)
def test_converting_in_pieces_is_converting_at_once(shape: str, columns: Columns, _: Columns) -> None:
    data = pa.concat_tables([table(columns, 7), table(columns, 70).cast(table(columns).schema), table(columns, 700)])
    found = recognition.recognise(data.schema, shape)
    assert found is not None
    whole = found.convert(data)
    assert whole[ROW].to_pylist() == data[ROW].to_pylist()
    assert {name for name in columns if name not in found.columns.values()} <= set(whole.column_names)
    for size in (1, 2):
        pieces = [found.convert(data.slice(start, size)) for start in range(0, data.num_rows, size)]
        assert pa.concat_tables(pieces).equals(whole)
    assert found.convert(data.slice(0, 0)).schema == whole.schema


# what is named outright


def test_columns_named_outright_win_over_those_of_a_like_name() -> None:
    data = {"prompt": ["old"], "물음": ["q"], "답": ["a"], "chosen": ["x"], "rejected": ["y"]}
    found = recognised(data, prompt="물음", completion="답")
    assert (found.name, found.columns) == ("prompt_completion", {"prompt": "물음", "completion": "답"})
    assert found.convert(table(data)).drop_columns([ROW]).to_pydict() == {
        "prompt": ["q"],
        "completion": ["a"],
        "chosen": ["x"],
        "rejected": ["y"],
    }


def test_shape_named_outright_wins_over_a_closer_one() -> None:
    assert converted({"text": ["a"], "label": ["b"]}, "text") == {"text": ["a"], "label": ["b"]}
    assert converted({"instruction": ["a"], "input": ["b"], "output": ["c"]}, "prompt_completion", prompt="input", completion="output") == {
        "instruction": ["a"],
        "prompt": ["b"],
        "completion": ["c"],
    }


@pytest.mark.parametrize(
    ("shape", "columns", "given"),
    [
        ("text", ["t"], {"text": "t"}),
        ("alpaca", ["a", "b"], {"instruction": "a", "output": "b"}),
        ("alpaca", ["a", "b", "c"], {"instruction": "a", "input": "b", "output": "c"}),
        ("dpo", ["a", "b"], {"chosen": "a", "rejected": "b"}),
        ("preference", ["a", "b", "c"], {"prompt": "a", "chosen": "b", "rejected": "c"}),
        ("autotrain", ["a", "b"], {"text": "a", "rejected_text": "b"}),
        ("triplets", ["a", "b", "c"], {"anchor": "a", "positive": "b", "negative": "c"}),
        ("triplets", ["a"], {"anchor": "a"}),
        (None, [], {}),
    ],
)
def test_columns_by_position_are_the_roles_in_their_order(shape: str | None, columns: list[str], given: dict[str, str]) -> None:
    assert recognition.by_position(shape, *columns) == given


@pytest.mark.parametrize(
    ("shape", "columns", "message"),
    [
        (None, ["a"], "name the `shape` too"),
        ("text", ["a", "b"], "dataset_sub_column: the shape text has no more columns than text"),
        ("pair", ["a", "b", "c"], "dataset_minor_column: the shape pairs has no more columns than anchor, positive"),
        ("triplets", ["a", None, "c"], "one before the last is missing"),
        ("preferences", ["a"], "no shape `preferences`, did you mean `preference`"),
        ("quux", ["a"], "no shape `quux`; known are: alpaca, "),
    ],
)
def test_columns_by_position_that_lead_nowhere(shape: str | None, columns: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recognition.by_position(shape, *columns)


def test_reason_says_what_the_data_was_taken_for() -> None:
    assert recognised({"document": ["a"], "label": [1]}).reason == (
        "its columns are named so: text is `document`, label is `label`; text would fit too, and less closely"
    )
    assert recognised({"text": ["a"]}, "text").reason == "`shape` says so: text is `text`"


# what can't be told


@pytest.mark.parametrize(
    ("columns", "shapes"),
    [
        ({"instruction": ["a"], "input": ["b"], "output": ["c"], "text": ["d"]}, ["alpaca", "text"]),
        ({"prompt": ["a"], "chosen": ["b"], "rejected": ["c"], "messages": [says("user: a")]}, ["messages", "preference"]),
        ({"text": ["a"], "label": ["b"], "summary": ["c"]}, ["classification", "summarization"]),
        ({"question": ["a"], "answer": ["b"], "chosen": ["c"], "rejected": ["d"]}, ["preference", "prompt_completion"]),
        ({"messages": [says("user: a")], "conversations": [values("human: a")]}, ["messages", "sharegpt"]),
    ],
)
def test_two_readings_of_which_neither_is_better_are_both_listed(columns: Columns, shapes: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        recognised(columns)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:-1]] == shapes
    assert "name the one with `shape: NAME`" in lines[-1]
    for shape in shapes:
        assert recognised(columns, shape).name == shape


def test_same_columns_with_two_meanings(monkeypatch: pytest.MonkeyPatch) -> None:
    from polar_tools.shapes import pairs

    roles = {"anchor": ("anchor", "query"), "positive": ("positive", "answer")}
    monkeypatch.setattr(pairs, "fits", lambda schema: base.fits(roles, (), pairs.KINDS, schema))
    with pytest.raises(DataError, match=r"(?s)pairs: anchor is `query`, positive is `answer`.*prompt_completion: prompt is `query`"):
        recognised({"query": ["a"], "answer": ["b"]})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"question": ["a"], "answer": ["b"], "response": ["c"]},
            "completion may be `answer` or `response`.*`columns: {completion: answer}`",
        ),
        ({"Text": ["a"], "TEXT": ["b"]}, "text may be `Text` or `TEXT`"),
    ],
)
def test_two_columns_for_one_role(columns: Columns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        recognised(columns)
    assert recognised({"question": ["a"], "answer": ["b"], "response": ["c"]}, completion="response").columns["completion"] == "response"
    assert recognised({"text": ["a"], "Text": ["b"], "content": ["c"]}).columns == {"text": "text"}


def test_nothing_fits() -> None:
    schema = table({"제목": ["a"], "messages": ["[]"], "prompt": ["b"]}).schema
    assert recognition.recognise(schema) is None
    message = recognition.unrecognised(schema)
    assert "`제목` (string), `messages` (string), `prompt` (string)" in message
    assert "messages: `messages` holds string, not a list of messages with `role` and `content`" in message
    assert "prompt_completion: no `completion`" in message
    assert "known are\n  alpaca: instruction, output" in recognition.unrecognised(table({"제목": ["a"]}).schema)


def test_columns_named_for_what_no_shape_has_are_left_alone() -> None:
    assert recognition.recognise(table({"a": ["x"], "b": ["y"]}).schema, None, {"text": "a", "summary": "b"}) is None
    assert recognised({"a": ["x"], "b": ["y"]}, text="a", topic="b").name == "text"


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        (None, {"text": "txt"}, "text: there is no column `txt`, did you mean `text`?.*`text` (string), `n` (int64)"),
        (None, {"prompt": "text", "completion": "text"}, "`text` is named for two roles"),
        ("text", {"text": "n"}, "doesn't have the shape text: `text` holds int64, not text"),
        ("pairs", {}, "doesn't have the shape pairs: no `anchor`, no `positive`. The data has `text`"),
    ],
)
def test_what_is_named_must_be_there(shape: str | None, given: dict[str, str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        recognition.recognise(table({"text": ["a"], "n": [1]}).schema, shape, given)
    assert all(part in str(caught.value) for part in message.split(".*"))


def test_unknown_shape() -> None:
    with pytest.raises(ConfigError, match="no shape `shargpt`, did you mean `sharegpt`"):
        recognised({"text": ["a"]}, "shargpt")


def test_two_spellings_of_one_letter() -> None:
    assert recognised({"\u1112\u1161\u11ab": ["x"], "\u1107\u1169\u11ab\u1106\u116e\u11ab": ["y"]}).name == "text"


# bad values, by the number of their row


@pytest.mark.parametrize(
    ("shape", "columns", "message"),
    [
        (
            "messages",
            {"messages": [says("user: a"), None, [*says("user: b"), {"role": None, "content": "c"}]]},
            "row 13: turn 2 of `messages` has no `role`",
        ),
        ("messages", {"messages": [says("narrator: a")]}, "row 11: turn 1 of `messages` is by `narrator`, whom nobody knows; .*assistant"),
        ("messages", {"messages": [says("user: a"), [{"role": "user", "content": None}]]}, "row 12: turn 1 .* has neither `content`"),
        ("messages", {"messages": [[*says("user: a"), None]]}, "row 11: turn 2 of `messages` has no `role`"),
        ("sharegpt", {"conversations": [values("human: a", "bing: b")]}, "row 11: turn 2 of `conversations` is by `bing`"),
        ("preference", {"chosen": [says("x: a")], "rejected": [says("user: a")]}, "row 11: turn 1 of `chosen` is by `x`"),
        ("kto", {"prompt": ["a", "b"], "completion": ["c", "d"], "label": ["true", "maybe"]}, "row 12: `label` is `maybe`; write true or"),
        ("kto", {"prompt": ["a"], "completion": ["c"], "label": [2]}, "row 11: `label` is `2`"),
        ("scored_pairs", {"sentence1": ["a"], "sentence2": ["b"], "score": ["high"]}, "row 11: `score` is `high`, which is no number"),
        ("alpaca", {"instruction": ["a"], "output": ["b"], "history": [[["c"]]]}, "row 11: `history` holds .*no pair"),
        ("dialogue", {"text": ["human: a", "well, human: b"]}, "row 12: `well, human: b` doesn't begin with who speaks"),
        ("dialogue", {"text": ["plain"]}, "row 11: `plain` doesn't begin"),
    ],
)
def test_bad_value_is_named_by_its_row(shape: str, columns: Columns, message: str) -> None:
    with pytest.raises(DataError, match=message):
        recognised(columns, shape).convert(table(columns, 10))
