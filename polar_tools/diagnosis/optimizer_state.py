"""The optimizer's state takes far more of the disk than the model."""

from __future__ import annotations

from polar_tools.diagnosis.base import Finding, Run, Words

TIMES, LEAST = 3, 10**9
"""The state has this many times the bytes of the saved model, and so many at least: less is nobody's trouble."""

WORDS = {
    "en": Words(
        "Optimizer state dwarfs the model on disk",
        "Checkpoints hold {state:.1f} GB of optimizer state; the model itself has {model:.1f} GB.",
        "Adam keeps two numbers for each weight that is trained, and every checkpoint keeps them again.",
        "Keep fewer (`save_total_limit: 1`), keep none of it (`save_only_model: true`, from which no training goes on), or make "
        "it smaller: "
        "`optim: adamw_8bit` or `adafactor`, or train an adapter (`use_peft: true`). The folder checkpoints/ of a finished training "
        "is needed for nothing but to go on from.",
    ),
    "ko": Words(
        "옵티마이저 상태가 모델보다 훨씬 큼",
        "체크포인트에 옵티마이저 상태가 {state:.1f} GB 있습니다. 모델은 {model:.1f} GB입니다.",
        "Adam은 학습하는 가중치마다 수를 두 개씩 더 저장하고, 체크포인트마다 그것을 다시 저장합니다.",
        "체크포인트를 적게 남기거나(`save_total_limit: 1`), 상태를 저장하지 않거나(`save_only_model: true`, 대신 이어서 학습할 "
        "수 없습니다), "
        "상태를 줄이세요: `optim: adamw_8bit`나 `adafactor`, 또는 어댑터 학습(`use_peft: true`). 끝난 학습의 checkpoints/ 폴더는 이어서 "
        "학습할 때만 필요합니다.",
    ),
}


def find(run: Run) -> Finding | None:
    """What lies on the disk."""
    if run.state_bytes < LEAST or run.state_bytes < TIMES * run.model_bytes or not run.model_bytes:
        return None
    return Finding({"state": run.state_bytes / 1e9, "model": run.model_bytes / 1e9})
