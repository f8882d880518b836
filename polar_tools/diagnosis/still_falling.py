"""The loss still falls when the training ends."""

from __future__ import annotations

import statistics

from polar_tools.diagnosis.base import Finding, Run, Words, noise

FALL = 0.05
"""The last fifth of the losses lies lower than the one before by at least this share."""
LEARNT = 0.05
"""Nats: a loss below this has hardly anything left to lose."""
ERRORS = 2
"""And it lies lower by this many standard errors of the difference."""

WORDS = {
    "en": Words(
        "The loss was still falling at the end",
        "Over the last fifth of the training the loss fell by {share:.0%} (from {before:.3f} to {last:.3f}), and it didn't level out.",
        "The training ended before the model had learnt what is in the rows.",
        "Train longer: a higher `num_train_epochs` or `max_steps` (`extend_training: true` goes on from the last checkpoint), or raise "
        "`learning_rate`.",
    ),
    "ko": Words(
        "손실이 아직 내려가는 중에 끝남",
        "학습의 마지막 5분의 1 동안 손실이 {share:.0%} 내려갔고({before:.3f} → {last:.3f}) 아직 평평해지지 않았습니다.",
        "데이터에 담긴 내용을 다 배우기 전에 학습이 끝났습니다.",
        "더 오래 학습하세요: `num_train_epochs`나 `max_steps`를 늘리거나(`extend_training: true`로 마지막 체크포인트에서 이어 갑니다) "
        "`learning_rate`를 높이세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """The training loss, of a finished training, where no watched dataset has begun to rise."""
    turned = any(points[-1][1] > min(loss for _, loss in points) for points in run.curve.evaluation.values())
    if not run.finished or not run.fifths or turned:
        return None
    *_, fourth, fifth = run.fifths
    before, last = statistics.fmean(fourth), statistics.fmean(fifth)
    doubt = (noise(fourth) ** 2 + noise(fifth) ** 2) ** 0.5
    if before < LEARNT or before - last < max(FALL * before, ERRORS * doubt):
        return None
    return Finding({"before": before, "last": last, "share": (before - last) / before})
