"""The loss begins higher than that of a model which knows anything."""

from __future__ import annotations

from polar_tools.diagnosis.base import Finding, Run, Words

MOST = 10.0
"""Nats: guessing evenly among 22,026 tokens costs as much."""

WORDS = {
    "en": Words(
        "The loss began above 10",
        "The first logged loss is {first:.2f}. A language model that fits its tokenizer begins between 1 and 5.",
        "The model doesn't know what it is shown: another tokenizer or chat template than it was trained with, new embeddings or weights "
        "that weren't loaded; or, for a number as label, values of hundreds.",
        "Look at the X-ray of the loss mask in the tokenize stage's report.html; check `tokenizer_name` and the template, and "
        "the log for "
        "weights that were newly initialized. Scale numbers that are to be learnt.",
    ),
    "ko": Words(
        "초기 손실이 10을 넘음",
        "처음 기록된 손실이 {first:.2f}입니다. 토크나이저와 맞는 언어 모델이라면 보통 1에서 5 사이에서 시작합니다.",
        "모델이 입력을 이해하지 못합니다. 토크나이저나 대화 템플릿이 사전 학습 때와 다르거나, 임베딩이 새로 만들어졌거나, "
        "가중치를 불러오지 "
        "못했을 수 있습니다. 숫자를 예측하는 경우라면 값이 너무 클 수 있습니다.",
        "tokenize 단계의 report.html에서 손실 마스크를 확인하세요. `tokenizer_name`과 템플릿, 그리고 로그에 새로 초기화된 "
        "가중치가 있는지도 "
        "살펴보세요. 예측할 숫자는 범위를 줄이세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """The first line of the log."""
    first = run.curve.train[0][1] if run.curve.train else 0.0
    return Finding({"first": first}) if first > MOST else None
