"""How long is trained, on what batches, and what is logged, evaluated and saved on the way."""

from typing import ClassVar, Literal, Self

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from polar_tools.experiment.topic import Topic

Interval = Literal["no", "steps", "epoch"]


class Running(Topic):
    """Fields of the run."""

    do_train: bool = True
    """Train; without it the model is saved as it is, and only evaluated."""
    do_eval: bool = False
    """Measure the finished model on `eval_datasets`; the figures are recorded as `eval_metrics`."""
    num_train_epochs: PositiveFloat = 3.0
    """Passes over the data, unless `max_steps` says otherwise."""
    max_steps: int = -1
    """Optimizer steps; -1 leaves it to the epochs."""
    per_device_train_batch_size: PositiveInt = 8
    """Rows a device and step."""
    per_device_eval_batch_size: PositiveInt = 8
    """Rows a device where `eval_datasets` are measured."""
    auto_find_batch_size: bool = True
    """Where memory runs out, go on with fewer rows at a time and more `gradient_accumulation_steps`, so that a step trains on the
    same rows; the manifest says so. Without it such a training ends."""
    gradient_accumulation_steps: PositiveInt = 1
    """Batches summed before an optimizer step."""
    train_sampling_strategy: Literal["random", "sequential", "group_by_length"] = "random"
    """Order of the rows."""
    dataloader_num_workers: NonNegativeInt = 0
    """Processes that prepare batches; 0 does it in between."""
    dataloader_pin_memory: bool = True
    """Pin batches in memory, for GPUs."""

    logging_strategy: Interval = "steps"
    """When a line is written to metrics.jsonl."""
    logging_steps: PositiveInt = 10
    """Steps between two lines of metrics.jsonl, where `logging_strategy` is `steps`."""
    logging_first_step: bool = False
    """Log the first step too."""

    eval_strategy: Interval = "no"
    """When `eval_datasets` are measured while training."""
    eval_steps: PositiveInt | None = None
    """Steps between two evaluations, where `eval_strategy` is `steps`; `logging_steps` without it."""
    load_best_model_at_end: bool = False
    """Save the checkpoint that was best by `metric_for_best_model`, rather than the last."""
    metric_for_best_model: str = "loss"
    """What is best: `loss`, or another figure that the trainer logs of an evaluation; with several `eval_datasets`, as NAME_loss."""
    greater_is_better: bool | None = None
    """Whether more is better; without it, unless the figure's name ends with loss."""
    early_stopping_patience: PositiveInt | None = None
    """Stop once so many evaluations in a row were no better than the best before."""
    early_stopping_threshold: NonNegativeFloat = 0.0
    """By how much an evaluation must be better to count."""

    save_strategy: Literal["no", "steps", "epoch", "best"] = "epoch"
    """When checkpoints are written."""
    save_steps: PositiveInt = 500
    """Steps between two checkpoints, where `save_strategy` is `steps`."""
    save_total_limit: PositiveInt = 1
    """How many checkpoints stay; the best does so in any case."""
    save_only_model: bool = False
    """Checkpoints without the optimizer's state: smaller, but no training goes on from them."""
    is_resume: bool = True
    """Go on from the newest whole checkpoint of a training that was interrupted; without it, begin anew."""
    extend_training: bool = False
    """Where this training was there with a smaller `num_train_epochs` or `max_steps`, and nothing else differs, go on from its last
    checkpoint. The schedule is from there on that of the longer training. The record says what it went on from."""
    resume_from_checkpoint: str | None = None
    """A checkpoint's folder to go on from, where this training has none of its own yet. It counts by what is in it."""

    PER_BATCH: ClassVar[tuple[str, ...]] = ("gradient_accumulation_steps",)
    """Fields that count batches of `per_device_train_batch_size` rows."""

    def in_micro_batches(self, rows: int) -> Self:
        """The same training with so few rows at a time, which must be a divisor of those it has."""
        more = self.per_device_train_batch_size // rows
        counts = {name: count * more for name, count in self.model_dump(include={*self.PER_BATCH}).items() if count is not None}
        return self.model_copy(update={"per_device_train_batch_size": rows, **counts})

    def compares_rows(self) -> str | None:
        """Why fewer rows at a time would be another training, or None where they would not."""
        return None

    @model_validator(mode="after")
    def _steps_belong_to_strategies(self) -> Self:
        self._needs(["save_steps"], self.save_strategy == "steps", "`save_strategy: steps`")
        self._needs(["logging_steps"], "steps" in (self.logging_strategy, self.eval_strategy), "`logging_strategy: steps`")
        self._needs(["eval_steps"], self.eval_strategy == "steps", "`eval_strategy: steps`")
        self._needs(["save_only_model"], self.save_strategy != "no", "a `save_strategy`")
        self._needs(["resume_from_checkpoint", "extend_training"], self.is_resume, "`is_resume: true`")
        if self.resume_from_checkpoint is not None and self.extend_training:
            raise ValueError("extend_training: `resume_from_checkpoint` names what is gone on from already; leave one of them")
        if not (self.do_train or self.do_eval):
            raise ValueError("do_train: with neither do_train nor do_eval there is nothing to do")
        return self

    @model_validator(mode="after")
    def _best_is_measured_and_kept(self) -> Self:
        best = self.load_best_model_at_end or self.save_strategy == "best"
        self._needs(["metric_for_best_model", "greater_is_better"], best, "`load_best_model_at_end: true`")
        self._needs(["early_stopping_patience"], self.load_best_model_at_end, "`load_best_model_at_end: true`")
        self._needs(["early_stopping_threshold"], self.early_stopping_patience is not None, "`early_stopping_patience`")
        if best and self.eval_strategy == "no":
            raise ValueError("eval_strategy: what is best can't be known without evaluations; set it to steps or epoch")
        if self.load_best_model_at_end and self.save_strategy not in ("best", self.eval_strategy):
            raise ValueError(
                f"save_strategy: the best model must have been saved; set it to best, or to {self.eval_strategy} as eval_strategy"
            )
        every = self.eval_steps or self.logging_steps
        if self.load_best_model_at_end and self.save_strategy == "steps" and self.save_steps % every:
            raise ValueError(
                f"save_steps: {self.save_steps} is no multiple of eval_steps {every}, so the best model may not have been saved"
            )
        return self
