"""What every training method shares: the fields of an experiment, and what a method need not write itself.

A method file has these names in this order: ALIASES, Config, COLUMNS, MODEL_CLASS (transformers'), TASK_TYPE (peft's), METRICS, CHECKS
(the equivalences that preflight may hold it to), TRAINS_ON ("tokens": its trainer takes what was rendered; "rows": it takes prepared rows,
and tokens are only measured and shown), features, set_up, render, fit, check, wrap, build_trainer, predict. What it doesn't need it takes
from here.

A method shows pictures to a model where one of its COLUMNS has `images`, which stands for one `image` too. Where rows have such a column,
a processor takes the place of the tokenizer in all functions, and `build_trainer` is given prepared rows, whatever TRAINS_ON says.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from pydantic import JsonValue, model_validator

from polar_tools import discovery, marks, pictures, presets, signatures
from polar_tools.conversations import refuse_missing as refuse_missing
from polar_tools.errors import ConfigError, DataError
from polar_tools.errors import RowError as RowError
from polar_tools.experiment.adapting import Adapting
from polar_tools.experiment.distributing import Distributing
from polar_tools.experiment.material import Material
from polar_tools.experiment.material import TokenExpectations as TokenExpectations
from polar_tools.experiment.optimizing import Optimizing
from polar_tools.experiment.running import Running

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

Row = Mapping[str, Any]
Example = marks.Example
"""One rendered row: `input_ids`, and `labels` of the same length where -100 is not trained on (or one class id)."""
Features = dict[str, Any]
"""What a model must know of the data: keyword arguments of its configuration, such as `id2label`."""

IGNORED = marks.IGNORED
JUDGING = ("reduce_lr_on_plateau", "greedy")
"""Schedules that look at how an evaluation went."""
OURS = ("output_dir", "seed", "use_cpu", "report_to", "disable_tqdm", "logging_nan_inf_filter")
"""What the stage says to every trainer."""
NOT_THEIRS = {"logging_nan_inf_filter": False, "auto_find_batch_size": False}
"""What transformers would do in a way that hides a broken loss, or changes the batch."""


ELEMENTWISE = ("adamw_torch", "adamw_torch_fused", "sgd", "adagrad", "rmsprop")
"""Optimizers for which a weight may be cut anywhere."""


class Config(Running, Optimizing, Adapting, Distributing, Material):
    """The fields of every experiment. Names are those of transformers, trl, peft and bitsandbytes."""

    extra_args: dict[str, JsonValue] = {}
    """Further arguments of the underlying trainer, by its own names; an unknown one is an error."""

    @model_validator(mode="after")
    def _evaluations_have_rows(self) -> Self:
        idle = ["do_eval", "eval_strategy", "per_device_eval_batch_size"]
        self._needs(idle, bool(self.eval_datasets), "`eval_datasets`")
        if self.lr_scheduler_type in JUDGING and self.eval_strategy == "no":
            raise ValueError(f"eval_strategy: {self.lr_scheduler_type} looks at evaluations; set it to steps or epoch")
        self.best_metric()
        return self

    @model_validator(mode="before")
    @classmethod
    def _take_preset(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("preset"), str):
            return presets.fill(data["preset"], data)
        return data

    @model_validator(mode="after")
    def _machine_can_do_it(self) -> Self:
        if self.fp16 and self.gpus == 0:
            raise ValueError("fp16: needs a GPU (`gpus: 1`); on a CPU take bf16, or neither")
        if self.fp16 and self.dtype == "float16" and not self.use_peft:
            raise ValueError("fp16: scales the gradients of float32 weights; set `dtype: float32`, or bf16")
        self._needs(["activation_offloading"], self.gpus > 0, "a GPU (`gpus: 1`)")
        return self

    @model_validator(mode="after")
    def _processes_can_train_it(self) -> Self:
        if self.engine is None:
            return self
        several = "gpus" if self.gpus > 1 else "nproc_per_node" if self.nproc_per_node > 1 else "nodes"
        field = several if self.engine == "ddp" else self.engine
        if self.engine not in self.ENGINES:
            able = [name for name, method in discovery.modules("methods").items() if self.engine in method.Config.ENGINES]
            other = f" (it can over several processes without {field})" if self.ENGINES else ", only in one process"
            raise ValueError(f"{field}: `{self.method}` can't be trained so{other}; these can: {', '.join(able)}")
        if self.sequence_parallel_size > 1 and not self.DIVIDES_ROWS:
            able = [name for name, method in discovery.modules("methods").items() if method.Config.DIVIDES_ROWS]
            raise ValueError(f"sequence_parallel_size: `{self.method}` can't be trained on parts of rows; these can: {', '.join(able)}")
        if not self.do_train:
            raise ValueError(f"{field}: without `do_train` there is nothing to divide; leave it out")
        divided = self.deepspeed is not None or self.fsdp
        if divided and self.optim not in ELEMENTWISE:
            raise ValueError(
                f"optim: {self.optim} looks at a weight as a whole, which {field} divides; choose one of {', '.join(ELEMENTWISE)}"
            )
        if divided and self.use_peft and self.peft_type == "adalora":
            raise ValueError(f"peft_type: adalora looks at gradients as a whole, which {field} divides; choose another")
        if divided and self.model_dump(include={"sync_ref_model"}).get("sync_ref_model"):
            raise ValueError(f"sync_ref_model: no checkpoint of {field} holds a reference that follows; leave it out, or {field}")
        if self.quantization and (self.fsdp or self.zero.get("stage") == 3):
            raise ValueError(f"quantization: quantized weights can't be divided by {field}; zero2 divides all but them")
        if self.deepspeed is not None and self.dtype != "float32" and not (self.bf16 or self.fp16):
            raise ValueError(f"dtype: DeepSpeed would train {self.dtype} weights as float32; say `bf16: true`, or `dtype: float32`")
        return self

    def makes(self) -> tuple[str, ...]:
        """The columns that the method makes itself, from others."""
        return ()

    def left_to_rows(self) -> tuple[str, ...]:
        """The fields that a preset fills once it is known what the rows are."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        return presets.left_to_rows(said) if self.preset == presets.AUTO else ()

    def metrics(self) -> tuple[str, ...]:
        """Metrics of evaluations that name none, where these aren't the method's METRICS."""
        return ()

    def best_metric(self) -> str | None:
        """`metric_for_best_model` as the trainer logs it; None where nothing asks what is best. Raises ValueError where it names no set."""
        if not (self.load_best_model_at_end or self.save_strategy == "best" or self.lr_scheduler_type in JUDGING):
            return None
        name, sets = self.metric_for_best_model.removeprefix("eval_"), list(self.eval_datasets)
        if any(name.startswith(f"{known}_") for known in sets):
            return f"eval_{name}"
        if len(sets) == 1:
            return f"eval_{sets[0]}_{name}"
        raise ValueError(f"metric_for_best_model: say of which of eval_datasets: {', '.join(f'{known}_{name}' for known in sets)}")


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


