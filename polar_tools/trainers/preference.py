"""trl's trainers of preferences on rows that are rendered already: ids and masks are those that the tokenize stage showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from trl import DPOTrainer, KTOTrainer, RewardTrainer
from trl.experimental.orpo import ORPOConfig as ORPOConfig
from trl.experimental.orpo import ORPOTrainer

IGNORED = -100
ADAPTER_OFF: Any = object()
"""In place of a reference model: the model that is trained, with its adapter turned off."""
SYNCED = "reference.pt"
"""The reference in a checkpoint, where it follows the model that is trained."""

Row = Mapping[str, Any]
Batch = dict[str, torch.Tensor]


def padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Rows as one tensor [rows, longest], filled up with `value` on the right."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def masked(ids: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], pad: int) -> Batch:
    """`input_ids`, `attention_mask`, and `completion_mask` where something is trained on."""
    return {
        "input_ids": padded(ids, pad),
        "attention_mask": padded([[1] * len(row) for row in ids], 0),
        "completion_mask": padded([[int(label != IGNORED) for label in row] for row in labels], 0),
    }


class Pairs:
    """Collator: the chosen answers of all rows, and below them the rejected ones."""

    def __init__(self, pad: int | None) -> None:
        self.pad = pad or 0

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """A batch of twice as many sequences as rows."""
        both = [(row, answer) for answer in ("chosen", "rejected") for row in rows]
        ids, labels = ([list(row[f"{answer}_{name}"]) for row, answer in both] for name in ("input_ids", "labels"))
        known = {name: torch.tensor([row[name] for row in rows]) for name in ("ref_chosen_logps", "ref_rejected_logps") if name in rows[0]}
        return {**masked(ids, labels, self.pad), **known}


class Rewarded(Pairs):
    """Collator for reward models: whole sequences, and the margins of the rows where they have such."""

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """A batch of twice as many sequences as rows."""
        ids = [list(row[f"{answer}_input_ids"]) for answer in ("chosen", "rejected") for row in rows]
        margins = {"margin": torch.tensor([row["margin"][0] for row in rows])} if "margin" in rows[0] else {}
        return {"input_ids": padded(ids, self.pad), "attention_mask": padded([[1] * len(row) for row in ids], 0), **margins}


class Unpaired:
    """Collator for KTO: answers with their labels, and each prompt with the answer to the prompt before it.

    These mismatched pairs estimate the KL divergence. trl makes them once, of neighbours in the data, and so knows no other order than
    that of the data; made in the batch they allow any order.
    """

    def __init__(self, pad: int | None, max_length: int | None, mismatched: bool) -> None:
        self.pad, self.max_length, self.mismatched = pad or 0, max_length, mismatched

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """A batch of as many sequences as rows, twice that where the divergence is estimated."""
        ids, labels = [list(row["input_ids"]) for row in rows], [list(row["labels"]) for row in rows]
        batch = {**masked(ids, labels, self.pad), "label": torch.tensor([bool(row["label"][0]) for row in rows])}
        if self.mismatched:
            starts = [next((place for place, label in enumerate(row) if label != IGNORED), len(row)) for row in labels]
            pairs = [(number, number - 1) for number in range(len(rows))]
            other_ids, other_labels = (
                [(all_[one][: starts[one]] + all_[other][starts[other] :])[: self.max_length] for one, other in pairs]
                for all_ in (ids, labels)
            )
            batch |= {f"KL_{name}": value for name, value in masked(other_ids, other_labels, self.pad).items()}
        if "ref_logps" in rows[0]:
            batch["ref_logps"] = torch.tensor([row["ref_logps"] for row in rows])
        return batch


class _Rendered:
    """What a trainer of trl prepares, it finds prepared."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset


class _OfPairs:
    """What transformers knows of rows of one sequence only."""

    args: Any
    train_dataset: Any

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        rows = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy == "group_by_length":
            both = (rows["chosen_input_ids"], rows["rejected_input_ids"])
            rows = rows.add_column("length", [max(map(len, pair)) for pair in zip(*both, strict=True)])
        return super()._get_train_sampler(rows)  # type: ignore[misc]


class _WithReference(_Rendered):
    """A reference that is a model of its own, or the trained one without its adapter; checkpoints keep one that follows the trained model.

    Where a model has an adapter, trl would add a copy of it as the reference. The adapter is new here, so that turning it off
    is the same, takes no memory, goes with every kind of adapter, and leaves nothing to be saved with the model.
    """

    _reference: Any = None
    args: Any
    state: Any

    @property
    def ref_model(self) -> Any:
        """None where the adapter is turned off instead."""
        return self._reference

    @ref_model.setter
    def ref_model(self, model: Any) -> None:
        self._reference = None if model is ADAPTER_OFF else model

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        if self.args.sync_ref_model and self.args.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            torch.save(self.ref_model.state_dict(), folder / SYNCED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)  # type: ignore[misc]
        if (file := Path(resume_from_checkpoint) / SYNCED).is_file():
            self.ref_model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))


class DirectTrainer(_WithReference, _OfPairs, DPOTrainer):
    """DPOTrainer on rendered pairs."""


class KahnemanTverskyTrainer(_WithReference, KTOTrainer):
    """KTOTrainer on rendered answers, in the order that its arguments name."""

    def __init__(self, *, args: Any, **others: Any) -> None:
        order, args.train_sampling_strategy = args.train_sampling_strategy, "sequential"  # all that trl allows: see Unpaired
        super().__init__(args=args, **others)
        self.args.train_sampling_strategy = order


class RewardModelTrainer(_Rendered, _OfPairs, RewardTrainer):
    """RewardTrainer on rendered pairs."""


class OddsRatioTrainer(_OfPairs, ORPOTrainer):
    """ORPOTrainer on rendered pairs; the language model's loss is that of the chosen answer, as in the paper's equations.

    trl takes the prompt into it. The language model's head runs only where something is trained on.
    """

    def __init__(self, *, train_dataset: Any, eval_dataset: Any, **others: Any) -> None:
        nothing = train_dataset.select([])  # trl would write rows as text, and tokenize them
        super().__init__(train_dataset=nothing, eval_dataset=None if eval_dataset is None else nothing, **others)
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        self.use_dpo_data_collator = True  # says that batches hold pairs

    def concatenated_forward(self, model: Any, batch: Batch) -> tuple[torch.Tensor, ...]:
        """Mean log-probabilities of the answers, their logits, and the loss of the chosen ones."""
        targets = batch["input_ids"][:, 1:]
        trained = batch["completion_mask"][:, 1:].bool()
        columns = trained.any(0).nonzero().flatten()
        routers = {"output_router_logits": True} if self.aux_loss_enabled else {}
        inputs = {name: value for name, value in batch.items() if name != "completion_mask"}
        outputs = model(**inputs, use_cache=False, logits_to_keep=columns, **routers)
        kept = trained[:, columns]
        losses = torch.nn.functional.cross_entropy(outputs.logits.float().transpose(1, 2), targets[:, columns], reduction="none") * kept
        half = len(targets) // 2
        means = -losses.sum(1) / kept.sum(1).clamp(min=1)
        loss = losses[:half].sum() / kept[:half].sum().clamp(min=1)
        made = (means[:half], means[half:], outputs.logits[:half], outputs.logits[half:], loss)
        return (*made, outputs.aux_loss) if self.aux_loss_enabled else made
