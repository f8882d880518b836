"""ROUGE beside rouge_score, on real text and made up lines, and what its tokenizers do with each script."""

import random
import unicodedata
from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer

from polar_tools import discovery, measuring, rouge
from polar_tools.errors import ConfigError, DataError
from polar_tools.metrics.base import Prediction
from polar_tools.metrics.rouge import Options
from tests import texts


def predicted(pairs: list[tuple[str, str]]) -> list[Prediction]:
    return [Prediction("", reference, text, None, 0) for text, reference in pairs]


def tokens(name: str, text: str) -> list[str]:
    found: list[str] = discovery.load("segmentation", name).tokens([text])[0]
    return found


class Cut:
    """One of our tokenizers as rouge_score takes them; it cuts whole texts."""

    def __init__(self, name: str) -> None:
        self.name = name

    def tokenize(self, text: str) -> list[str]:
        return [token for line in text.split("\n") for token in tokens(self.name, line)]


@pytest.mark.parametrize("language", [texts.english, texts.korean])
@pytest.mark.parametrize("tokenizer", ["word", "char", "morpheme"])
def test_values_are_rouge_scores(language: Any, tokenizer: str) -> None:
    pairs = language()
    scorer = RougeScorer(list(rouge.KINDS), tokenizer=Cut(tokenizer))
    each = [scorer.score(reference, text) for text, reference in pairs]
    found = measuring.figures(predicted(pairs), Options(tokenizer=tokenizer))
    means = {kind: sum(score[kind].fmeasure for score in each) / len(each) for kind in rouge.KINDS}
    assert found == pytest.approx({**means, "rouge_sum": sum(means.values())}, abs=1e-12)
    assert 0.05 < found["rougeL"] <= found["rouge1"] < 0.95


@pytest.mark.parametrize("stem", [False, True])
def test_english_as_it_is_published(stem: bool) -> None:
    pairs = [*texts.english(), ("The singers were singing", "a singer sings")]
    scorer = RougeScorer(list(rouge.KINDS), use_stemmer=stem)
    each = [scorer.score(reference, text) for text, reference in pairs]
    found = measuring.figures(predicted(pairs), Options(tokenizer="rouge-default", use_stemmer=stem))
    for kind in rouge.KINDS:
        assert found[kind] == pytest.approx(sum(score[kind].fmeasure for score in each) / len(each), abs=1e-12)


def test_lines_of_few_different_words() -> None:
    """Where there are many longest common subsequences, `rougeLsum` depends on which one is taken."""
    chance = random.Random(0)

    def text() -> str:
        return "\n".join(" ".join(chance.choice("abcdef") for _ in range(chance.randint(0, 12))) for _ in range(chance.randint(1, 4)))

    class Letters:
        def tokenize(self, text: str) -> list[str]:
            return text.split()

    scorer = RougeScorer(list(rouge.KINDS), tokenizer=Letters())
    for _ in range(500):
        reference, written = text(), text()
        theirs = {kind: score.fmeasure for kind, score in scorer.score(reference, written).items()}
        ours = rouge.scores(*([line.split() for line in one.split("\n")] for one in (reference, written)))
        assert ours == pytest.approx(theirs, abs=1e-12), (reference, written)


def test_worked_by_hand() -> None:
    found = measuring.figures(predicted([("서울은 큰 도시다", "서울은 아주 큰 도시다")]), Options())
    one, two = 2 * 1 * (3 / 4) / (1 + 3 / 4), 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)
    assert found == pytest.approx({"rouge1": one, "rouge2": two, "rougeL": one, "rougeLsum": one, "rouge_sum": 3 * one + two})


def test_sentences_count_once_and_in_any_order() -> None:
    """Lin's example for a summary of two sentences: w1 w2 w6 w7 w8 beside w1 w3 w8 w9 w5 have w1 w2 w3 w5 of w1 w2 w3 w4 w5."""
    assert rouge.rouge_lsum(["12345"], ["12678", "13895"]) == pytest.approx(2 * (4 / 10) * (4 / 5) / (4 / 10 + 4 / 5))


