"""The loss on held-out rows rises while that of the training rows falls."""

from __future__ import annotations

import math
import statistics

from polar_tools.diagnosis.base import Finding, Run, Words

RISE = 1.05
"""The last validation loss is at least this many times the lowest: less than that comes and goes."""

WORDS = {
    "en": Words(
        "Overfitting",
        "The loss on the held-out rows of `{data}` rises since epoch {epoch:.1f} (step {step:,}): from {lowest:.3f} to {last:.3f}. "
        "That of the training rows is {train:.3f} at the end.",
        "The model learns the training rows by heart, and has had enough of them by epoch {epoch:.1f}.",
        "Train less (`num_train_epochs: {epoch:.1f}`), or keep the best checkpoint: `eval_strategy` and `save_strategy: epoch`, "
        "`load_best_model_at_end: true`, `early_stopping_patience: 2`. More rows help most; then a lower `learning_rate`, more "
        "`weight_decay` or `lora_dropout`, a smaller `lora_r`.",
    ),
    "ko": Words(
        "과적합",
        "검증 데이터 `{data}`의 손실이 에폭 {epoch:.1f}(스텝 {step:,})부터 {lowest:.3f}에서 {last:.3f}로 오릅니다. "
        "학습 데이터의 마지막 손실은 {train:.3f}입니다.",
        "모델이 학습 데이터를 외우고 있으며, 에폭 {epoch:.1f} 이후로는 더 배울 것이 없습니다.",
        "학습을 줄이거나(`num_train_epochs: {epoch:.1f}`) 가장 좋은 체크포인트를 남기세요: `eval_strategy`와 `save_strategy: epoch`, "
        "`load_best_model_at_end: true`, `early_stopping_patience: 2`. 데이터를 늘리는 것이 가장 효과적이고, 그다음은 `learning_rate`를 "
        "낮추거나 `weight_decay`, `lora_dropout`을 높이거나 `lora_r`을 줄이는 것입니다.",
    ),
}


def find(run: Run) -> Finding | None:
    """The first watched dataset whose loss has risen since its lowest, unless the best checkpoint is what was kept."""
    if run.config.load_best_model_at_end or not run.curve.train:
        return None
    for name, points in run.curve.evaluation.items():
        step, lowest = min(points, key=lambda point: point[1])
        last = points[-1][1]
        train = statistics.fmean(loss for _, loss in run.curve.train[-max(1, len(run.curve.train) // 5) :])
        if math.isfinite(last) and last > train and last >= RISE * lowest > 0:
            when = {"epoch": run.epoch(step), "step": int(step)}
            return Finding({"data": name, "lowest": lowest, "last": last, "train": train, **when})
    return None
