"""trl's GRPOTrainer and RLOOTrainer, given prompts that are token ids already."""

from __future__ import annotations

from typing import Any

from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from trl import GRPOTrainer, RLOOTrainer


class _Grouped:
    """What both need: our ids, our end of a completion, and a reference that is the model as it is given.

    trl tokenizes prompts itself: texts with the tokenizer's own marks around them, messages by its template. Rows whose `prompt` is a list
    of ids pass through, so that a model is trained on the very ids that it is evaluated with.
    """

    def __init__(self, *, stop: int, **options: Any) -> None:
        super().__init__(**options)
        trainer: Any = self
        trainer.eos_token_ids = [stop]
        trainer.generation_config.eos_token_id = trainer.generation_kwargs["eos_token_id"] = [stop]
        if trainer.ref_model is not None:  # read again by trl from where the weights once lay, without an adapter that was merged since
            _copy_weights(trainer.model, trainer.accelerator.unwrap_model(trainer.ref_model))

    def _tokenize_prompts(self, prompts: list[list[int]]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return prompts, None, {}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log all but how long a step took, which no two runs have in common."""
        trainer: Any = self
        for figures in trainer._metrics.values():
            figures.pop("step_time", None)
        super().log(logs, start_time)  # type: ignore[misc]

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **options: Any) -> Any:
        """Give back rewards too, so that a checkpoint can be chosen by them; trl only logs them."""
        trainer: Any = self
        output: Any = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **options)  # type: ignore[misc]
        means = {f"{metric_key_prefix}_{name}": sum(values) / len(values) for name, values in trainer._metrics["eval"].items() if values}
        return output._replace(metrics={**means, **output.metrics})


def _copy_weights(source: Any, target: Any) -> None:
    """Give `target` the weights of `source`. Of a model that is divided by ZeRO-3 they are put together one by one."""
    if not is_deepspeed_zero3_enabled():
        target.load_state_dict(source.state_dict())
        return
    from deepspeed.runtime.zero import GatheredParameters

    for ours, theirs in zip(source.parameters(), target.parameters(), strict=True):
        with GatheredParameters([ours, theirs], modifier_rank=0):
            theirs.data.copy_(ours.data)


class GroupedGRPOTrainer(_Grouped, GRPOTrainer):
    """GRPOTrainer on ids."""


class GroupedRLOOTrainer(_Grouped, RLOOTrainer):
    """RLOOTrainer on ids."""
