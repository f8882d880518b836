"""Rows too long for one device: several processes train on the same rows, each on its part of their tokens.

Every process sums the losses of its own tokens and divides by the tokens of all; gradients are averaged over all processes as ever.
Attention, which alone sees other tokens, hands gradients on to where these are (trainers/ulysses.py). So DDP and ZeRO know nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import TrainerCallback

from polar_tools.errors import ConfigError
from polar_tools.trainers import ulysses
from polar_tools.trainers.answer_loss import AnswerLossTrainer
from polar_tools.trainers.ulysses import Group

Batch = dict[str, Any]
SHARE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""How far outputs may be apart, as a share of the largest, by the type that is computed in. They were the same bits in float32."""


@dataclass
class Dividing:
    """`collator`, which fills rows up on their right, for the process at a `place` among `size` that share them."""

    collator: Any
    size: int
    place: int

    def __call__(self, examples: list[dict[str, Any]]) -> Batch:
        """A part of each row: `input_ids`, `attention_mask`, `position_ids` [rows, tokens], and `labels` with the next part's first behind.

        So a trainer that looks for a token's target one place behind it finds each in just one part.
        """
        whole = self.collator(examples)
        rows, length = whole["input_ids"].shape
        tokens = -(-length // self.size)
        start, more = tokens * self.place, tokens * self.size - length

        def part(values: torch.Tensor, fill: int, beyond: int = 0) -> torch.Tensor:
            filled = torch.nn.functional.pad(values, (0, more + beyond), value=fill)
            return filled[:, start : start + tokens + beyond].contiguous()

        return {
            "input_ids": part(whole["input_ids"], 0),
            "attention_mask": part(whole["attention_mask"], 0),
            "position_ids": torch.arange(start, start + tokens).expand(rows, -1),
            "labels": part(whole["labels"], -100, beyond=1),
        }


class SequenceParallelTrainer(AnswerLossTrainer):
    """AnswerLossTrainer of which `sequence_parallel_size` processes take the same rows, and each a part of their tokens."""

    def __init__(self, *args: Any, sequence_parallel_size: int, **named: Any) -> None:
        super().__init__(*args, **named)
        self.sharing = Group.of(sequence_parallel_size)
        self.data_collator: Any = Dividing(self.data_collator, self.sharing.size, self.sharing.place)
        self.add_callback(_Tried(self))
        self._refuse()

    def _refuse(self) -> None:
        """Raise ConfigError for what would be another training."""
        name, told = "sequence_parallel_size", self.model.config.get_text_config()
        kernel, others = told._attn_implementation, sorted({*(getattr(told, "layer_types", None) or ())} - {*ulysses.LAYERS})
        if kernel not in ulysses.KERNELS:
            raise ConfigError(f"{name}: {kernel} attention can't be divided; set `attn_implementation` to {' or '.join(ulysses.KERNELS)}")
        if others:
            raise ConfigError(
                f"{name}: tokens of this model see each other in layers that can't be divided ({', '.join(others)}); leave it out"
            )
        if self.aux_loss_enabled:
            raise ConfigError(
                f"{name}: this model's experts are balanced by a loss of whole rows (`router_aux_loss_coef`); leave one of them"
            )
        if not self.args.average_tokens_across_devices:
            raise ConfigError(
                f"{name}: the loss is a mean over the tokens of all processes; leave `average_tokens_across_devices` as it is"
            )

    @property
    def _sharers(self) -> int:
        """How many groups there are, which take rows of their own."""
        return int(self.accelerator.num_processes) // self.sharing.size

    def _get_dataloader(self, *args: Any, **named: Any) -> Any:
        """Batches of which a group gets one where else each process would."""
        loader = super()._get_dataloader(*args, **named)
        batches = loader.batch_sampler
        batches.num_processes, batches.process_index = self._sharers, self.accelerator.process_index // self.sharing.size
        batches.even_batches = self._sharers > 1  # as one process has it: the last batch may be smaller
        return loader

    def get_total_train_batch_size(self, args: Any) -> int:
        """Rows of a step."""
        return int(super().get_total_train_batch_size(args)) // self.sharing.size

    def training_step(self, *args: Any, **named: Any) -> torch.Tensor:
        """Forward and backward on the part of this process."""
        with ulysses.divided(self.sharing):
            loss: torch.Tensor = super().training_step(*args, **named)
        return loss

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: torch.Tensor | int | None = None
    ) -> Any:
        """Share in the loss of a batch. Rows are filled up on their right, where no token before looks: a mask would only cost memory."""
        if num_items_in_batch is None:
            num_items_in_batch = self.accelerator.reduce(inputs["labels"][:, 1:].ne(-100).sum(), "sum")
        given = {name: value for name, value in inputs.items() if name != "attention_mask"}
        return super().compute_loss(model, given, return_outputs, num_items_in_batch)

    def prediction_step(self, model: Any, inputs: Batch, prediction_loss_only: bool, ignore_keys: list[str] | None = None) -> Any:
        """The loss of a batch of an evaluation, which is the same in every process."""
        with ulysses.divided(self.sharing):
            loss, *_ = super().prediction_step(model, inputs, True, ignore_keys)
        return self.accelerator.reduce(loss, "mean"), None, None

    def evaluation_loop(self, *args: Any, **named: Any) -> Any:
        """Counts each row once, and not once a process."""
        self.gather_function = self._of_rows
        return super().evaluation_loop(*args, **named)

    def _of_rows(self, losses: torch.Tensor) -> torch.Tensor:
        """The losses of the rows of all groups; `losses` are those of one. What only filled the last batch up is left out."""
        state = self.accelerator.gradient_state
        rows = losses.repeat(self._sharers)
        return rows[: state.remainder] if state.end_of_dataloader and state.remainder > 0 else rows


class _Tried(TrainerCallback):
    """Before the first step, once the model is wrapped."""

    def __init__(self, trainer: SequenceParallelTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raises ConfigError for a model that can't be trained on parts of rows."""
        trainer, model = self.trainer, self.trainer.model
        dtype = torch.bfloat16 if args.bf16 else torch.float16 if args.fp16 else model.dtype
        if not ulysses.does_the_same(model, trainer.sharing, args.device, SHARE[dtype]):
            raise ConfigError(
                f"sequence_parallel_size: {type(model).__name__} makes something else of a row's parts than of the whole, "
                "so its tokens see each other elsewhere than in an attention of transformers. Leave it out"
            )


def trainer_class(sequence_parallel_size: int) -> Any:
    """What makes a trainer whose rows are shared by so many processes."""
    return (
        AnswerLossTrainer
        if sequence_parallel_size == 1
        else partial(SequenceParallelTrainer, sequence_parallel_size=sequence_parallel_size)
    )
