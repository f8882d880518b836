"""What every loss of `sentence_transformer` shares.

A loss file has ALIASES, COLUMNS (alternatives, in the order in which the loss wants them), TARGET (what the last column must hold),
IN_BATCH (whether the other rows of a batch are its negatives), Options, whose fields bear the names of the loss's own arguments, and
build(options, model, classes) -> the loss.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import NonNegativeFloat, PositiveFloat

from polar_tools import discovery
from polar_tools.errors import ConfigError, DataError
from polar_tools.fields import Frozen, ModelRef

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn

Columns = tuple[tuple[str, ...], ...]
Target = Literal["none", "score", "cosine", "binary", "class"]

PAIRS: Columns = (("anchor", "positive", "negative"), ("anchor", "positive"))
TRIPLETS: Columns = (("anchor", "positive", "negative"),)
SCORES: Columns = (("sentence1", "sentence2", "score"),)
LABELS: Columns = (("sentence1", "sentence2", "label"),)

BY_COLUMNS = {PAIRS[0]: "multiple_negatives_ranking", PAIRS[1]: "multiple_negatives_ranking", SCORES[0]: "cosent"}
"""The loss that data of such columns get where none is named; that of labels depends on what they are."""


BINARY = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "False": 0, "True": 1, "false": 0, "true": 1}
"""How people write that two texts belong together, or don't."""


class Options(Frozen):
    """Base of a loss's options; `name` is the loss's file."""

    name: str
    """The loss: the name of a file in polar_tools/losses."""


class Guided(Options):
    """Options of the losses with a guide model."""

    guide_model: ModelRef
    """The model that says what is no negative: a name from `models`, or an experiment."""
    temperature: PositiveFloat = 0.01
    """Similarities are divided by it."""
    margin_strategy: Literal["absolute", "relative"] = "absolute"
    """Whether `margin` is subtracted from the positive's similarity, or is a share of it."""
    margin: NonNegativeFloat = 0.0
    """A negative is left out that the guide holds for nearer than the positive less this."""
    contrast_anchors: bool = True
    """Whether other anchors are negatives too."""
    contrast_positives: bool = True
    """Whether positives are each other's negatives too."""


ROW_BY_ROW = ("contrastive", "cosine_similarity", "softmax", "triplet")
"""Losses that are the mean over rows, each looked at by itself."""


def arguments(options: Options, *left_out: str) -> dict[str, Any]:
    """The options as arguments of sentence-transformers' loss."""
    return options.model_dump(exclude={"name", *left_out})


def told_by(loss: "nn.Module") -> Options:
    """The options of a loss as it has them itself; those of a Matryoshka are of the loss within."""
    loss = loss.loss if type(loss).__name__ == "MatryoshkaLoss" else loss
    name = discovery.aliases("losses")[type(loss).__name__]
    kind: type[Options] = discovery.load("losses", name).Options
    told: dict[str, Any] = {"name": name}
    if issubclass(kind, Guided):
        told["guide_model"] = loss.guide.tokenizer.name_or_path
    if "distance_metric" in kind.model_fields:
        told["distance_metric"] = _named(loss.distance_metric)
    return kind.model_construct(**{field: getattr(loss, field) for field in kind.model_fields if field not in told}, **told)


def _named(distance: Any) -> str:
    from sentence_transformers.sentence_transformer.losses import TripletDistanceMetric

    return str(next(name for name in vars(TripletDistanceMetric) if getattr(TripletDistanceMetric, name) is distance)).lower()


def fits(name: str, columns: Sequence[str]) -> bool:
    """Whether loss `name` can be had on data of these columns."""
    return any(set(wanted) <= set(columns) for wanted in discovery.load("losses", name).COLUMNS)


def takes_others(name: str) -> bool:
    """Whether loss `name` takes the other rows of a batch for negatives."""
    return bool(discovery.load("losses", name).IN_BATCH)


def plain(name: str) -> Options:
    """Loss `name` with its defaults."""
    options: Options = discovery.load("losses", name).Options()
    return options


def chosen(rows: "Dataset") -> str:
    """The loss for these rows where none is named."""
    for wanted, name in BY_COLUMNS.items():
        if set(wanted) <= set(rows.column_names):
            return name
    return "contrastive" if is_binary(rows["label"]) else "softmax"


def is_binary(labels: Iterable[Any]) -> bool:
    """Whether all labels are 0 or 1, as numbers, text, or true and false."""
    return all(str(label) in BINARY for label in labels)


def number(label: Any) -> int:
    """A binary label as 0 or 1."""
    return BINARY[str(label)]


def prepared(name: str, rows: "Dataset", classes: Sequence[str] | None = None) -> "tuple[Dataset, Sequence[str]]":
    """The columns that loss `name` takes, in its order, the last as numbers; and the classes, which are those of `rows` if not given.

    Raises ConfigError that says which losses fit the columns, and DataError for values that the loss can't take.
    """
    wanted = next((one for one in discovery.load("losses", name).COLUMNS if set(one) <= set(rows.column_names)), None)
    if wanted is None:
        raise ConfigError(_unfit(name, rows.column_names))
    target: Target = discovery.load("losses", name).TARGET
    rows = rows.select_columns(list(wanted))
    if target == "none":
        return rows, ()
    values = rows[wanted[-1]][:]
    if classes is None and target == "class":
        classes = sorted({str(value) for value in values})
    numbers = [_number(name, target, value, classes or ()) for value in values]
    return rows.remove_columns(wanted[-1]).add_column(wanted[-1], numbers), classes or ()


def _number(name: str, target: Target, value: Any, classes: Sequence[str]) -> float | int:
    """What stands in a row's last column, as the loss takes it."""
    if target == "class":
        if str(value) not in classes:
            raise DataError(f"a row has the label {value!r}, which no training row has; they have {list(classes)}")
        return classes.index(str(value))
    if target == "binary":
        if str(value) not in BINARY:
            raise DataError(f"a row has the label {value!r}, and loss `{name}` needs 0 or 1; `softmax` takes classes")
        return BINARY[str(value)]
    if target == "cosine" and abs(value) > 1:
        raise DataError(
            f"a row has the score {value}, and loss `{name}` compares scores with cosines, between -1 and 1; scale them, or choose "
            "`cosent` or `angle`, for which only their order matters"
        )
    return float(value)


def _unfit(name: str, columns: Sequence[str]) -> str:
    """What to say where loss `name` lacks a column."""
    needs = " or ".join(" + ".join(f"`{column}`" for column in one) for one in discovery.load("losses", name).COLUMNS)
    has = ", ".join(f"`{one}`" for one in columns)
    fitting = ", ".join(f"`{one}`" for one in discovery.names("losses") if fits(one, columns))
    return f"loss `{name}` needs {needs}; the dataset has {has}, for which there are {fitting or 'none'}"
