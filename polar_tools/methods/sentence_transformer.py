"""Embeddings of texts, so that those that belong together lie together, by sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import PositiveInt, model_validator

from polar_tools import discovery, marks
from polar_tools.discovery import OneOf
from polar_tools.errors import ConfigError, DataError
from polar_tools.fields import Loaded, Rendered
from polar_tools.losses import base as losses
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

ALIASES = ("st", "sentence-transformer")

_QUERIES, _DOCUMENTS = ("anchor",), ("positive", "negative")
"""Columns that get `query_prompt`, and those that get `document_prompt`."""


class Config(base.Config):
    """Fields of `sentence_transformer`."""

    method: Literal["sentence_transformer"] = "sentence_transformer"
    pooling_mode: Loaded[Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"] | None] = None
    """How the embeddings of tokens become that of a text; as the model itself says where it is not given, or else `mean`."""
    dense_out_features: Loaded[PositiveInt | None] = None
    """Size of a dense layer (with tanh) behind the pooling; a model that ends in one of this size keeps it."""
    normalize_embeddings: Loaded[bool | None] = None
    """Whether embeddings have length 1; as the model itself says where it is not given."""
    query_prompt: Rendered[str | None] = None
    """Stands before every `anchor`."""
    document_prompt: Rendered[str | None] = None
    """Stands before every `positive` and `negative`."""
    loss: Annotated[losses.Options, OneOf("losses", "Options", "name")] | None = None
    """The loss; where it is not given, one that fits the columns."""
    matryoshka_dims: tuple[PositiveInt, ...] = ()
    """Train the first so many dimensions of the embeddings each on their own too (Kusupati et al. 2022), so that they can be cut."""
    batch_sampler: Literal["batch_sampler", "no_duplicates", "no_duplicates_hashed"] | None = None
    """Whether a batch may have the same text twice; where it is not given, not under a loss that takes other rows for negatives."""
    evaluator: Literal["auto", "off"] = "auto"
    """What is measured while training, besides the loss: `auto` is similarity, retrieval, triplets or binary labels, by the columns."""

    def compares_rows(self) -> str | None:
        """Most losses of embeddings compare the rows of a batch with each other."""
        if self.loss is not None and self.loss.name in losses.ROW_BY_ROW:
            return None
        return (
            "its loss compares the rows of a batch with each other (`cached_multiple_negatives_ranking` and `cached_gist_embed` do that "
            "a few rows at a time)"
        )

    @model_validator(mode="after")
    def _cuts_where_it_is_measured(self) -> Config:
        self._needs(["evaluator"], bool(self.eval_datasets), "`eval_datasets`")
        self._needs(["tokenizer_max_len"], False, "a trainer of tokens; sentence-transformers cuts at `max_length`, and saves it")
        return self

    @model_validator(mode="after")
    def _reads_rows_in_random_order(self) -> Config:
        self._needs(["train_sampling_strategy"], False, "a trainer that knows it; sentence-transformers draws rows by `batch_sampler`")
        return self


COLUMNS = (
    ("anchor", "positive", "negative"),
    ("anchor", "positive"),
    ("sentence1", "sentence2", "score"),
    ("sentence1", "sentence2", "label"),
)
MODEL_CLASS = "AutoModel"
TASK_TYPE = "FEATURE_EXTRACTION"
METRICS = ("sentence_pairs",)
CHECKS = ("save_load", "same_ids")
TRAINS_ON = "rows"
features = base.features


def set_up(config: Config, processor: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer, which cuts texts where and as `max_length` says, or else where the model itself says."""
    file = Path(config.model) / "sentence_bert_config.json"
    own = json.loads(file.read_bytes()).get("max_seq_length") if file.is_file() else None
    processor.model_max_length = config.max_length or own or processor.model_max_length
    side = "left" if config.on_too_long == "cut_left" else "right"
    processor.truncation_side = processor.init_kwargs["truncation_side"] = side  # only what is in the latter is saved
    return processor


def render(config: Config, processor: PreTrainedTokenizerBase, features: base.Features, rows: Sequence[base.Row]) -> list[base.Example]:
    """Token ids of each text of a row, with its prompt."""
    columns = _columns(rows[0])
    base.refuse_missing(rows, columns)
    _refuse_idle_prompts(config, columns)
    texts = [name for name in columns if name not in ("score", "label")]
    inner, prompts = marks.backend(processor), _prompts(config)
    encoded = [inner.encode_batch_fast([prompts.get(name, "") + row[name] for row in rows]) for name in texts]
    named = [f"{name}_input_ids" for name in texts]
    return [dict(zip(named, (encoding.ids for encoding in row), strict=True)) for row in zip(*encoded, strict=True)]


