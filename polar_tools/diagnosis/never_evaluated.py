"""A training is finished, and nobody has looked at how good the model is."""

from __future__ import annotations

from polar_tools.diagnosis.base import Finding, Run, Words

WORDS = {
    "en": Words(
        "Never evaluated",
        "The training is finished ({steps:,} steps), and there is neither an evaluation of its model nor a validation loss.",
        "No rows are held out, or `eval_steps` is more than the training has steps.",
        "Hold rows out (`split: {{test_size: 0.1, seed: 0}}` in the dataset) and name them under `evaluations`; to watch while training, "
        "`eval_datasets` with `eval_strategy: epoch`.",
    ),
    "ko": Words(
        "한 번도 평가하지 않음",
        "학습이 끝났지만({steps:,} 스텝) 모델의 평가도 검증 손실도 없습니다.",
        "떼어 둔 데이터가 없거나 `eval_steps`가 전체 스텝보다 큽니다.",
        "데이터셋에서 일부를 떼어 두고(`split: {{test_size: 0.1, seed: 0}}`) `evaluations`에 적으세요. 학습하는 동안 보려면 "
        "`eval_datasets`와 `eval_strategy: epoch`를 쓰세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """Only of a finished training, and where no evaluation is planned: it is too early to say otherwise."""
    watched = run.facts.get("eval_metrics") or any(key.startswith("eval_") for line in run.log for key in line)
    if watched or run.to_be_evaluated or not run.finished or not run.config.do_train:
        return None
    return Finding({"steps": run.facts.get("steps", 0)})
