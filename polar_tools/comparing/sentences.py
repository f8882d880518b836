"""What a person may quote of a comparison, in English and Korean."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from polar_tools.comparing.comparison import Comparison, Kind, Pair, Told
from polar_tools.comparing.parts import Parts

ORDER = ("better", "higher", "worse", "lower", "not distinguishable", "unknown")
OPPOSITE = {"better": "worse", "worse": "better", "higher": "lower", "lower": "higher"}
NAMES = {"bleu": "BLEU", "chrf": "chrF", "mrr": "MRR", "ndcg": "nDCG", "auc": "AUC", "f1": "F1", "mse": "MSE", "mae": "MAE"}
KOREAN = {"better": "더 좋습니다", "worse": "더 나쁩니다", "higher": "더 높습니다", "lower": "더 낮습니다"}


@dataclass(frozen=True)
class Sentence:
    """About one lot by one figure, in both languages."""

    figure: str
    lot: str
    en: str
    ko: str


@dataclass(frozen=True)
class Seen:
    """A pair by one figure, from the side of one of the two: its own figure less that of `other`, and the ends of the interval."""

    other: str
    told: Told
    verdict: str
    value: float
    low: float
    high: float

    @property
    def sizes(self) -> tuple[float, float, float]:
        """By how much the two differ, whichever way, with the ends of the interval."""
        return (self.value, self.low, self.high) if self.value > 0 else (-self.value, -self.high, -self.low)


def of(comparison: Comparison) -> list[Sentence]:
    """By every figure a sentence about each lot that is no mere baseline, or about all where pairs go both ways."""
    return [
        Sentence(figure, lot, *_written(lot, figure, kind, seen, comparison.rows))
        for figure, kind in comparison.kinds.items()
        for lot in comparison.lots
        if (seen := _seen(comparison, figure, lot))
    ]


def stories(whole: Comparison, parts: Parts) -> list[Sentence]:
    """Where the clean part of the rows doesn't say what all rows say."""
    if parts.clean is None or parts.contaminated is None:
        return []
    clean = {(pair.baseline, pair.other): pair for pair in parts.clean.pairs}
    return [
        Sentence(figure, pair.other, *_story(pair, figure, whole.kinds[figure], told, alone.figures[figure], parts))
        for pair in whole.pairs
        for figure, told in pair.figures.items()
        if figure in (alone := clean[pair.baseline, pair.other]).figures and alone.figures[figure].verdict != told.verdict
    ]


def shown(figure: str) -> str:
    """A figure's name as people write it."""
    if found := re.fullmatch(r"rouge_?(\w+)", figure):
        return f"ROUGE-{found[1]}"
    return " ".join(NAMES.get(word, word) for word in figure.split("_"))


def numbers(values: Sequence[float], kind: Kind, signed: bool = False) -> list[str]:
    """Figures that stand together as people read them: shares times 100, others to three digits of the largest; with a true minus."""
    scale, sign = 100 if kind.share else 1, "+" if signed else ""
    largest = max(map(abs, values))
    digits = 1 if kind.share or not largest else max(0, 2 - math.floor(math.log10(largest)))
    return [f"{scale * value:{sign}z,.{digits}f}".replace("-", "−") for value in values]


def _seen(comparison: Comparison, figure: str, lot: str) -> list[Seen]:
    """All pairs of a lot by one figure, what it is better than first; pairs in which it is the baseline only where it is not so in all."""
    mine = [pair for pair in comparison.pairs if figure in pair.figures and lot in (pair.baseline, pair.other)]
    if all(pair.baseline == lot for pair in mine):
        return []
    found = [_from(pair, figure, lot) for pair in mine]
    return sorted(found, key=lambda one: ORDER.index(one.verdict))


def _from(pair: Pair, figure: str, lot: str) -> Seen:
    told, mine = pair.figures[figure], pair.other == lot
    way = 1 if mine else -1
    low, high = sorted(way * end for end in told.difference.interval or (0.0, 0.0))
    verdict = told.verdict if mine else OPPOSITE.get(told.verdict, told.verdict)
    return Seen(pair.baseline if mine else pair.other, told, verdict, way * told.difference.value, low, high)


def _written(lot: str, figure: str, kind: Kind, seen: list[Seen], rows: int) -> tuple[str, str]:
    english = "; ".join(_english(one, figure, kind, rows, first=one is seen[0]) for one in seen)
    korean = "; ".join(_korean(one, kind, rows) for one in seen)
    return f"{lot} is {english}", f"{lot} 모델은 {shown(figure)} 기준으로 {korean}"


