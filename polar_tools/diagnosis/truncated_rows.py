"""Training rows lose their ends, or are left out, because they are longer than max_length."""

from __future__ import annotations

from polar_tools.diagnosis.base import Finding, Run, Words

SHARE = 0.1
"""Of the training rows."""

WORDS = {
    "en": Words(
        "Many rows are longer than max_length",
        "`max_length: {limit:,}` cuts {cut:,} of {rows:,} training rows and drops {dropped:,}; {answers:,} lose tokens that are "
        "trained on.",
        "The limit is too short for these rows, and what is cut off is never learnt: often the end of the answer.",
        "Set `max_length: {recommended:,}` (with `packing` or a smaller `per_device_train_batch_size` if memory runs out), "
        "or shorten the rows by the filters `first_words` or `length`.",
    ),
    "ko": Words(
        "max_length보다 긴 행이 많음",
        "`max_length: {limit:,}` 때문에 학습 데이터 {rows:,}행 가운데 {cut:,}행이 잘리고 {dropped:,}행이 빠집니다. "
        "{answers:,}행은 학습할 토큰을 잃습니다.",
        "제한이 너무 짧습니다. 잘린 부분, 흔히 답의 끝부분은 배우지 못합니다.",
        "`max_length: {recommended:,}`로 늘리거나(메모리가 부족하면 `packing`이나 더 작은 `per_device_train_batch_size`), "
        "`first_words`나 `length` 필터로 행을 줄이세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """What the stage tokenize counted."""
    rows, cut, dropped = (run.tokens.get(name, 0) for name in ("rows", "cut", "dropped"))
    if not rows or cut + dropped < SHARE * rows:
        return None
    cuts, recommended = run.tokens["cuts"], run.tokens["recommended"]["max_length"]["value"]
    told = {"limit": cuts["max_length"], "answers": cuts["answers_cut"], "recommended": max(recommended, cuts["max_length"])}
    return Finding({"rows": rows, "cut": cut, "dropped": dropped, **told})
