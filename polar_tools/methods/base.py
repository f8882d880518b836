"""What every training method shares: the fields of an experiment, and what a method need not write itself.

A method file has these names in this order: ALIASES, Config, COLUMNS, MODEL_CLASS (transformers'), TASK_TYPE (peft's), METRICS, CHECKS
(the equivalences that preflight may hold it to), TRAINS_ON ("tokens": its trainer takes what was rendered; "rows": it takes prepared rows,
and tokens are only measured and shown), features, set_up, render, fit, check, wrap, build_trainer, predict. What it doesn't need it takes
from here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from polar_tools import marks
from polar_tools.errors import ConfigError, DataError
from polar_tools.errors import RowError as RowError
from polar_tools.fields import EvaluationRef, Frozen, Loaded, ModelRef, Planned, PreparedRef, Rendered, Watched, did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

Row = Mapping[str, Any]
Example = marks.Example
"""One rendered row: `input_ids`, and `labels` of the same length where -100 is not trained on (or one class id)."""
Features = dict[str, Any]
"""What a model must know of the data: keyword arguments of its configuration, such as `id2label`."""

IGNORED = marks.IGNORED


class TokenExpectations(Frozen):
    """What must hold of an experiment's rendered rows. It changes none of them: where it doesn't hold, nothing is trained."""

    max_truncated: Annotated[NonNegativeFloat, Field(le=1)] | None = None
    """Largest share of rows that `max_length` may cut or drop."""


class Config(Frozen):
    """The fields of every experiment. Names are those of transformers, trl and peft."""

    method: str
    """The training method: the name of a file in polar_tools/methods, or one of its aliases."""
    model: Rendered[ModelRef]
    """A name from `models`, or another experiment, whose trained model this one starts from (equal seeds pair up)."""
    dataset: Rendered[PreparedRef]
    """A name from `datasets` or `mixtures`."""
    evaluations: Planned[tuple[EvaluationRef, ...]] = ()
    """Names from `evaluations`; each measures the untouched model and every trained one."""
    seeds: Annotated[Planned[tuple[NonNegativeInt, ...]], Field(min_length=1)] = (0,)
    """One training a seed. The first also seeds a new head of the untouched model."""
    expect: Planned[TokenExpectations] = TokenExpectations()
    """What must hold before anything is trained."""
    preflight: Planned[bool] = True
    """Before anything is trained, look on 8 rows whether data, model and trainer do what they should (docs/preflight.md). It changes no
    result."""
    rank_rows: Planned[NonNegativeInt] = 0
    """How many training rows are ranked by the loss that the untouched model has on them, before anything is trained; 0 ranks none."""

    eval_datasets: Watched[dict[str, PreparedRef]] = {}
    """Datasets by a name of your choice, whose test rows are looked at while training (`eval_strategy`): for the choice of a checkpoint."""

    max_length: Rendered[PositiveInt | None] = None
    """Longest row in tokens; nothing is cut where it is not given. Of rows with several sequences each is cut on its own."""
    on_too_long: Rendered[Literal["fail", "drop", "cut_right", "cut_left"]] = "fail"
    """What happens to a row of more than `max_length` tokens."""

    dtype: Loaded[Literal["float32", "bfloat16", "float16"]] = "float32"
    """Type of the loaded weights."""
    attn_implementation: Loaded[Literal["sdpa", "eager", "flash_attention_2"]] = "sdpa"
    """Attention kernel."""
    threads: Loaded[PositiveInt] = 2
    """CPU threads. They are part of the result: another number sums in another order."""
    gpus: Loaded[NonNegativeInt] = 0
    """GPUs a node; 0 runs on the CPU."""

    num_train_epochs: PositiveFloat = 3.0
    """Passes over the data, unless `max_steps` says otherwise."""
    max_steps: int = -1
    """Optimizer steps; -1 leaves it to the epochs."""
    per_device_train_batch_size: PositiveInt = 8
    """Rows a device and step."""
    gradient_accumulation_steps: PositiveInt = 1
    """Batches summed before an optimizer step."""
    learning_rate: PositiveFloat = 5e-5
    """Peak learning rate."""
    lr_scheduler_type: str = "linear"
    """Schedule by transformers' name."""
    warmup_steps: NonNegativeFloat = 0
    """Steps of warm-up; below 1 a share of all steps."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay."""
    max_grad_norm: NonNegativeFloat = 1.0
    """Gradients are clipped to this norm; 0 leaves them."""
    optim: str = "adamw_torch"
    """Optimizer by transformers' name."""
    adam_beta1: PositiveFloat = 0.9
    """Decay of Adam's mean of the gradients."""
    adam_beta2: PositiveFloat = 0.999
    """Decay of Adam's mean of their squares."""
    adam_epsilon: PositiveFloat = 1e-8
    """Keeps Adam from dividing by zero."""
    bf16: bool = False
    """bfloat16 autocast while training."""
    fp16: bool = False
    """float16 autocast with loss scaling, GPUs only."""
    activation_checkpointing: bool = False
    """Trade time for memory by recomputing activations."""
    train_sampling_strategy: Literal["random", "sequential", "group_by_length"] = "random"
    """Order of the rows."""

    use_peft: bool = False
    """Train a LoRA adapter (Hu et al. 2021) instead of all weights."""
    lora_r: PositiveInt = 16
    """Rank of the adapter's matrices."""
    lora_alpha: PositiveInt = 32
    """The adapter is scaled by `lora_alpha / lora_r`."""
    lora_dropout: NonNegativeFloat = 0.0
    """Share of the adapter's inputs that is dropped while training."""
    lora_target_modules: str | tuple[str, ...] = "all-linear"
    """Names of the modules that get an adapter; `all-linear` means every linear layer but the head."""
    lora_modules_to_save: tuple[str, ...] = ()
    """Names of modules that are trained whole and saved with the adapter."""
    merge_adapter: bool = False
    """Save the whole model with the adapter merged in, rather than the adapter alone."""

    logging_steps: PositiveInt = 10
    """Steps between two lines of metrics.jsonl."""
    save_strategy: Literal["no", "steps", "epoch"] = "epoch"
    """When checkpoints are written."""
    save_steps: PositiveInt = 500
    """Steps between two checkpoints, where `save_strategy` is `steps`."""
    save_total_limit: PositiveInt = 1
    """How many checkpoints stay."""
    extra_args: dict[str, JsonValue] = {}
    """Further arguments of the underlying trainer, by its own names; an unknown one is an error."""

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        """Raise for a field that is given but that another field leaves without effect."""
        self._needs(
            [name for name in type(self).model_fields if name.startswith("lora_")] + ["merge_adapter"], self.use_peft, "`use_peft: true`"
        )
        self._needs(["on_too_long"], self.max_length is not None, "`max_length`")
        self._needs(["save_steps"], self.save_strategy == "steps", "`save_strategy: steps`")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: {list(self.seeds)} names a seed twice")
        return self

    def makes(self) -> tuple[str, ...]:
        """The columns that the method makes itself, from others."""
        return ()

    def _needs(self, names: Sequence[str], given: bool, what: str) -> None:
        idle = [name for name in names if not given and getattr(self, name) != type(self).model_fields[name].default]
        if idle:
            raise ValueError(f"{', '.join(idle)} would be ignored without {what}")


