"""Metrics of written text beside sacrebleu's and SQuAD's own values on real text, and worked by hand in English and Korean."""

import re
import string
from collections import Counter
from typing import Any

import pytest

from polar_tools import discovery, measuring
from polar_tools.errors import DataError
from polar_tools.metrics.base import Prediction
from tests import texts


def score(name: str, pairs: list[tuple[str, str]], **options: Any) -> dict[str, float]:
    module = discovery.load("metrics", name)
    return measuring.figures([Prediction("", reference, text, None, 0) for text, reference in pairs], module.Options(**options))


@pytest.mark.parametrize("language", [texts.english, texts.korean])
@pytest.mark.parametrize("tokenizer", ["13a", "intl", "char", "zh", "none"])
def test_bleu_is_sacrebleus(language: Any, tokenizer: str) -> None:
    from sacrebleu.metrics import BLEU

    written, references = map(list, zip(*language(), strict=True))
    whole = BLEU(tokenize=tokenizer).corpus_score(written, [references])
    assert score("bleu", language(), tokenizer=tokenizer)["bleu"] == pytest.approx(whole.score / 100, abs=1e-12)
    assert whole.score > 0.1


def test_bleu_with_our_tokenizers_is_sacrebleus_of_their_tokens() -> None:
    from sacrebleu.metrics import BLEU

    cut = discovery.load("segmentation", "morpheme").tokens
    written, references = ([" ".join(words) for words in cut(side)] for side in zip(*texts.korean(), strict=True))
    whole = BLEU(tokenize="none", force=True).corpus_score(written, [references]).score
    assert score("bleu", texts.korean(), tokenizer="morpheme")["bleu"] == pytest.approx(whole / 100, abs=1e-12)


def test_bleu_worked_by_hand() -> None:
    # 5 of 6 words, 3 of 5 pairs, 1 of 4 triples, none of 3 fours, which counts as half of one by exponential smoothing
    found = score("bleu", [("the cat sat on the mat", "the cat lay on the mat")])["bleu"]
    assert found == pytest.approx(((5 / 6) * (3 / 5) * (1 / 4) * (1 / 2 / 3)) ** 0.25)
    short = score("bleu", [("나는 오늘 학교에 갔다", "나는 오늘 학교에 갔다 그리고 왔다")])["bleu"]
    assert short == pytest.approx(2.718281828459045 ** (1 - 6 / 4))
    assert score("bleu", [("서울은 도시다", "서울은 도시다")])["bleu"] == 1.0  # no reference has three words in a row
    assert score("bleu", [("서울은", "서울은 아주 큰 도시다")])["bleu"] == 0.0
    assert score("bleu", [("", "서울은 아주 큰 도시다")])["bleu"] == 0.0


def test_bleu_is_signed() -> None:
    import sacrebleu

    module = discovery.load("metrics", "bleu")
    assert module.signature(module.Options()) == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    assert "|tok:morpheme|kiwipiepy:" in module.signature(module.Options(tokenizer="morpheme"))


@pytest.mark.parametrize("language", [texts.english, texts.korean])
@pytest.mark.parametrize("word_order", [0, 2])
def test_chrf_is_sacrebleus(language: Any, word_order: int) -> None:
    from sacrebleu.metrics import CHRF

    written, references = map(list, zip(*language(), strict=True))
    whole = CHRF(word_order=word_order).corpus_score(written, [references])
    assert score("chrf", language(), word_order=word_order)["chrf"] == pytest.approx(whole.score / 100, abs=1e-12)
    module = discovery.load("metrics", "chrf")
    assert f"|nc:6|nw:{word_order}|" in module.signature(module.Options(word_order=word_order))


def test_chrf_worked_by_hand() -> None:
    # 가나다 beside 가나라: two of three characters, one of two pairs, no triple; precision and recall are the same
    assert score("chrf", [("가나다", "가나라")])["chrf"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def squad(text: str) -> str:
    """As the script of SQuAD v1.1 normalises answers."""
    bare = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def test_answers_as_squad_compares_them() -> None:
    pairs = [
        ("The Eiffel Tower!", "eiffel  tower"),
        ("Don't", "dont"),
        ("in 1999", "1999"),
        ("an apple a day", "apple-day"),
        *texts.english(),
    ]
    exact = [float(squad(text) == squad(reference)) for text, reference in pairs]
    assert score("exact_match", pairs)["exact_match"] == pytest.approx(sum(exact) / len(exact)) != 0

    def f1(text: str, reference: str) -> float:
        ours, theirs = squad(text).split(), squad(reference).split()
        same = sum((Counter(ours) & Counter(theirs)).values())
        return 2 * same / (len(ours) + len(theirs))

    expected = sum(f1(text, reference) for text, reference in pairs) / len(pairs)
    assert score("token_f1", pairs)["token_f1"] == pytest.approx(expected)


def test_answers_in_every_script() -> None:
    assert score("exact_match", [("「서울」입니다。", "서울입니다"), ("東京、", "東京")])["exact_match"] == 1.0
    assert score("exact_match", [("A", "A"), ("A", "The"), ("B", "A"), ("?", "!")])["exact_match"] == 0.25
    assert score("exact_match", [("Seoul", "seoul"), ("가", "\u1100\u1161")], normalize=False)["exact_match"] == 0.5
    assert score("token_f1", [("세종 대왕", "세종대왕")])["token_f1"] == 0.0
    assert score("token_f1", [("세종 대왕", "세종대왕")], tokenizer="char")["token_f1"] == 1.0
    assert score("token_f1", [("학교에", "학교는")], tokenizer="morpheme")["token_f1"] == 0.5
    with pytest.raises(DataError, match="the reference of row 0 .*has no token"):
        score("token_f1", [("!", "!")])


def written(*said: str, cut: bool | None = None, reference: str = "가나다라") -> list[Prediction]:
    return [Prediction("", reference, text, None, 0, cut=cut) for text in said]


def figures(name: str, rows: list[Prediction], **options: Any) -> dict[str, float]:
    return measuring.figures(rows, discovery.load("metrics", name).Options(**options))


def test_how_long_texts_are() -> None:
    found = figures("length", written("가나 다라", "", "a"))
    assert found == {"mean_words": 1.0, "mean_characters": 2.0, "length_ratio": 0.5}
    assert set(figures("length", written("가", reference=""))) == {"mean_words", "mean_characters"}
    with pytest.raises(DataError, match="1 of 2 references are empty"):
        figures("length", [*written("가"), *written("가", reference="")])


def test_texts_that_have_no_end() -> None:
    assert figures("unfinished", written("", " ", "a", "b")) == {"empty": 0.5}
    assert figures("unfinished", [*written("a", "b", "", cut=False), *written("c", cut=True)]) == {"empty": 0.25, "cut_off": 0.25}
    with pytest.raises(DataError, match="of 1 of 2 rows isn't known whether they were cut off"):
        figures("unfinished", [*written("a"), *written("b", cut=True)])


def test_texts_that_run_in_circles() -> None:
    # 가 나 다 라 가 나 다 라: five fours, of which the last stood before; the short text has none
    assert figures("repetition", written("가 나 다 라 가 나 다 라", "가 나 다")) == {"repeated_4grams": 0.2}
    assert figures("repetition", written("so so so"), n=1) == {"repeated_1grams": pytest.approx(2 / 3)}
    assert figures("repetition", written("", "short")) == {"repeated_4grams": 0.0}
    assert figures("distinct", written("a b a b", "a")) == {"distinct_1": 3 / 5, "distinct_2": 2 / 3}
    with pytest.raises(DataError, match="no text has two tokens"):
        figures("distinct", written("", "one"))