def arguments(cls: "type[TrainingArguments]", config: Config, **run: Any) -> "TrainingArguments":
    """The trainer's arguments: every field of `config` that has the same name there, then `extra_args`, then `run`.

    Raises ConfigError for a key of `extra_args` that the trainer does not read or that is a field of its own, and for a wrong type.
    """
    fields, known = type(config).model_fields, cls.__dataclass_fields__
    taken = {key: f"write `{key}` beside `extra_args`, or leave it: POLAR sets it itself" for key in (*fields, *run, *OURS)}
    extra = signatures.checked(cls, config.extra_args, "extra_args", taken)
    same = {name: getattr(config, name) for name in fields if name in known}
    try:
        return cls(**{**same, "metric_for_best_model": config.best_metric(), **NOT_THEIRS, **extra, **run})
    except (ValueError, ImportError) as error:
        raise ConfigError(f"{cls.__name__} refuses these settings: {error}") from error


def check_columns(config: Config, alternatives: Sequence[tuple[str, ...]], columns: Sequence[str], shape: str | None = None) -> None:
    """Raise DataError unless all columns of one alternative are among `columns` and those that the method makes.

    Pictures that a method would leave unseen are an error too. `shape` is what the rows were taken for, where that is known.
    """
    fitting = [wanted for wanted in alternatives if pictures.fits(wanted, {*columns, *config.makes()})]
    if not fitting:
        least = [wanted for wanted in alternatives if not any(set(other) < set(wanted) for other in alternatives)]
        needs = " or ".join(" + ".join(f"`{name}`" for name in wanted) for wanted in least)
        has = ", ".join(f"`{name}`" for name in columns)
        others = [name for name, found in _fitting(columns).items() if found]
        suits = f", which would suit {', '.join(others)}" if others else ""
        taken = f" (its shape is {shape})" if shape else ""
        raise DataError(
            f"method `{config.method}` needs {needs}; the dataset has {has}{taken}{suits}. "
            "Map them with `columns: {name: column}` in the dataset"
        )
    if pictures.among(columns) and not any(map(pictures.among, fitting)):
        column = next(name for name in pictures.COLUMNS if name in columns)
        seeing = [f"`{name}`" for name, found in _fitting(columns).items() if any(map(pictures.among, found))]
        would = f"; {', '.join(seeing)} would show them" if seeing else ""
        raise DataError(
            f"the dataset has pictures in `{column}`, which method `{config.method}` shows to no model beside "
            f"{' + '.join(f'`{name}`' for name in fitting[0])}{would}. "
            "To do without them, name the other columns in the dataset: `columns: {name: column}`"
        )


def _fitting(columns: Sequence[str]) -> dict[str, list[tuple[str, ...]]]:
    """Of each method those of its COLUMNS that are among `columns`."""
    methods = discovery.modules("methods")
    return {name: [wanted for wanted in method.COLUMNS if pictures.fits(wanted, columns)] for name, method in methods.items()}


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


def fitted(config: Config, fit: Callable[[Any, Example], Example | None], examples: Sequence[Example]) -> list[Example]:
    """Test rows as `fit` leaves them, but that one which training would drop is cut: none may go missing. Raises RowError."""
    whole = config.model_copy(update={"on_too_long": "cut_right"}) if config.on_too_long == "drop" else config
    kept: list[Example] = []
    for place, example in enumerate(examples):
        try:
            kept += [one for one in [fit(whole, example)] if one is not None]
        except DataError as error:
            raise RowError(place, str(error)) from error
    return kept


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