def _columns(names: Iterable[str]) -> tuple[str, ...]:
    """Those of COLUMNS that make the row."""
    return next(columns for columns in COLUMNS if set(columns) <= set(names))


def _prompts(config: Config) -> dict[str, str]:
    """Column -> what stands before its texts."""
    asked = {**dict.fromkeys(_QUERIES, config.query_prompt), **dict.fromkeys(_DOCUMENTS, config.document_prompt)}
    return {name: prompt for name, prompt in asked.items() if prompt}


def _refuse_idle_prompts(config: Config, columns: Sequence[str]) -> None:
    if _prompts(config) and "anchor" not in columns:
        raise ConfigError("query_prompt and document_prompt would be ignored: the rows have no `anchor` and `positive`")


def fit(config: Config, example: base.Example) -> base.Example | None:
    """As base.fit; an encoder's mark of the end stays."""
    return base.fit(config, example, ends=1)


def check(config: Config, processor: PreTrainedTokenizerBase, row: base.Row, example: base.Example) -> None:
    """Raise DataError for a text of which nothing is left but marks, and for one that the model would cut unasked."""
    special = marks.marks(processor).special
    for name, ids in example.items():
        column = name.removesuffix("_input_ids")
        if all(number in special for number in ids):
            raise DataError(f"its `{column}` has no tokens; the filter `missing` drops empty texts")
        if len(ids) > processor.model_max_length:
            raise DataError(
                f"its `{column}` has {len(ids)} tokens, and the model reads {processor.model_max_length}; "
                "set `max_length`, and `on_too_long` to say what happens to longer texts"
            )


def wrap(config: Config, model: PreTrainedModel, path: str) -> SentenceTransformer:
    """A SentenceTransformer around `model`, with what stands behind it in the folder `path`, and what the config adds."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.model_card import SentenceTransformerModelCardData

    from polar_tools.trainers.sentence_modules import around, following, settings, shaped

    transformer = around(model, path, "feature-extraction")
    behind = shaped(
        following(path),
        transformer.get_embedding_dimension(),
        config.pooling_mode,
        config.dense_out_features,
        config.normalize_embeddings,
    )
    told = settings(path)
    asked = {"query": config.query_prompt, "document": config.document_prompt}
    told["prompts"] = {**told.get("prompts", {}), **{name: prompt for name, prompt in asked.items() if prompt}}
    card = SentenceTransformerModelCardData(local_files_only=True, generate_widget_examples=False)
    return SentenceTransformer(modules=[transformer, *behind], device=str(model.device), model_card_data=card, **told)


def build_trainer(
    config: Config,
    model: SentenceTransformer,
    processor: PreTrainedTokenizerBase,
    train: Dataset,
    evaluation: dict[str, Dataset] | None,
    callbacks: list[Any],
    **run: Any,
) -> Trainer:
    """sentence-transformers' trainer with the loss that is asked for, or that fits the columns."""
    from sentence_transformers.sentence_transformer import SentenceTransformerTrainingArguments

    from polar_tools.trainers.sentence_evaluators import evaluators
    from polar_tools.trainers.sentence_modules import use
    from polar_tools.trainers.sentence_trainers import EmbeddingTrainer

    use(model, processor)
    name = config.loss.name if config.loss else losses.chosen(train)
    rows, classes = losses.prepared(name, train)
    measured = {} if evaluation is None else evaluation
    sampler = config.batch_sampler or ("no_duplicates" if losses.takes_others(name) else "batch_sampler")
    prompts = _prompts(config)
    same = {key: losses.prepared(name, part, classes)[0] for key, part in measured.items() if losses.fits(name, part.column_names)}
    return EmbeddingTrainer(
        model=model,
        args=base.arguments(SentenceTransformerTrainingArguments, config, batch_sampler=sampler, prompts=prompts or None, **run),
        train_dataset=rows,
        eval_dataset=same or None,
        loss=_loss(config, config.loss or losses.plain(name), model, rows, classes),
        evaluator=evaluators(measured, prompts) or None if config.evaluator == "auto" else None,
        processing_class=processor,
        callbacks=callbacks,
    )


