"""Memory ran out, or nearly."""

from __future__ import annotations

from polar_tools.diagnosis.base import Finding, Run, Words

SHARE = 0.92
"""Of what there is."""

WORDS = {
    "en": Words(
        "Memory is nearly all used",
        "Memory ran out, or nearly: {what}.",
        "A longer row than any so far, or another program, ends such a training.",
        "Halve `per_device_train_batch_size` and double `gradient_accumulation_steps`, shorten `max_length`, set "
        "`activation_checkpointing: true`, `dtype: bfloat16`, or train an adapter (`use_peft: true`, `quantization: int4`).",
    ),
    "ko": Words(
        "메모리가 거의 다 쓰임",
        "메모리가 모자랐거나 거의 다 찼습니다: {what}.",
        "지금까지보다 긴 행 하나나 다른 프로그램만으로도 학습이 멈출 수 있습니다.",
        "`per_device_train_batch_size`를 절반으로, `gradient_accumulation_steps`를 두 배로 하고, `max_length`를 줄이고, "
        "`activation_checkpointing: true`나 `dtype: bfloat16`을 쓰거나 어댑터로 학습하세요(`use_peft: true`, `quantization: int4`).",
    ),
}


def find(run: Run) -> Finding | None:
    """What the manifest measured: memory that ran out once, a device or a machine nearly full."""
    training = run.measured.get("training", {})
    if ran_out := run.measured.get("memory_ran_out"):
        told = ", ".join(f"{name}: {value}" for name, value in sorted(ran_out["went_on_with"].items()))
        return Finding({"what": f"out of memory → {told}"})
    pairs = (
        ("GPU", training.get("peak_device_memory_mb"), training.get("device_memory_mb")),
        ("RAM", run.measured.get("peak_memory_mb"), run.measured.get("memory_mb")),
    )
    for name, used, there in pairs:
        if used and there and used >= SHARE * there:
            return Finding({"what": f"{name}: {used:,} / {there:,} MiB ({used / there:.0%})"})
    return None
