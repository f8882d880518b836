"""Filters on small tables, as a config would call them."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from polar_tools import discovery
from polar_tools.errors import DataError
from polar_tools.filters import base, language, near_duplicates


def numbered(table: dict[str, list[Any]]) -> pa.Table:
    return pa.table({**table, base.ROW: list(range(len(next(iter(table.values())))))})


def chunks_of(table: pa.Table, size: int) -> Iterator[pa.Table]:
    return (table.slice(start, size) for start in range(0, table.num_rows, size))


def apply(name: str, table: dict[str, list[Any]], **options: Any) -> dict[str, list[Any]]:
    module = discovery.load("filters", name)
    chunks = chunks_of(numbered(table), 2)  # what a filter remembers must outlast a table
    found = pa.concat_tables(module.apply(chunks, module.Options(**options)))
    assert found[base.ROW].to_pylist() == sorted(found[base.ROW].to_pylist()), "the order is the old one"
    result: dict[str, list[Any]] = found.drop_columns([base.ROW]).to_pydict()
    return result


def kept(name: str, texts: list[Any], **options: Any) -> list[int]:
    """The numbers of the rows that stay, of a table whose column `text` is `texts`."""
    return apply(name, {"text": texts, "row": list(range(len(texts)))}, **options)["row"]


def messages(*contents: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in zip(("user", "assistant") * len(contents), contents, strict=False)]


ROWS = {"text": ["하나", "", "둘", None, "  ", "둘"], "label": ["a", "b", "a", "a", "b", "a"], "n": [1, 2, 3, 4, 5, None]}


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        ("missing", {"columns": ["text"]}, [0, 2, 5]),
        ("missing", {}, [0, 2]),
        ("values", {"column": "label", "keep": ["b"]}, [1, 4]),
        ("values", {"column": "label", "drop": ["b"]}, [0, 2, 3, 5]),
        ("values", {"column": "n", "keep": ["3", "4"]}, [2, 3]),
        ("duplicates", {"columns": ["label"]}, [0, 1]),
        ("duplicates", {"columns": ["text", "label"]}, [0, 1, 2, 3, 4]),
        ("sample", {"rows": 99}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_filter_keeps_exactly_these_rows(name: str, options: dict[str, Any], kept: list[int]) -> None:
    found = apply(name, {**ROWS, "row": list(range(6))}, **options)
    assert found["row"] == (kept if name != "missing" or options else [row for row in kept if ROWS["n"][row] is not None])


def test_first_words_cuts_and_joins_by_single_spaces() -> None:
    assert apply("first_words", {"text": ["세 개의\n 단어 만", "one", None]}, column="text", words=3)["text"] == [
        "세 개의 단어",
        "one",
        None,
    ]


def test_sample_is_seeded_and_keeps_the_order() -> None:
    rows = {"row": list(range(100))}
    first, again, other = (apply("sample", rows, rows=10, seed=seed)["row"] for seed in (0, 0, 1))
    assert first == again == sorted(first)
    assert len(first) == 10
    assert first != other


@pytest.mark.parametrize(
    ("name", "options"),
    [("missing", {"columns": ["txt"]}), ("first_words", {"column": "txt", "words": 1}), ("duplicates", {"columns": ["txt"]})],
)
def test_missing_column_lists_those_that_are_there(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no column `txt`, did you mean `text`.*`text`, `label`, `n`"):
        apply(name, ROWS, **options)


EVERY: dict[str, dict[str, Any]] = {
    "balance": {"column": "label"},
    "duplicates": {"columns": ["text"]},
    "first_words": {"column": "text", "words": 2},
    "head": {"rows": 5},
    "language": {"column": "text", "keep": ["ko"]},
    "length": {"column": "text", "min_characters": 3, "max_words": 9},
    "missing": {"columns": ["text"]},
    "near_duplicates": {"columns": ["text"], "ngram_size": 2, "threshold": 0.5},
    "normalize": {"whitespace": "collapse"},
    "pattern": {"column": "text", "drop": "고양이"},
    "personal_data": {"action": "drop"},
    "repetition": {"column": "text"},
    "sample": {"rows": 5, "seed": 3},
    "script": {"column": "text", "keep": ["Hangul"]},
    "values": {"column": "label", "drop": ["b"]},
}
"""Options under which each filter does something to MIXED."""
MIXED = {
    "text": [
        "고양이가 지붕 위에서 잠을 자고 있었다",
        None,
        "",
        "고양이가 지붕 위에서 잠을 자고 있었다.",
        "the cat slept on the roof of the house",
        "a@b.kr 로 보내 주세요 오늘까지",
        "네",
        "가 가 가 가 가 가 가 가 가 가 가 가",
        "오늘은  날씨가 맑고 바람이 분다",
        "네",
        "the cat slept",
    ],
    "label": ["a", "b", "a", "a", None, "b", "a", "a", "b", "a", "c"],
}


def test_the_contract_is_tested_for_every_filter() -> None:
    assert set(EVERY) == set(discovery.names("filters"))


@pytest.mark.parametrize("name", EVERY)
def test_contract(name: str) -> None:
    module, whole = discovery.load("filters", name), numbered(MIXED)

    def result(size: int, table: pa.Table = whole) -> pa.Table:
        return pa.concat_tables([table.slice(0, 0), *module.apply(chunks_of(table, size), module.Options(**EVERY[name]))])

    found = result(len(MIXED["text"]))
    assert found.to_pydict() != whole.to_pydict(), "it does something"
    assert all(result(size).equals(found) for size in (1, 2, 3)), "how the rows come doesn't matter"
    rows = found[base.ROW].to_pylist()
    assert rows == sorted(set(rows) & set(range(whole.num_rows))), "every row once, in the old order"
    assert found.schema == whole.schema
    assert list(module.apply(iter([]), module.Options(**EVERY[name]))) == []
    assert result(1, whole.slice(0, 0)).num_rows == 0
    assert sum(table.num_rows for table in module.apply(iter([whole.slice(0, 0)]), module.Options(**EVERY[name]))) == 0


@pytest.mark.parametrize("name", EVERY)
def test_contract_for_nulls(name: str) -> None:
    """Only `missing` and what counts rows drops them."""
    table = {"text": [None] * 3, "label": [None] * 3}
    rows = apply(name, {**table, "row": [0, 1, 2]}, **{**EVERY[name], **({"columns": ["text", "label"]} if name == "normalize" else {})})[
        "row"
    ]
    assert rows == {"missing": [], "duplicates": [0], "values": rows}.get(name, [0, 1, 2])


@pytest.mark.parametrize(
    "name", [name for name, options in EVERY.items() if "column" in {*options} | {*discovery.load("filters", name).Options.model_fields}]
)
def test_contract_for_a_column_that_is_not_there(name: str) -> None:
    with pytest.raises(DataError, match="no column `txt`, did you mean `text`.*`text`, `label`"):
        apply(name, MIXED, **{**EVERY[name], "column": "txt"})


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("length", {"column": "text"}, "give at least one of"),
        ("length", {"column": "text", "min_words": 3, "max_words": 2}, "no row would stay"),
        ("pattern", {"column": "text"}, "give either `keep` or `drop`"),
        ("pattern", {"column": "text", "keep": "a", "drop": "b"}, "give either `keep` or `drop`"),
        ("pattern", {"column": "text", "keep": "(a"}, "missing \\)"),
        ("pattern", {"column": "text", "keep": "(?=a)"}, "no look-around"),
        ("near_duplicates", {"columns": ["text"], "threshold": 0.1}, "`num_perm` is at least 2"),
        ("near_duplicates", {"columns": []}, "at least 1 item"),
        ("language", {"column": "text", "keep": ["kr"]}, "no language `kr`; known are: ace, af"),
        ("script", {"column": "text", "keep": ["Korean"]}, "'Hangul'"),
        ("personal_data", {"phone_region": "XX"}, "no country `XX`"),
        ("personal_data", {"kinds": ["email"], "phone_region": "US"}, "would be ignored"),
        ("repetition", {"column": "text", "top_ngrams": {1: 0.1}}, "greater than or equal to 2"),
    ],
)
def test_options_that_say_nothing_or_too_much(name: str, options: dict[str, Any], says: str) -> None:
    if "threshold" in options:
        options = {**options, "num_perm": 20}
    with pytest.raises(ValidationError, match=says):
        discovery.load("filters", name).Options(**options)


TEXT_FILTERS = ("length", "pattern", "language", "script", "repetition", "near_duplicates", "personal_data")


@pytest.mark.parametrize("name", [*TEXT_FILTERS, "first_words"])
def test_text_filter_refuses_a_column_that_is_no_text(name: str) -> None:
    with pytest.raises(DataError, match="the column `n` holds int64, not text"):
        apply(name, ROWS, **{**EVERY[name], **({"column": "n"} if "column" in EVERY[name] else {"columns": ["n"]})})


@pytest.mark.parametrize(
    ("texts", "options", "rows"),
    [
        (["가", "가나", "가나다", "가나다라"], {"min_characters": 2, "max_characters": 3}, [1, 2]),
        (["one", "one two", "하나 둘\u3000셋", "", None], {"min_words": 2}, [1, 2, 4]),
        (["one", "one two", "하나 둘 셋", ""], {"max_words": 1}, [0, 3]),
        ([messages("안녕", "반가워"), messages("네")], {"min_characters": 6}, [0]),
    ],
)
def test_length(texts: list[Any], options: dict[str, Any], rows: list[int]) -> None:
    assert kept("length", texts, column="text", **options) == rows


def test_pattern() -> None:
    texts = ["주문 번호 123", "no number", None, "ABC"]
    assert kept("pattern", texts, column="text", keep=r"\d+") == [0, 2]
    assert kept("pattern", texts, column="text", drop=r"\d+|(?i)abc") == [1, 2]
    assert kept("pattern", [messages("잘 있어", "안녕"), messages("안녕")], column="text", keep="^안녕") == [1]


def test_script_is_counted_over_letters() -> None:
    texts = ["한국어 123!!", "English", "한국어 English", "ひらがな漢字", "42", "", None]
    assert kept("script", texts, column="text", keep=["Hangul"]) == [0, 6]
    assert kept("script", texts, column="text", keep=["Hangul"], min_share=0.3) == [0, 2, 6]
    assert kept("script", texts, column="text", keep=["Han", "Hiragana"]) == [3, 6]


def test_language() -> None:
    texts = ["오늘은 날씨가 참 좋습니다", "The weather is lovely today", "Il fait très beau aujourd'hui", None, "12"]
    assert kept("language", texts, column="text", keep=["ko"]) == [0, 3]
    assert kept("language", texts, column="text", keep=["ko", "en"]) == [0, 1, 3]
    assert kept("language", texts, column="text", keep=["fr"], min_probability=0.99) == [2, 3]
    assert kept("language", [messages("날씨 어때요?", "맑습니다"), messages("How is the weather?")], column="text", keep=["ko"]) == [0]


def test_language_codes_are_those_of_the_model() -> None:
    assert sorted(language._identifier().labels) == language.LANGUAGES.split()


SENTENCE = "the old lighthouse keeper climbed all two hundred steps every evening to light the lamp for ships far out at sea"


def edited(*places: int) -> str:
    return " ".join("X" if number in places else word for number, word in enumerate(SENTENCE.split()))


def test_duplicates_are_equal_in_every_column_and_in_no_other_way() -> None:
    texts = ["ab", "a", "", None, "None", "ab", "a", "", None]
    others = ["c", "bc", "abc", "abc", "abc", "c", "bc", None, "abc"]
    assert apply("duplicates", {"text": texts, "other": others, "row": list(range(9))}, columns=["text", "other"])["row"] == [*range(5), 7]
    values: list[Any] = [[1], [1, None], [], None, [1], None, []]
    assert kept("duplicates", values, columns=["text"]) == [0, 1, 2, 3]


def test_near_duplicates_keeps_the_first_of_a_group() -> None:
    texts = [edited(), "something else altogether", edited(20), edited(3, 8, 13, 18), edited().upper() + "!", None, None, "", ""]
    assert kept("near_duplicates", texts, columns=["text"]) == [0, 1, 3, 5, 6, 7, 8]
    assert kept("near_duplicates", texts, columns=["text"], threshold=1) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert kept("near_duplicates", texts, columns=["text"], threshold=0.1, ngram_size=3) == [0, 1, 5, 6, 7, 8]


def test_near_duplicates_in_korean_go_by_syllables() -> None:
    texts = [
        "오늘은 날씨가 맑아서 친구와 함께 한강 공원에서 자전거를 탔다",
        "오늘은 날씨가 맑아서 친구와 함께 한강 공원에서 자전거를 탔어요",
        "내일은 비가 온다고 한다",
    ]
    assert kept("near_duplicates", texts, columns=["text"]) == [0, 2]
    assert kept("near_duplicates", texts, columns=["text"], unit="char") == [0, 2]
    assert kept("near_duplicates", texts, columns=["text"], unit="word") == [0, 1, 2]


def test_near_duplicates_reads_messages_and_several_columns() -> None:
    talks = [messages(edited(), "yes"), messages(edited(), "yes!"), messages("hello", "good morning to you")]
    assert kept("near_duplicates", talks, columns=["text"]) == [0, 2]
    table = {"q": ["same question"] * 3, "a": ["yes it is", "no it is not", "Yes, it is."]}
    assert apply("near_duplicates", table, columns=["q", "a"], ngram_size=2)["a"] == ["yes it is", "no it is not"]
    assert apply("near_duplicates", table, columns=["q"])["a"] == ["yes it is"]


def test_near_duplicates_gives_every_row_its_group() -> None:
    chain = [edited(), "something else altogether", edited(3), edited(3, 9), edited(3, 9, 15), edited(1, 3, 5, 7, 9)]
    options = near_duplicates.Options(columns=("text",), threshold=0.75, ngram_size=2)
    assert near_duplicates.groups(chunks_of(numbered({"text": chain}), 2), options).tolist() == [0, 1, 0, 0, 0, 5]
    assert near_duplicates.groups([], options).tolist() == []


def test_near_duplicates_finds_what_was_planted_and_nothing_else() -> None:
    words = [f"w{number}" for number in range(3000)]
    chance = random.Random(0)
    texts = [chance.choices(words, k=100) for _ in range(300)]
    texts += [[*text[:40], f"x{number}", *text[41:]] for number, text in enumerate(texts[::3])]
    assert kept("near_duplicates", [" ".join(text) for text in texts], columns=["text"]) == list(range(300))


@pytest.mark.parametrize(
    ("texts", "options", "rows"),
    [
        (["one line\nanother line\nthird", "same\nsame\nsame\nother line"], {}, [0]),
        (["첫 문단입니다\n\n둘째 문단", "같은 문단\n\n같은 문단\n\n다른 문단"], {}, [0]),
        (["buy now buy now buy now buy now", "a quick brown fox jumps over it", "hello there", "", None], {}, [1, 2, 3, 4]),
        (["buy now buy now buy now buy now"], {"top_ngrams": {}, "duplicate_ngrams": {}}, [0]),
        (["정말 좋아요 정말 좋아요 정말 좋아요", "배송이 빠르고 포장도 꼼꼼해서 만족합니다"], {}, [1]),
        (["아주 길고 긴 문장 하나가 여기 있고 다른 말이 좀 이어지다가 아주 길고 긴 문장 하나가 여기 있고 끝"], {"top_ngrams": {}}, []),
        (["와ㅋㅋㅋㅋㅋㅋ", "와ㅋㅋㅋ", "a      b"], {"max_character_run": 3}, [1, 2]),
        ([messages("응", "응"), messages("하나", "둘")], {}, [1]),
    ],
)
def test_repetition(texts: list[Any], options: dict[str, Any], rows: list[int]) -> None:
    assert kept("repetition", texts, column="text", **options) == rows


def test_normalize() -> None:
    texts = ["\u1112\u1161\u11ab글", "ＡＢ１\u00a0²", "\ufeff a\x00b \tc\r\n\n\n \n d ", "👩\u200d🚀", None]
    assert apply("normalize", {"text": texts})["text"] == ["한글", "ＡＢ１\u00a0²", " ab \tc\r\n\n\n \n d ", "👩\u200d🚀", None]
    assert apply("normalize", {"text": texts}, form="NFKC")["text"][:2] == ["한글", "AB1 2"]
    assert apply("normalize", {"text": texts}, whitespace="trim")["text"][2] == "ab \tc\r\n\n\n \n d"
    assert apply("normalize", {"text": texts}, whitespace="collapse")["text"][2] == "ab c\n\nd"
    assert apply("normalize", {"text": texts}, control_characters="keep")["text"][2] == texts[2]


def test_normalize_reaches_into_messages_and_leaves_other_columns_alone() -> None:
    table = {"talk": [messages("\u1102\u1166", "Ａ"), None], "n": [1, 2], "label": ["\u1112\u1161", None]}
    assert apply("normalize", table, columns=["talk"]) == {**table, "talk": [messages("네", "Ａ"), None]}
    assert apply("normalize", table)["label"] == ["하", None]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("메일은hong.gil-dong@example.co.kr입니다.", "메일은[EMAIL]입니다."),
        ("전화 010-1234-5678, 02)312-3456로", "전화 [PHONE], [PHONE]로"),
        ("call +1 650-253-0000 or +82 10 1234 5678.", "call [PHONE] or [PHONE]."),
        ("주민번호 900101-1234567, 000229-3456789", "주민번호 [RESIDENT_NUMBER], [RESIDENT_NUMBER]"),
        ("외국인 9001015234567 아님, 900101-5234567 맞음", "외국인 9001015234567 아님, [RESIDENT_NUMBER] 맞음"),
        ("check digit 9001011234568", "check digit [RESIDENT_NUMBER]"),
        ("카드 4111-1111-1111-1111 또는 378282246310005", "카드 [CREDIT_CARD] 또는 [CREDIT_CARD]"),
        ("접속 8.8.8.8:443 그리고 2606:4700:4700::1111", "접속 [IP_ADDRESS]:443 그리고 [IP_ADDRESS]"),
        ("900231-1234567", "900231-1234567"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("2023-11-05 12:34:56, v1.2.3, 192.168.0.1, 127.0.0.1, 3.14159265358979, 1,234,567원, @이름, std::cafe::bad", None),
    ],
)
def test_personal_data(text: str, masked: str | None) -> None:
    table = {"text": [text, None], "talk": [messages("네", text), None], "n": [1, 2]}
    expected = masked or text
    assert apply("personal_data", table) == {"text": [expected, None], "talk": [messages("네", expected), None], "n": [1, 2]}
    assert kept("personal_data", ["아무것도", text, None], action="drop") == ([0, 2] if expected != text else [0, 1, 2])


def test_personal_data_of_some_kinds_and_by_another_country_s_numbers() -> None:
    text = ["a@b.kr 650-253-0000"]
    assert apply("personal_data", {"text": text}, kinds=["email"])["text"] == ["[EMAIL] 650-253-0000"]
    assert apply("personal_data", {"text": text}, kinds=["phone"], phone_region="US")["text"] == ["a@b.kr [PHONE]"]
    assert apply("personal_data", {"text": text}, phone_region=None)["text"] == ["[EMAIL] 650-253-0000"]


def test_balance() -> None:
    table = {"label": ["a", "b", "a", "a", "b", "a", None, "a"] * 10, "row": list(range(80))}
    found = apply("balance", table, column="label")
    assert Counter(found["label"]) == {"a": 20, "b": 20, None: 10}
    assert Counter(apply("balance", table, column="label", rows_per_label=30)["label"]) == {"a": 30, "b": 20, None: 10}
    assert apply("balance", table, column="label")["row"] == found["row"] != apply("balance", table, column="label", seed=1)["row"]


def test_head_reads_no_further() -> None:
    def chunks() -> Iterator[pa.Table]:
        yield from chunks_of(numbered({"n": [1, 2, 3, 4]}), 2)
        raise AssertionError("one table too many")

    head = discovery.load("filters", "head")
    assert pa.concat_tables(head.apply(chunks(), head.Options(rows=4)))["n"].to_pylist() == [1, 2, 3, 4]
    assert pa.concat_tables(head.apply(chunks(), head.Options(rows=3)))["n"].to_pylist() == [1, 2, 3]


def test_text_of_messages_is_their_contents() -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "무엇?"}, {"type": "image", "text": None}]}]
    table = pa.table(
        {"talk": [messages("안녕", "반가워"), None, []], "parts": [parts, None, []], "turns": [[{"from": "human", "value": "hi"}]] * 3}
    )
    assert base.texts(table, "talk") == ["안녕\n반가워", None, ""]
    assert base.texts(table, "parts")[0] == "무엇?"
    assert base.texts(table, "turns")[0] == "hi"
