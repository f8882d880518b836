"""The trained model does worse than the untouched one."""

from __future__ import annotations

from polar_tools import discovery
from polar_tools.diagnosis.base import Finding, Measurement, Run, Words

WORDS = {
    "en": Words(
        "Worse than before the training",
        "On `{name}` {metric} went from {before:.4g} to {after:.4g}.",
        "What was learnt isn't what is measured: other rows, another format of the answer, or the model forgot what it knew.",
        "Compare samples before and after on the experiment's page; lower `learning_rate`, train an adapter (`use_peft: true`), "
        "mix rows of "
        "the old kind in (`mixtures`), and see that evaluation and training have the same prompt.",
    ),
    "ko": Words(
        "학습 전보다 나빠짐",
        "`{name}`에서 {metric}이(가) {before:.4g}에서 {after:.4g}로 나빠졌습니다.",
        "배운 것과 재는 것이 다릅니다. 데이터나 답의 형식이 다르거나, 모델이 알던 것을 잊었습니다.",
        "실험 페이지에서 학습 전후의 답을 견주어 보세요. `learning_rate`를 낮추고, 어댑터로 학습하고(`use_peft: true`), 예전 "
        "종류의 데이터를 "
        "섞고(`mixtures`), 평가와 학습의 프롬프트가 같은지 확인하세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """The first evaluation of which most figures got worse; where intervals are known, only those count that don't overlap."""
    for one in run.evaluations:
        names = [name for name in one.after if name in one.before and not name.startswith("majority_")]
        worse = [name for name in names if _by_how_much(one, name) < 0 and not _overlap(one, name)]
        if worse and 2 * len(worse) > len(names):
            return Finding({"name": one.name, "metric": worse[0], "before": one.before[worse[0]], "after": one.after[worse[0]]})
    return None


def _by_how_much(one: Measurement, name: str) -> float:
    """How much better a figure is; below zero it got worse, and 0 is also what of itself is neither better nor worse."""
    change, lower_is_better = one.after[name] - one.before[name], discovery.load("metrics", one.given_by[name]).LOWER_IS_BETTER
    return 0.0 if lower_is_better is None else -change if lower_is_better else change


def _overlap(one: Measurement, name: str) -> bool:
    if name not in one.intervals.get("before", {}) or name not in one.intervals.get("after", {}):
        return False
    (low, high), (other_low, other_high) = one.intervals["before"][name], one.intervals["after"][name]
    return low <= other_high and other_low <= high