def features(config: Config, rows: Iterable[Row]) -> Features:
    """Nothing: most models need to know nothing of the data. `rows` are the training rows, which pass by once, with the COLUMNS only."""
    return {}


def set_up(config: Config, processor: "PreTrainedTokenizerBase") -> "PreTrainedTokenizerBase":
    """`processor` as it is. What a method changes in it is saved with the tokens, and read again by train and evaluate."""
    return processor


def check(config: Config, processor: "PreTrainedTokenizerBase", row: Row, example: Example) -> None:
    """Raise DataError, which need not say which row it is, for the `example` of `row`, as it is after `fit`, that is wrong."""
    masks = [one.labels for one in marks.sequences(example) if one.labels is not None]
    if masks and all(label == IGNORED for labels in masks for label in labels):
        raise DataError("no token of it would be trained on; is max_length too short for its answer?")


def refuse_missing(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Raise RowError for the first row in which one of `columns` has no value."""
    for place, row in enumerate(rows):
        for name in columns:
            if row[name] is None:
                raise RowError(place, f"its `{name}` is missing; the filter `missing` drops such rows")


def arguments(cls: "type[TrainingArguments]", config: Config, **run: Any) -> "TrainingArguments":
    """The trainer's arguments: every field of `config` that has the same name there, then `extra_args`, then `run`.

    Raises ConfigError for a key of `extra_args` that the trainer does not read or that is a field of its own.
    """
    known = cls.__dataclass_fields__
    for key in config.extra_args:
        if key not in known:
            raise ConfigError(f"extra_args.{key}: {cls.__name__} has no such argument{did_you_mean(key, list(known))}")
        if key in type(config).model_fields or key in run:
            raise ConfigError(f"extra_args.{key}: write `{key}` beside `extra_args`, or leave it: POLAR sets it itself")
    same = {name: getattr(config, name) for name in type(config).model_fields if name in known}
    return cls(**{**same, **config.extra_args, **run})


def check_columns(config: Config, alternatives: Sequence[tuple[str, ...]], columns: Sequence[str]) -> None:
    """Raise DataError unless all columns of one alternative are among `columns` and those that the method makes."""
    if not any(set(wanted) <= {*columns, *config.makes()} for wanted in alternatives):
        needs = " or ".join(" + ".join(f"`{name}`" for name in wanted) for wanted in alternatives)
        has = ", ".join(f"`{name}`" for name in columns)
        raise DataError(
            f"method `{config.method}` needs {needs}; the dataset has {has}. Map them with `columns: {{name: column}}` in the dataset"
        )


def fit(config: Config, example: Example, ends: int = 0) -> Example | None:
    """`example` with each of its sequences within `max_length`, as `on_too_long` says; None where it is dropped.

    A cut leaves `ends` tokens in place at the end where it cuts: the marks that an encoder expects there. Columns beside a sequence that
    are as long as it are cut like it. Raises DataError for `fail`.
    """
    if (limit := config.max_length) is None:
        return example
    for one in marks.sequences(example):
        if len(one.ids) > limit:
            if config.on_too_long == "drop":
                return None
            if config.on_too_long == "fail":
                what = f"the `{one.prefix.removesuffix('_')}` of a row" if one.prefix else "a row"
                raise DataError(
                    f"{what} has {len(one.ids)} tokens, more than max_length {limit}; "
                    "raise it, or choose on_too_long: drop, cut_right or cut_left"
                )
            example = _cut(example, one, _kept(len(one.ids), limit, ends, config.on_too_long == "cut_left"))
    return example


def _kept(length: int, limit: int, ends: int, left: bool) -> list[int]:
    """The places that stay."""
    places = list(range(length))
    return places[:ends] + places[length - limit + ends :] if left else places[: limit - ends] + places[length - ends :]


def _cut(example: Example, sequence: marks.Tokens, kept: list[int]) -> Example:
    beside = {name for name, value in example.items() if name.startswith(sequence.prefix) and len(value) == len(sequence.ids)}
    return {name: [value[place] for place in kept] if name in beside else value for name, value in example.items()}


def wrap(config: Config, model: "PreTrainedModel", path: str) -> "PreTrainedModel":
    """`model` as it is; `path` is the folder that its weights came from."""
    return model