def _english(one: Seen, figure: str, kind: Kind, rows: int, first: bool) -> str:
    name = shown(figure)
    if one.verdict in OPPOSITE:
        size, low, high = numbers(one.sizes, kind)
        return f"{one.verdict} than {one.other} by {size}{_unit(name, kind)}, 95 % CI {low} to {high}"
    which = f" in {name}" if first else ""
    if one.verdict == "unknown":
        return f"not to be compared with {one.other}{which}: {rows} row{'' if rows == 1 else 's'} can't tell"
    return f"not distinguishable from {one.other}{which} ({'; '.join(_doubt(one, kind, rows))})"


def _unit(name: str, kind: Kind) -> str:
    if name[:1].isupper() or name == "chrF":
        return f" {name}"
    return f" points of {name}" if kind.share else f" in {name}"


def _doubt(one: Seen, kind: Kind, rows: int) -> Iterator[str]:
    """Why two can't be told apart, and what could be."""
    if not (one.value or one.low or one.high):
        yield "the same on every row"
        return
    value, low, high = _doubted(one, kind)
    yield f"{value}, 95 % CI {low} to {high}"
    if (one.low > 0 or one.high < 0) and one.told.of > 1:
        yield f"p = {one.told.difference.p:.2g}, but {one.told.p_holm:.2g} among {one.told.of} comparisons"
    if one.told.difference.detectable:
        yield f"{rows:,} rows like these show {numbers([one.told.difference.detectable], kind)[0]} or more"


def _doubted(one: Seen, kind: Kind) -> tuple[str, str, str]:
    """A difference with its sign, and the ends of its interval."""
    value, low, high = numbers((one.value, one.low, one.high), kind)
    return value if value.startswith("−") else f"+{value}", low, high


def _korean(one: Seen, kind: Kind, rows: int) -> str:
    if one.verdict in OPPOSITE:
        size, low, high = numbers(one.sizes, kind)
        point = "점" if kind.share else ""
        return f"{one.other} 모델보다 {size}{point} {KOREAN[one.verdict]}(95 % 신뢰구간 {low}~{high})"
    if one.verdict == "unknown":
        return f"{one.other} 모델과 비교할 수 없습니다({rows}행으로는 알 수 없습니다)"
    return f"{one.other} 모델과 구별되지 않습니다({', '.join(_korean_doubt(one, kind, rows))})"


def _korean_doubt(one: Seen, kind: Kind, rows: int) -> Iterator[str]:
    if not (one.value or one.low or one.high):
        yield "모든 행에서 같습니다"
        return
    value, low, high = _doubted(one, kind)
    yield f"{value}, 95 % 신뢰구간 {low}~{high}"
    if (one.low > 0 or one.high < 0) and one.told.of > 1:
        yield f"p = {one.told.difference.p:.2g}이지만 비교 {one.told.of}건 가운데서는 {one.told.p_holm:.2g}"
    if one.told.difference.detectable:
        yield f"이런 {rows:,}행으로는 {numbers([one.told.difference.detectable], kind)[0]} 이상의 차이가 드러납니다"


def _story(pair: Pair, figure: str, kind: Kind, told: Told, alone: Told, parts: Parts) -> tuple[str, str]:
    """What the clean rows say, and whether that contradicts all rows or is only less sure."""
    assert parts.clean is not None and parts.contaminated is not None
    clean, seen = parts.clean.rows, parts.contaminated.rows
    found = _from(Pair(pair.baseline, pair.other, {figure: alone}), figure, pair.other)
    if told.verdict not in OPPOSITE:
        english, korean = "which all rows together do not show", "전체 행에서는 드러나지 않는 결과입니다"
    elif found.low <= told.difference.value <= found.high:
        english = "which does not contradict what all rows say, but is no proof of it either"
        korean = "전체 행의 결과와 어긋나지는 않지만 그것을 뒷받침하지도 못합니다"
    else:
        english = f"so what all rows say comes from the {seen:,} that overlap with training data"
        korean = f"전체 행의 결과는 학습 데이터와 겹치는 {seen:,}행에서 나온 것입니다"
    return (
        f"on the {clean:,} clean rows alone {pair.other} is {_english(found, figure, kind, clean, first=True)}, {english}",
        f"겹치지 않는 {clean:,}행만 보면 {pair.other} 모델은 {shown(figure)} 기준으로 {_korean(found, kind, clean)}. {korean}",
    )
