"""Texts end because they may be no longer, not because the model has finished."""

from __future__ import annotations

from polar_tools.diagnosis.base import Finding, Run, Words

SHARE = 0.1
"""Of the generated texts."""

WORDS = {
    "en": Words(
        "Outputs are cut by the length",
        "On `{name}` {cut:,} of {rows:,} texts ended at `max_new_tokens`, not where the model would have ended.",
        "The limit is shorter than the answers; or the model never learnt to end, because the end of the turn isn't trained on.",
        "Raise `generation: {{max_new_tokens: ...}}` of the evaluation. Where texts then run on to the new limit, look in the tokenize "
        "stage's report.html whether the token that ends an answer is trained on, and at `on_too_long: cut_right`, which cuts it off.",
    ),
    "ko": Words(
        "출력이 길이 제한에 잘림",
        "`{name}`에서 생성된 글 {rows:,}개 가운데 {cut:,}개가 스스로 끝나지 않고 `max_new_tokens`에서 잘렸습니다.",
        "제한이 답보다 짧거나, 답이 끝나는 토큰을 학습하지 않아 모델이 끝맺는 법을 배우지 못했습니다.",
        "평가의 `generation: {{max_new_tokens: ...}}`를 늘리세요. 그래도 새 제한까지 이어진다면 tokenize 단계의 report.html에서 "
        "답을 끝내는 "
        "토큰이 학습되는지, `on_too_long: cut_right`가 그 토큰을 잘라 내지 않는지 확인하세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """The first evaluation with too many texts that were cut."""
    for one in run.evaluations:
        written = [row.cut for row in one.predictions if row.cut is not None]
        if written and sum(written) >= SHARE * len(written):
            return Finding({"name": one.name, "cut": sum(written), "rows": len(written)})
    return None
