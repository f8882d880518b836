"""Training rows, or their labels, say the same again and again."""

from __future__ import annotations

from polar_tools.diagnosis.base import Finding, Run, Words

DUPLICATES, ONE_LABEL = 0.1, 0.9
"""Shares of the training rows from which on they repeat: rows equal to an earlier one, rows of the same label."""

WORDS = {
    "en": Words(
        "Labels or rows repeat",
        "{repeated:,} of {rows:,} training rows {how}.",
        "Rows were collected several times, or nearly all are of one kind: the model is paid for repeating, not for telling apart.",
        "Give the dataset the filter `duplicates` (or `near_duplicates`), the filter `balance` for labels, a split with "
        "`stratify: label`; "
        "and measure macro-F1, not accuracy alone.",
    ),
    "ko": Words(
        "레이블이나 행이 반복됨",
        "학습 데이터 {rows:,}행 가운데 {repeated:,}행이 반복됩니다({how_ko}).",
        "같은 데이터가 여러 번 모였거나 거의 모두 한 종류입니다. 모델은 구별하는 법이 아니라 되풀이하는 법을 배웁니다.",
        "데이터셋에 `duplicates`(또는 `near_duplicates`) 필터를, 레이블에는 `balance` 필터를 쓰고 `stratify: label`로 나누세요. "
        "정확도만 보지 말고 macro-F1도 함께 보세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """What the stage tokenize counted: a label that nearly all rows have, or rows with the tokens of an earlier one."""
    labels: dict[str, int] = run.tokens.get("labels", {})
    rows = sum(labels.values())
    most = max(labels, key=lambda label: labels[label], default="")
    if rows and labels[most] >= ONE_LABEL * rows:
        told = {"how": f"have the label `{most}`", "how_ko": f"레이블 `{most}`"}
        return Finding({"repeated": labels[most], "rows": rows, **told})
    rows, repeated = run.tokens.get("rows", 0), run.tokens.get("duplicates", 0)
    if rows and repeated >= DUPLICATES * rows:
        return Finding({"repeated": repeated, "rows": rows, "how": "have the tokens of an earlier row", "how_ko": "앞선 행과 토큰이 같음"})
    return None
