"""Generated texts go round in circles."""

from __future__ import annotations

from polar_tools.diagnosis.base import Finding, Run, Words

SHARE = 0.1
"""Of the generated texts."""
N, FEWEST, DIFFERENT = 3, 12, 0.5
"""A text loops if it has so many runs of N words, or of N characters where it has few blanks, and less than this share are different."""

WORDS = {
    "en": Words(
        "Outputs repeat themselves",
        "On `{name}` {looping:,} of {rows:,} generated texts say the same words over and over.",
        "Greedy search falls into loops where the model is unsure: trained too little or too long, or never taught to end.",
        "Set `repetition_penalty: 1.1` or `no_repeat_ngram_size: 3` under `generation`, and see whether the end of an answer is "
        "trained on.",
    ),
    "ko": Words(
        "출력이 같은 말을 되풀이함",
        "`{name}`에서 생성된 글 {rows:,}개 가운데 {looping:,}개가 같은 말을 되풀이합니다.",
        "모델이 확신하지 못하면 탐욕적 탐색은 반복에 빠집니다. 학습이 부족하거나 지나쳤거나, 끝맺는 법을 배우지 못했습니다.",
        "`generation`에 `repetition_penalty: 1.1`이나 `no_repeat_ngram_size: 3`을 두고, 답이 끝나는 토큰이 학습되는지 확인하세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """The first evaluation with too many texts that loop."""
    for one in run.evaluations:
        written = [row.prediction for row in one.predictions if row.prediction is not None and row.cut is not None]
        looping = sum(map(_loops, written))
        if written and looping >= SHARE * len(written):
            return Finding({"name": one.name, "looping": looping, "rows": len(written)})
    return None


def _loops(text: str) -> bool:
    words = text.split()
    units = words if len(words) >= FEWEST else list("".join(words))
    runs = [tuple(units[place : place + N]) for place in range(len(units) - N + 1)]
    return len(runs) >= FEWEST and len(set(runs)) < DIFFERENT * len(runs)
