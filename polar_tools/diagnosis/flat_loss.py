"""The loss stays where it began: nothing is learnt."""

from __future__ import annotations

import statistics

from polar_tools.diagnosis.base import Finding, Run, Words

CHANGE = 0.01
"""Between the first and the last fifth the loss moved by less than this share."""
LEARNT = 0.05
"""A loss that begins below this, in nats, has nowhere to go."""

WORDS = {
    "en": Words(
        "Nothing was learnt",
        "The loss stays where it began: {first:.4f} over the first fifth of the training, {last:.4f} over the last.",
        "Steps are too short (learning rate {rate:g}), hardly anything of the model is trained, or the labels have nothing to do "
        "with the "
        "inputs.",
        "Raise `learning_rate` tenfold (adapters take 1e-4 to 1e-3, whole models 1e-5 to 5e-5), train more of the model "
        "(`target_modules: all-linear`, a higher `lora_r`), and look whether `columns` place the right answer beside each input.",
    ),
    "ko": Words(
        "배운 것이 없음",
        "손실이 처음 그대로입니다: 학습의 처음 5분의 1은 {first:.4f}, 마지막 5분의 1은 {last:.4f}입니다.",
        "학습률({rate:g})이 너무 낮거나, 학습되는 가중치가 너무 적거나, 정답이 입력과 관계가 없습니다.",
        "`learning_rate`를 열 배로 높이세요(어댑터는 1e-4~1e-3, 전체 학습은 1e-5~5e-5). 더 많은 가중치를 학습하고"
        "(`target_modules: all-linear`, 더 큰 `lora_r`) `columns`가 입력마다 맞는 정답을 가리키는지 확인하세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """The training loss."""
    if not run.fifths:
        return None
    first, last = statistics.fmean(run.fifths[0]), statistics.fmean(run.fifths[-1])
    if first < LEARNT or abs(first - last) > CHANGE * first:
        return None
    return Finding({"first": first, "last": last, "rate": run.config.learning_rate})
