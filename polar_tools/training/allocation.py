"""AdaLoRA's ranks, given to where they matter while it trains."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from polar_tools import adapters
from polar_tools.errors import ConfigError


class Allocation(TrainerCallback):
    """Tells AdaLoRA how many steps there are, and after each of them to weigh its ranks anew. Does nothing for other adapters."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """The number of steps is known now."""
        for settings in (settings for adapted in adapters.inside(model) for settings in _adalora(adapted)):
            settings.total_step = state.max_steps
            if settings.tinit >= state.max_steps - settings.tfinal:
                raise ConfigError(
                    f"peft_args: adalora's tinit {settings.tinit} and tfinal {settings.tfinal} leave none of the {state.max_steps} steps "
                    "to give ranks away; lower them, or train longer"
                )

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """The weights are new, their gradients still there."""
        for adapted in adapters.inside(model):
            if _adalora(adapted):
                adapted.base_model.update_and_allocate(state.global_step + 1)


def _adalora(adapted: Any) -> list[Any]:
    return [settings for settings in adapted.peft_config.values() if settings.peft_type.value == "ADALORA"]
