"""What is trained on what, and what of a row a model sees."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from polar_tools.experiment.topic import Topic
from polar_tools.fields import EvaluationRef, Frozen, ModelRef, Planned, PreparedRef, Rendered, Watched


class TokenExpectations(Frozen):
    """What must hold of an experiment's rendered rows. It changes none of them: where it doesn't hold, nothing is trained."""

    max_truncated: Annotated[NonNegativeFloat, Field(le=1)] | None = None
    """Largest share of rows that `max_length` may cut or drop."""


class Material(Topic):
    """Fields of the method, the model and the data."""

    method: str
    """The training method: the name of a file in polar_tools/methods, or one of its aliases."""
    preset: Planned[str | None] = None
    """Values for a purpose, by the name of a file in polar_tools/presets; whatever else the experiment says counts more. `auto` takes
    small-dataset for fewer than 1,000 rows of fewer than 500 tokens on average, and else large-dataset, but cuts no row."""
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
    """Look on 8 rows whether data, model and trainer do what they should, before anything is trained (docs/preflight.md)."""
    rank_rows: Planned[NonNegativeInt] = 0
    """How many training rows are ranked by the loss that the untouched model has on them, before anything is trained; 0 ranks none."""

    eval_datasets: Watched[dict[str, PreparedRef]] = {}
    """Datasets by a name of your choice, whose test rows are looked at while training (`eval_strategy`): for the choice of a checkpoint."""

    max_length: Rendered[PositiveInt | None] = None
    """Longest row in tokens; nothing is cut where it is not given. Of rows with several sequences each is cut on its own."""
    on_too_long: Rendered[Literal["fail", "drop", "cut_right", "cut_left"]] = "fail"
    """What happens to a row of more than `max_length` tokens."""
    tokenizer_max_len: Rendered[PositiveInt | None] = None
    """The longest text that the saved tokenizer takes, as its `model_max_length`; the tokenizer's own without it. It cuts no row here."""
    padding_side: Rendered[Literal["left", "right"] | None] = None
    """The side on which the saved tokenizer pads, and a trainer whose batches it pads; the tokenizer's own without it."""

    @model_validator(mode="after")
    def _each_row_and_seed_once(self) -> Self:
        self._needs(["on_too_long"], self.max_length is not None, "`max_length`")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: {list(self.seeds)} names a seed twice")
        return self
