"""sentence-transformers' trainers, without the model card that they write of the rows, and going on from checkpoints with adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from sentence_transformers.cross_encoder import CrossEncoderTrainer
from sentence_transformers.sentence_transformer import SentenceTransformerTrainer

LOSS = "loss.safetensors"
"""Weights that the loss has of its own, such as softmax's classifier, in a checkpoint."""


class _Checkpoints:
    """What both trainers lack."""

    model: Any
    loss: Any
    evaluator: Any
    eval_dataset: Any
    state: Any

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Nothing: results have pages and manifests of their own, and rows needn't be tokenized once more for a card."""

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """As the trainer; what the evaluators say of all sets is said once, beside the loss of the first, by the same names at any time."""
        evaluator, self.evaluator = self.evaluator, None
        try:
            output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)  # type: ignore[misc]
        finally:
            self.evaluator = evaluator
        if evaluator is not None and metric_key_prefix in ("eval", f"eval_{next(iter(self.eval_dataset or ['']))}"):
            output.metrics.update({f"eval_{name}": float(figure) for name, figure in evaluator(self.model).items()})
        return output

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """As the trainer, and what the loss has of its own."""
        super()._save(output_dir, state_dict)  # type: ignore[misc]
        if own := self._loss_weights():
            save_file({name: weight.contiguous() for name, weight in own.items()}, Path(str(output_dir)) / LOSS)

    def _load_best_model(self) -> None:
        """As the trainer, which would only log that it failed."""
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        """As the trainer, which can't load an adapter into the model that has one, and forgets the loss."""
        adapted = self.model.transformers_model
        if isinstance(adapted, PeftModel):
            adapted.load_adapter(checkpoint_path, adapted.active_adapter, is_trainable=True)
            self._load_other_modules(checkpoint_path)
        else:
            super()._load_from_checkpoint(checkpoint_path)  # type: ignore[misc]
        own = Path(checkpoint_path) / LOSS
        if own.is_file():
            self.loss.load_state_dict(load_file(own), strict=False)

    def _load_other_modules(self, checkpoint_path: str) -> None:
        for number, module in enumerate(self.model):
            file = Path(checkpoint_path) / f"{number}_{type(module).__name__}" / "model.safetensors"
            if number and file.is_file():
                module.load_state_dict(load_file(file))

    def _loss_weights(self) -> dict[str, torch.Tensor]:
        """The loss's weights but for those of the models in it."""
        models = {id(weight) for model in self.loss.modules() if isinstance(model, type(self.model)) for weight in model.parameters()}
        return {name: weight.detach() for name, weight in self.loss.named_parameters() if id(weight) not in models}


class EmbeddingTrainer(_Checkpoints, SentenceTransformerTrainer):
    """SentenceTransformerTrainer."""


class PairTrainer(_Checkpoints, CrossEncoderTrainer):
    """CrossEncoderTrainer."""