def _loss(config: Config, options: losses.Options, model: SentenceTransformer, rows: Dataset, classes: Sequence[str]) -> nn.Module:
    """The loss, on the first dimensions too where the config says so."""
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    from polar_tools.trainers.sentence_modules import refuse_misread

    loss: nn.Module = discovery.load("losses", options.name).build(options, model, classes)
    for part in loss.modules() if config.world_size > 1 else ():
        if "gather_across_devices" in vars(part):  # rows are compared with those of all processes, as in one that has them all
            part.gather_across_devices = True
    if isinstance(options, losses.Guided):
        refuse_misread(model, loss.guide, rows)
    if not config.matryoshka_dims:
        return loss
    size = model.get_embedding_dimension()
    if max(config.matryoshka_dims) > size:
        raise ConfigError(f"matryoshka_dims: {max(config.matryoshka_dims)} is more than the {size} dimensions of this model's embeddings")
    return MatryoshkaLoss(model, loss, list(config.matryoshka_dims))


def predict(
    config: Config,
    model: SentenceTransformer,
    processor: PreTrainedTokenizerBase,
    features: base.Features,
    rows: Sequence[base.Row],
    generation: dict[str, Any],
) -> list[Prediction]:
    """How similar the texts of each row are, and where the right document comes among those of all rows."""
    from polar_tools.trainers.sentence_modules import use

    if config.on_too_long == "fail":
        for example in render(config, processor, features, rows):
            fit(config, example)
    use(model, processor)
    columns = _columns(rows[0])
    if columns[0] == "anchor":
        return _retrieved(config, model, rows, columns)
    first, second = (_embedded(model, [row[name] for row in rows], None) for name in columns[:2])
    similar = model.similarity_pairwise(first, second).tolist()
    known = _known(rows, columns[-1])
    return [
        Prediction(f"{row['sentence1']}\n{row['sentence2']}", str(row[columns[-1]]), f"{found:.4f}", None, 0, {"similarity": found, **said})
        for row, found, said in zip(rows, similar, known, strict=True)
    ]


def _known(rows: Sequence[base.Row], column: str) -> list[dict[str, float]]:
    """What is known of each row as a number: its score, or whether its texts belong together; nothing where labels are classes."""
    values = [row[column] for row in rows]
    if column == "score":
        return [{"score": float(value)} for value in values]
    return [{"label": float(losses.number(value))} if losses.is_binary(values) else {} for value in values]


def _retrieved(config: Config, model: SentenceTransformer, rows: Sequence[base.Row], columns: Sequence[str]) -> list[Prediction]:
    """Where the positive of each row comes among the documents of all rows; other positives of the same anchor don't stand in its way."""
    documents = list(dict.fromkeys(row[name] for name in columns[1:] for row in rows))
    index = {document: number for number, document in enumerate(documents)}
    positives: dict[str, set[int]] = {}
    for row in rows:
        positives.setdefault(row["anchor"], set()).add(index[row["positive"]])
    corpus = _embedded(model, documents, config.document_prompt)
    queries = _embedded(model, [row["anchor"] for row in rows], config.query_prompt)
    return [
        _place(row, documents, index, model.similarity(query, corpus)[0].tolist(), positives[row["anchor"]])
        for row, query in zip(rows, queries, strict=True)
    ]


def _place(row: base.Row, documents: Sequence[str], index: dict[str, int], similar: Sequence[float], positives: set[int]) -> Prediction:
    """What one query finds. Documents that are as near as the right one count as nearer: a model to which all is one finds nothing."""
    right = similar[index[row["positive"]]]
    rank = 1 + sum(found >= right for number, found in enumerate(similar) if number not in positives)
    figures = {"similarity": right, "rank": float(rank)}
    if "negative" in row:
        figures["negative_similarity"] = similar[index[row["negative"]]]
    nearest = documents[max(range(len(documents)), key=similar.__getitem__)]
    return Prediction(row["anchor"], row["positive"], nearest, None, 0, figures)


def _embedded(model: SentenceTransformer, texts: Sequence[str], prompt: str | None) -> Tensor:
    from polar_tools import inference, memory

    def embedded(rows: int) -> Tensor:
        return model.encode(texts, prompt=prompt or "", batch_size=rows, convert_to_tensor=True, show_progress_bar=False)

    return memory.at_most("embedding", 2 * inference.BATCH, embedded)
