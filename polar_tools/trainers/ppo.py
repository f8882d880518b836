"""Proximal policy optimization of a language model, as in Ziegler et al. (2019) and Ouyang et al. (2022).

trl had it until 1.12; this is written anew as a transformers.Trainer, so that checkpoints, schedules, logging and callbacks are those of
every other training. A step is one iteration: the model completes `per_device_train_batch_size` x `gradient_accumulation_steps` prompts,
the rewards judge them, and `num_ppo_epochs` passes in `num_mini_batches` parts each make as many optimizer steps. Between two steps
nothing is left over, so a training goes on from a checkpoint exactly.
"""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, Trainer, TrainingArguments

from polar_tools.trainers import ppo_objective as objective
from polar_tools.trainers.actor_critic import ActorCritic


@dataclass
class PPOConfig(TrainingArguments):
    """transformers' arguments and those of the algorithm; polar_tools/methods/ppo.py says what each of them means."""

    remove_unused_columns: bool = False
    max_completion_length: int = 256
    temperature: float = 1.0
    num_ppo_epochs: int = 4
    num_mini_batches: int = 1
    gamma: float = 1.0
    lam: float = 0.95
    cliprange: float = 0.2
    cliprange_value: float = 0.2
    vf_coef: float = 0.1
    kl_coef: float = 0.05
    kl_estimator: str = "k1"
    kl_target: float | None = None
    kl_horizon: int = 10000
    whiten_rewards: bool = False
    missing_eos_penalty: float | None = None
    reward_weights: list[float] | None = field(default=None)


@dataclass
class Rollout:
    """Prompts with their completions, [rows, tokens], and what was found out of them, [rows, places]."""

    ids: Tensor
    mask: Tensor
    places: Tensor
    """Behind which tokens of any row one was chosen."""
    chosen: Tensor
    """Where one was chosen in this row."""
    scores: Tensor
    logps: Tensor
    reference: Tensor
    values: Tensor

    @property
    def targets(self) -> Tensor:
        """The tokens that were chosen."""
        return self.ids[:, self.places + 1]


@dataclass
class Lesson:
    """A rollout and what follows from it for the policy and for the value."""

    rollout: Rollout
    advantages: Tensor
    returns: Tensor