def test_words_of_every_script() -> None:
    assert tokens("word", "한국어 문장, 3.14와 GPT-4!") == ["한국어", "문장", "3", "14와", "gpt", "4"]
    assert tokens("word", unicodedata.normalize("NFD", "한국어 café")) == ["한국어", "café"]
    assert tokens("word", "हिन्दी भाषा") == ["हिन्दी", "भाषा"]
    assert tokens("word", "天气很好。ラーメンABC") == [*"天气很好ラーメン", "abc"]
    assert tokens("word", "น้ำ") == ["น้", "ำ"]
    assert tokens("word", "می\u200cخواهم") == ["می\u200cخواهم"]
    assert tokens("word", "STRASSE straße") == ["strasse", "strasse"]


def test_characters_are_those_that_people_see() -> None:
    assert tokens("char", "A 가" + unicodedata.normalize("NFD", "각") + "\té👨‍👩‍👧!") == ["a", "가", "각", "é", "👨‍👩‍👧", "!"]


def test_morphemes_leave_the_stem_in_common() -> None:
    assert tokens("morpheme", "나는 학교에 갔다.") == ["나", "는", "학교", "에", "가", "었", "다"]
    assert tokens("morpheme", "ㅋㅋ ภาษาไทย GPT 3.14 :)") == ["ㅋㅋ", "ภาษาไทย", "gpt", "3.14"]
    pair = predicted([("학교는 크다", "학교가 크다")])
    assert measuring.figures(pair, Options(tokenizer="morpheme"))["rouge1"] > measuring.figures(pair, Options())["rouge1"]


def test_which_tokenizer_it_was_stands_beside_the_figures() -> None:
    found = measuring.measure(predicted([("가 나", "가 나")]), [Options(tokenizer="morpheme")])["settings"]["rouge"]
    assert found["tokenizer"] == "morpheme"
    assert found["signature"].startswith("tok:morpheme|kiwipiepy:")


def test_morphemes_without_kiwipiepy(monkeypatch: pytest.MonkeyPatch) -> None:
    from polar_tools.segmentation import morpheme

    monkeypatch.setitem(__import__("sys").modules, "kiwipiepy", None)
    morpheme._analyser.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'polar-tools\[korean\]'"):
        measuring.figures(predicted([("가", "가")]), Options(tokenizer="morpheme"))
    morpheme._analyser.cache_clear()


def test_an_empty_token_list_is_never_a_zero() -> None:
    english = Options(tokenizer="rouge-default")
    with pytest.raises(DataError, match="the reference of row 1 .*`rouge-default`; texts outside a-z need `tokenizer: word`"):
        measuring.figures(predicted([("plain", "plain"), ("한국어", "한국어")]), english)
    with pytest.raises(DataError, match="the prediction of row 0 .*'한국어'"):
        measuring.figures(predicted([("한국어", "Korean")]), english)
    with pytest.raises(DataError, match="the reference of row 0 .*'!!'.*`tokenizer: char`"):
        measuring.figures(predicted([("!!", "!!")]), Options())
    assert measuring.figures(predicted([("!!", "!!")]), Options(tokenizer="char"))["rouge1"] == 1.0


def test_who_writes_nothing_scores_nothing_and_it_is_said() -> None:
    found = measuring.measure(predicted([("", "a b"), ("a b", "a b"), ("...", "a b")]), [Options()])
    assert found["metrics"]["rouge1"] == pytest.approx(1 / 3)
    assert found["notes"] == ["1 of 3 predictions are empty: nothing was written there, which counts as wrong"]


def test_stems_are_english() -> None:
    with pytest.raises(ValueError, match="use_stemmer: .*not with `word`"):
        Options(use_stemmer=True)
