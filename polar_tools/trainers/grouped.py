"""trl's GRPOTrainer and RLOOTrainer, given prompts that are token ids already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch.nn.functional import pad
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled
from trl import GRPOTrainer, RLOOTrainer

from polar_tools.errors import ConfigError

GIVEN = ("input_ids", "attention_mask")
"""What a trainer gives a model itself."""


Encode = Callable[[Sequence[int]], tuple[dict[str, torch.Tensor], Sequence[Mapping[str, list[int]]]]]
"""Places of prompts -> what a model is given of these, filled up on the left, and the same as rows of ids."""


class _Grouped:
    """What both need: our ids, our end of a completion, and a reference that is the model as it is given.

    trl tokenizes prompts itself: texts with the tokenizer's own marks around them, messages by its template. Rows whose `prompt` is a list
    of ids pass through, so that a model is trained on the very ids that it is evaluated with.

    Prompts with pictures are made into ids and pixels by `encode`, each time that a model reads them. trl's own way has a place for
    the tensors of the architectures that it knows, and none for a prompt without pictures among others.
    """

    def __init__(self, *, stop: int, encode: Encode | None = None, **options: Any) -> None:
        super().__init__(**options)
        trainer: Any = self
        self.encode = encode
        self._places: list[int] = []
        trainer.eos_token_ids = [stop]
        trainer.generation_config.eos_token_id = trainer.generation_kwargs["eos_token_id"] = [stop]
        if trainer.ref_model is not None:  # read again by trl from where the weights once lay, without an adapter that was merged since
            _copy_weights(trainer.model, trainer.accelerator.unwrap_model(trainer.ref_model))
        for name in ("use_vllm", "use_liger_kernel"):
            if encode is not None and vars(trainer.args).get(name):
                raise ConfigError(f"extra_args: {name} would show the model no pictures; leave it out")

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        if self.encode is None:
            return prompts, None, {}
        inputs, examples = self.encode(self._places)
        there = inputs["attention_mask"].bool()
        beside = {name: value for name, value in inputs.items() if name not in GIVEN}
        of_tokens = {name for name, value in beside.items() if value.shape == there.shape}
        rows = {name: [row[mask].tolist() for row, mask in zip(beside[name], there, strict=True)] for name in of_tokens}
        return [example["input_ids"] for example in examples], None, {**beside, **rows}

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        trainer: Any = super()
        if self.encode is None:
            made: dict[str, Any] = trainer._generate_and_score_completions(inputs)
            return made
        self._places = [row["place"] for row in inputs]
        return {**trainer._generate_and_score_completions(inputs), "place": torch.tensor(self._places)}

    def compute_loss(self, model: Any, inputs: dict[str, Any], *further: Any, **named: Any) -> Any:
        """The loss of completions, whose prompts' places are among `inputs` where there are pictures."""
        trainer: Any = super()
        if self.encode is not None:
            self._places = inputs["place"].tolist()
        return trainer.compute_loss(model, inputs, *further, **named)

    def _get_per_token_logps_and_entropies(
        self, model: Any, ids: torch.Tensor, mask: torch.Tensor, completion: int, batch_size: int | None = None, **named: Any
    ) -> Any:
        trainer: Any = super()
        if self.encode is None:
            return trainer._get_per_token_logps_and_entropies(model, ids, mask, completion, batch_size, **named)
        size, made = batch_size or len(ids), []
        for first in range(0, len(ids), size):
            part = slice(first, first + size)
            shown = partial(model, **self._beside(self._places[part], ids[part], completion))
            made.append(trainer._get_per_token_logps_and_entropies(shown, ids[part], mask[part], completion, **named))
        logps, entropies, others = zip(*made, strict=True)
        return torch.cat(logps), None if entropies[0] is None else torch.cat(entropies), _mean(others)

    def _beside(self, places: Sequence[int], ids: torch.Tensor, completion: int) -> dict[str, torch.Tensor]:
        """What a model is given beside the ids of prompts with `completion` tokens behind them."""
        inputs, _ = self.encode(places)  # type: ignore[misc]
        shape = inputs["input_ids"].shape
        before = ids.shape[1] - completion - shape[1]  # the longest prompt may be in another part
        beside = {name: value for name, value in inputs.items() if name not in GIVEN}
        whole = {name: pad(value, (before, completion)) if value.shape == shape else value for name, value in beside.items()}
        return {name: value.to(ids.device) for name, value in whole.items()}

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


def _mean(losses: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """The mean of the auxiliary losses of all parts, where there are such."""
    there = [loss for loss in losses if loss is not None]
    return torch.stack(there).mean() if there else None


class GroupedGRPOTrainer(_Grouped, GRPOTrainer):
    """GRPOTrainer on ids."""


class GroupedRLOOTrainer(_Grouped, RLOOTrainer):
    """RLOOTrainer on ids."""