class PPOTrainer(Trainer):
    """Trains a causal language model on what reward functions, called as trl calls them, say of its completions.

    Rows have `prompt`, the ids of the prompt, and further columns, which the reward functions are given. `stop` ends a completion.
    The reference is the model as it is given here: with the adapter switched off where it has one, otherwise a frozen copy.
    """

    def __init__(self, model: Any, reward_funcs: Sequence[Callable[..., list[float]]], args: PPOConfig, stop: int, **options: Any) -> None:
        from peft import PeftModel

        self.reward_funcs, self.stop = reward_funcs, stop
        self.reference = None if isinstance(model, PeftModel) else copy.deepcopy(model).requires_grad_(False).eval()
        super().__init__(model=ActorCritic(model, args.kl_coef), args=args, data_collator=list, **options)
        if self.reference is not None:
            self.reference.to(self.args.device)
        self._waiting: list[tuple[list[dict[str, Any]], list[list[int]]]] = []
        self._figures: dict[str, list[float]] = defaultdict(list)
        self._began = time.perf_counter()

    def training_step(self, model: nn.Module, inputs: list[dict[str, Any]], num_items_in_batch: Any = None) -> Tensor:
        """Complete a batch of prompts; behind the last batch of an iteration learn from all of them.

        The last optimizer step of the iteration is left to the Trainer, which then moves the schedule on.
        """
        model.train(self.args.activation_checkpointing)  # dropout would make the policy differ from the one that wrote
        self._waiting.append((inputs, self._complete(inputs)))
        if not self.accelerator.sync_gradients:
            return torch.zeros((), device=self.args.device)
        rows = [row for batch, _ in self._waiting for row in batch]
        completions = [completion for _, batch in self._waiting for completion in batch]
        self._waiting = []
        lesson = self._lesson(model, self._rollout(model, rows, completions))
        losses, parts = [], list(self._parts(len(rows)))
        for number, part in enumerate(parts, 1):
            losses.append(self._backward(model, lesson, part))
            if number < len(parts):
                self._step(model)
        self._figures["episodes_per_second"].append(len(rows) / (time.perf_counter() - self._began))
        self._began = time.perf_counter()
        return torch.stack(losses).mean()

    def _parts(self, rows: int) -> Iterator[Tensor]:
        """The rows of each mini-batch, in another order in each epoch."""
        for _ in range(self.args.num_ppo_epochs):
            order = torch.randperm(rows)
            yield from (part for part in order.tensor_split(self.args.num_mini_batches) if len(part))

    def _step(self, model: nn.Module) -> None:
        if self.args.max_grad_norm > 0:
            self.accelerator.clip_grad_norm_(model.parameters(), self.args.max_grad_norm)
        self.optimizer.step()
        model.zero_grad()

    def _complete(self, rows: Sequence[dict[str, Any]]) -> list[list[int]]:
        """The ids that the policy writes behind each prompt, drawn at `temperature`, up to and with `stop`."""
        prompts = [torch.tensor(row["prompt"], device=self.args.device) for row in rows]
        pad = self.stop if self.processing_class.pad_token_id is None else self.processing_class.pad_token_id
        ids = pad_sequence(prompts, batch_first=True, padding_value=pad, padding_side="left")
        mask = pad_sequence([torch.ones_like(prompt) for prompt in prompts], batch_first=True, padding_side="left")
        plan = GenerationConfig(
            max_new_tokens=self.args.max_completion_length,
            **{"do_sample": True, "temperature": self.args.temperature, "top_k": 0, "top_p": 1.0, "min_p": None, "repetition_penalty": 1.0},
            **{"use_cache": True, "eos_token_id": self.stop, "pad_token_id": pad, "disable_compile": True},
        )
        policy = self.model.policy
        training = policy.training
        with torch.no_grad(), self.accelerator.autocast():
            written = policy.eval().generate(input_ids=ids, attention_mask=mask, generation_config=plan)[:, ids.size(1) :].tolist()
        policy.train(training)
        return [row[: row.index(self.stop) + 1] if self.stop in row else row for row in written]

    def _rollout(self, model: nn.Module, rows: Sequence[dict[str, Any]], completions: Sequence[list[int]]) -> Rollout:
        """Completions with their scores and with what policy, reference and value say of each token."""
        device = self.args.device
        whole = [torch.tensor([*row["prompt"], *completion]) for row, completion in zip(rows, completions, strict=True)]
        written = [
            torch.tensor([False] * (len(row["prompt"]) - 1) + [True] * len(completion))
            for row, completion in zip(rows, completions, strict=True)
        ]
        ids = pad_sequence(whole, batch_first=True).to(device)
        mask = pad_sequence([torch.ones(len(row), dtype=torch.long) for row in whole], batch_first=True).to(device)
        chosen = pad_sequence(written, batch_first=True).to(device)
        places = chosen.any(0).nonzero().flatten()
        empty = torch.empty(0)
        rollout = Rollout(ids, mask, places, chosen[:, places], self._scores(rows, completions), empty, empty, empty)
        with torch.no_grad():
            seen = [self._look(model, rollout, part)[:2] for part in self._micro(torch.arange(len(rows)))]
            with self._as_reference() as reference:
                references = [self._logps(reference, rollout, part) for part in self._micro(torch.arange(len(rows)))]
        rollout.logps, rollout.values = (torch.cat(parts) for parts in zip(*seen, strict=True))
        rollout.reference = torch.cat(references)
        return rollout

    def _micro(self, rows: Tensor) -> Sequence[Tensor]:
        """`rows` in as many parts as the device needs to hold them."""
        parts: Sequence[Tensor] = rows.split(self.args.per_device_train_batch_size)
        return parts

    def _look(self, model: nn.Module, rollout: Rollout, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities of the chosen tokens of some rows, their values, and the log-probabilities of all tokens."""
        logits, values = model(rollout.ids[rows], rollout.mask[rows], rollout.places)
        every = torch.log_softmax(logits.float() / self.args.temperature, -1)
        return every.gather(-1, rollout.targets[rows][..., None]).squeeze(-1), values, every

    def _logps(self, policy: nn.Module, rollout: Rollout, rows: Tensor) -> Tensor:
        with self.accelerator.autocast():
            logits = policy(
                input_ids=rollout.ids[rows], attention_mask=rollout.mask[rows], logits_to_keep=rollout.places, use_cache=False
            ).logits
        every = torch.log_softmax(logits.float() / self.args.temperature, -1)
        return every.gather(-1, rollout.targets[rows][..., None]).squeeze(-1)

    @contextmanager
    def _as_reference(self) -> Iterator[nn.Module]:
        """The model that the policy may not leave."""
        with self.model.policy.disable_adapter() if self.reference is None else nullcontext():
            yield self.model.policy if self.reference is None else self.reference

    def _scores(self, rows: Sequence[dict[str, Any]], completions: Sequence[list[int]]) -> Tensor:
        """The weighted sum of the rewards of each completion, less the penalty for one that doesn't end."""
        texts = self.processing_class.batch_decode(completions, skip_special_tokens=True)
        columns = {name: [row[name] for row in rows] for name in rows[0] if name != "prompt"}
        total = torch.zeros(len(rows), device=self.args.device)
        weights = self.args.reward_weights or [1.0] * len(self.reward_funcs)
        for function, weight in zip(self.reward_funcs, weights, strict=True):
            said = function(prompts=[row["prompt"] for row in rows], completions=texts, completion_ids=completions, **columns)
            scores = torch.tensor(said, dtype=torch.float32, device=self.args.device)
            self._figures[f"rewards/{function.__name__}/mean"].append(scores.mean().item())
            total += weight * scores
        ended = torch.tensor([self.stop in completion for completion in completions], device=self.args.device)
        self._figures["reward"].append(total.mean().item())
        self._figures["val/num_eos_tokens"].append(ended.sum().item())
        self._figures["completions/mean_length"].append(sum(map(len, completions)) / len(completions))
        return total - (self.args.missing_eos_penalty or 0.0) * ~ended

    def _lesson(self, model: nn.Module, rollout: Rollout) -> Lesson:
        """What each token was worth, by the rewards and by the reference."""
        args, mask, kl_coef = self.args, rollout.chosen, self.model.kl_coef.clone()
        kl = objective.divergence(rollout.logps, rollout.reference, args.kl_estimator)
        rewards = objective.token_rewards(rollout.scores, kl, mask, kl_coef)
        if args.whiten_rewards:
            rewards = objective.whiten(rewards, mask, shift_mean=False)
        estimates, returns = objective.advantages(rewards, rollout.values, mask, args.gamma, args.lam)
        divergence = (kl * mask).sum(1).mean()
        if args.kl_target is not None:
            self.model.kl_coef.copy_(objective.adapted(kl_coef, divergence, args.kl_target, len(mask) / args.kl_horizon))
        figures = {
            "kl": divergence,
            "entropy": -(rollout.logps * mask).sum(1).mean(),
            "non_score_reward": -kl_coef * divergence,
            "scores": rollout.scores.mean(),
            "rlhf_reward": rollout.scores.mean() - kl_coef * divergence,
            "kl_coef": kl_coef,
        }
        self._note({f"objective/{name}": value for name, value in figures.items()})
        return Lesson(rollout, objective.whiten(estimates, mask), returns)

    def _backward(self, model: nn.Module, lesson: Lesson, rows: Tensor) -> Tensor:
        """The gradients of a mini-batch, a mean over its tokens however many parts the device needs to hold them."""
        tokens = lesson.rollout.chosen[rows].sum().clamp(min=1)
        total = torch.zeros((), device=self.args.device)
        figures: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=self.args.device))
        for part in self._micro(rows):
            sums = self._sums(model, lesson, part)
            loss = (sums["loss/policy_avg"] + self.args.vf_coef * sums["loss/value_avg"]) / tokens
            self.accelerator.backward(loss)
            total += loss.detach()
            for name, value in sums.items():
                figures[name] = figures[name] + value.detach() / tokens
        figures["val/ratio_var"] = figures.pop("val/ratio_squared") - figures["val/ratio"].square()
        self._note(figures)
        return total

    def _sums(self, model: nn.Module, lesson: Lesson, rows: Tensor) -> dict[str, Tensor]:
        """What is measured of each token, summed over the tokens of `rows`."""
        rollout, args = lesson.rollout, self.args
        logps, values, every = self._look(model, rollout, rows)
        old, mask = rollout.logps[rows], rollout.chosen[rows]
        policy, clipped = objective.policy_losses(logps, old, lesson.advantages[rows], args.cliprange)
        value, value_clipped = objective.value_losses(values, rollout.values[rows], lesson.returns[rows], args.cliprange_value)
        with torch.no_grad():
            ratio = (logps - old).exp()
            watched = {
                "policy/clipfrac_avg": clipped,
                "policy/approxkl_avg": 0.5 * (logps - old).square(),
                "policy/entropy_avg": -(every.exp() * every).sum(-1),
                "val/clipfrac_avg": value_clipped,
                "val/ratio": ratio,
                "val/ratio_squared": ratio.square(),
            }
        return {name: (token * mask).sum() for name, token in {"loss/policy_avg": policy, "loss/value_avg": value, **watched}.items()}

    def _note(self, figures: dict[str, Tensor]) -> None:
        for name, value in figures.items():
            self._figures[name].append(value.item())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means of what was noted since the last time."""
        means = {name: sum(values) / len(values) for name, values in self._figures.items()} if "loss" in logs else {}
        if means:
            self._figures.clear()
        super().log({**logs, **means}, start_time)

    def evaluation_loop(self, dataloader: Any, *args: Any, metric_key_prefix: str = "eval", **options: Any) -> Any:
        """Complete the prompts as in training, at the training's seed; the draws of the training itself stay what they would be."""
        kept, self._figures = self._figures, defaultdict(list)
        with torch.random.fork_rng():
            torch.manual_seed(self.args.seed)
            output = super().evaluation_loop(dataloader, *args, metric_key_prefix=metric_key_prefix, **options)
        means = {f"{metric_key_prefix}_{name}": sum(values) / len(values) for name, values in self._figures.items()}
        self._figures = kept
        return output._replace(metrics={**output.metrics, **means})

    def prediction_step(self, model: nn.Module, inputs: list[dict[str, Any]], *args: Any, **options: Any) -> tuple[None, None, None]:
        """Score a batch; its figures are noted rather than returned."""
        self._scores(inputs, self._complete(inputs))
        return None, None, None

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Save the policy as transformers saves any model, and the critic beside it."""
        folder = output_dir or self.args.output_dir
        with self._policy_alone():
            super()._save(folder, state_dict)
        self.model.save_critic(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        with self._policy_alone():
            super()._load_from_checkpoint(resume_from_checkpoint)
        self.model.load_critic(resume_from_checkpoint)

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(self.state.best_model_checkpoint)

    @contextmanager
    def _policy_alone(self) -> Iterator[None]:
        """The policy in the place of the whole, for what knows only models of transformers."""
        whole: Any = self.model
        self.model: Any = whole.policy
        try:
            yield
        finally:
            self.model = whole
