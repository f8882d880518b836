"""The model gives the same answer to everything."""

from __future__ import annotations

from collections import Counter

from polar_tools.diagnosis.base import Finding, Run, Words

MOST, FEWEST = 0.9, 10
"""Share of the rows with one answer, and of how many rows that says something."""
FACTOR = 1.5
"""The answer comes this many times as often as any reference does."""
SHOWN = 60

WORDS = {
    "en": Words(
        "The same answer everywhere",
        "On `{name}` the trained model answers {same:,} of {rows:,} rows with “{answer}”; the commonest reference stands in {expected:,}.",
        "It has learnt the commonest answer and nothing of the inputs: too high a learning rate, too few steps, or one label that is far "
        "more common than the others.",
        "Lower `learning_rate` and train longer; give the dataset the filter `balance`; see that the prompt isn't cut off by `max_length`.",
    ),
    "ko": Words(
        "어디에나 같은 답",
        "`{name}`에서 학습된 모델이 {rows:,}행 가운데 {same:,}행에 “{answer}”라고 답합니다. 가장 흔한 정답은 {expected:,}행입니다.",
        "입력을 보지 않고 가장 흔한 답만 배웠습니다. 학습률이 너무 높거나, 스텝이 너무 적거나, 한 레이블이 지나치게 많습니다.",
        "`learning_rate`를 낮추고 더 오래 학습하세요. 데이터셋에 `balance` 필터를 쓰고, 질문이 `max_length`에 잘리지 않는지 확인하세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """The first evaluation of which nearly all predictions are one, while references differ."""
    for one in run.evaluations:
        answers = Counter(row.prediction for row in one.predictions if row.prediction is not None)
        if answers.total() < FEWEST:
            continue
        (answer, same), expected = answers.most_common(1)[0], Counter(row.reference for row in one.predictions).most_common(1)[0][1]
        if same >= MOST * answers.total() and same >= FACTOR * expected:
            return Finding({"name": one.name, "same": same, "rows": answers.total(), "answer": answer[:SHOWN], "expected": expected})
    return None
