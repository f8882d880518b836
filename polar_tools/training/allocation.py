"""AdaLoRA's ranks, given to where they matter while it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from polar_tools import adapters
from polar_tools.errors import ConfigError

FILE = "adalora.pt"
SEEN = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What the allocator knows of how much each rank matters."""


def watch(trainer: Any) -> None:
    """Let checkpoints keep what AdaLoRA knows of its ranks, and all of them: peft saves only those that are left."""
    model = trainer.model
    if not any(_adalora(adapted) for adapted in adapters.inside(model)):
        return
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    save, load = trainer._save_checkpoint, trainer._load_from_checkpoint

    def _save_checkpoint(model: Any, trial: Any) -> None:
        save(model, trial)
        if trainer.args.should_save:
            kept = {"weights": {name: weight.detach() for name, weight in trained.items()}, "ranks": _ranks(trainer.model)}
            torch.save(kept, Path(trainer.args.output_dir) / f"checkpoint-{trainer.state.global_step}" / FILE)

    def _load_from_checkpoint(folder: str, model: Any = None) -> None:
        if not (file := Path(folder) / FILE).is_file():
            load(folder, model)
            return
        kept = torch.load(file, map_location="cpu", weights_only=True)
        with torch.no_grad():
            for name, weight in trained.items():
                weight.copy_(kept["weights"][name])
        _know(trainer.model, kept["ranks"])

    trainer._save_checkpoint, trainer._load_from_checkpoint = _save_checkpoint, _load_from_checkpoint


def _ranks(model: Any) -> list[dict[str, Any]]:
    return [
        {**{name: dict(vars(adapted.base_model.rankallocator)[name]) for name in SEEN}, "pattern": _adalora(adapted)[0].rank_pattern}
        for adapted in adapters.inside(model)
        if _adalora(adapted)
    ]


def _know(model: Any, ranks: list[dict[str, Any]]) -> None:
    adapted = [one for one in adapters.inside(model) if _adalora(one)]
    for one, kept in zip(adapted, ranks, strict=True):
        _adalora(one)[0].rank_pattern = kept["pattern"]
        vars(one.base_model.rankallocator).update({name: {key: value.to(one.device) for key, value in kept[name].items()} for name in SEEN})


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
