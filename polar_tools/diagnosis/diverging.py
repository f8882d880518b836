"""The loss rises, or is no number any more: steps are too long."""

from __future__ import annotations

import math
import statistics

from polar_tools.diagnosis.base import Finding, Run, Words, fifths

RISE = 1.2
"""The last fifth of the losses lies this many times above the lowest fifth, and above the first."""
GROWTH = 10.0
"""The gradient's norm has grown this many times, from the median of the first fifth to that of the last."""
BROKEN = " became "
"""How train.log says that a training ended because numbers broke."""

WORDS = {
    "en": Words(
        "The training diverges",
        "The loss or its gradient grows, or is no number any more: {what}.",
        "The learning rate ({rate:g}) is too high for this model and batch, or there is no warmup; seldom, one broken row.",
        "Lower `learning_rate` to a third or a tenth, set `warmup_steps` and `max_grad_norm: 1.0`, enlarge the batch by "
        "`gradient_accumulation_steps`; with fp16 take `bf16: true` or `dtype: float32`.",
    ),
    "ko": Words(
        "학습이 발산함",
        "손실이나 기울기가 커지거나 더는 수가 아닙니다: {what}.",
        "학습률({rate:g})이 이 모델과 배치에 비해 너무 높거나 워밍업이 없습니다. 드물게는 잘못된 행 하나가 원인입니다.",
        "`learning_rate`를 3분의 1이나 10분의 1로 낮추고 `warmup_steps`와 `max_grad_norm: 1.0`을 설정하세요. "
        "`gradient_accumulation_steps`로 배치를 키우고, fp16이라면 `bf16: true`나 `dtype: float32`를 쓰세요.",
    ),
}


def find(run: Run) -> Finding | None:
    """Losses that are no numbers, a training that ended for one, losses that rise, gradients that grow while the loss doesn't fall."""
    seen = _broken(run) or _rising(run) or _growing(run)
    return Finding({"what": seen, "rate": run.config.learning_rate}) if seen else None


def _broken(run: Run) -> str:
    step = next((int(step) for step, loss in run.curve.train if not math.isfinite(loss)), None)
    if step is not None:
        return f"loss = NaN / inf, step {step:,}"
    return run.error if not run.finished and BROKEN in run.error else ""


def _rising(run: Run) -> str:
    means = [statistics.fmean(part) for part in run.fifths]
    if means and min(means) > 0 and means[-1] > RISE * min(means) and means[-1] > means[0]:
        return f"loss {means[0]:.3f} → {means[-1]:.3f}"
    return ""


def _growing(run: Run) -> str:
    norms = fifths([(line["step"], line["grad_norm"]) for line in run.log if "grad_norm" in line])
    if not norms or not run.fifths or statistics.fmean(run.fifths[-1]) < statistics.fmean(run.fifths[0]):
        return ""
    first, last = statistics.median(norms[0]), statistics.median(norms[-1])
    return f"grad_norm {first:.3g} → {last:.3g}" if last > GROWTH * first > 0 else ""
