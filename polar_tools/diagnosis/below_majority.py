"""The trained model is no better than always giving the commonest label."""

from __future__ import annotations

from polar_tools.diagnosis.base import Finding, Run, Words

WORDS = {
    "en": Words(
        "No better than the commonest label",
        "On `{name}` the trained model's accuracy is {accuracy:.1%}; always giving the commonest label reaches {majority:.1%}.",
        "The model hasn't learnt what tells the labels apart.",
        "Train longer or at another `learning_rate`; look at the confusion matrix for labels that are mixed up, at `max_length` for rows "
        "that lose their end, and at the labels themselves.",
    ),
    "ko": Words(
        "가장 흔한 레이블보다 낫지 않음",
        "`{name}`에서 학습된 모델의 정확도는 {accuracy:.1%}입니다. 항상 가장 흔한 레이블로 답해도 {majority:.1%}입니다.",
        "모델이 레이블을 구별하는 법을 배우지 못했습니다.",
        "더 오래, 또는 다른 `learning_rate`로 학습하세요. 혼동 행렬에서 섞이는 레이블을, `max_length`에서 끝이 잘리는 행을, "
        "그리고 레이블 자체를 살펴보세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """The first evaluation with both figures."""
    for one in run.evaluations:
        accuracy, majority = one.after.get("accuracy"), one.after.get("majority_accuracy")
        if accuracy is not None and majority is not None and accuracy <= majority < 1:
            return Finding({"name": one.name, "accuracy": accuracy, "majority": majority})
    return None
