"""What is measured while embeddings are trained, by sentence-transformers' evaluators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sentence_transformers.cross_encoder.evaluation import CrossEncoderClassificationEvaluator, CrossEncoderCorrelationEvaluator
from sentence_transformers.sentence_transformer.evaluation import (
    BinaryClassificationEvaluator,
    EmbeddingSimilarityEvaluator,
    InformationRetrievalEvaluator,
    TripletEvaluator,
)

from polar_tools.losses import base as losses

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers.base.evaluation import BaseEvaluator

PARTS = ("anchor", "positive", "negative")


def evaluators(evaluation: Mapping[str, Dataset], prompts: Mapping[str, str]) -> list[BaseEvaluator]:
    """Those that fit the columns of each evaluation set; none for labels that are classes."""
    return [one for name, rows in evaluation.items() for one in _of(name, rows, prompts)]


def _of(name: str, rows: Dataset, prompts: Mapping[str, str]) -> list[BaseEvaluator]:
    columns = {column: rows[column][:] for column in rows.column_names}
    quiet = {"name": name, "show_progress_bar": False, "write_csv": False}
    if "anchor" in columns:
        asked = {column: [prompts.get(column, "") + text for text in columns[column]] for column in columns if column in PARTS}
        triplets = [TripletEvaluator(*(asked[part] for part in PARTS), **quiet)] if len(asked) == len(PARTS) else []
        return [_retrieval(columns, prompts, quiet), *triplets]
    pair = columns["sentence1"], columns["sentence2"]
    if "score" in columns:
        return [EmbeddingSimilarityEvaluator(*pair, [float(score) for score in columns["score"]], **quiet)]
    if losses.is_binary(columns["label"]):
        return [BinaryClassificationEvaluator(*pair, [losses.number(label) for label in columns["label"]], **quiet)]
    return []


def _retrieval(texts: Mapping[str, Sequence[str]], prompts: Mapping[str, str], quiet: Mapping[str, Any]) -> BaseEvaluator:
    """Each anchor looks for its positives among the documents of all rows. Prompts are said: else those of the model would be taken."""
    corpus = {document: document for name in PARTS[1:] for document in texts.get(name, ())}
    relevant: dict[str, set[str]] = {}
    for anchor, positive in zip(texts["anchor"], texts["positive"], strict=True):
        relevant.setdefault(anchor, set()).add(positive)
    said = {"query_prompt": prompts.get("anchor", ""), "corpus_prompt": prompts.get("positive", "")}
    return InformationRetrievalEvaluator({anchor: anchor for anchor in relevant}, corpus, relevant, **said, **quiet)


def pair_evaluators(evaluation: Mapping[str, Dataset]) -> list[BaseEvaluator]:
    """Those that fit what each evaluation set, with numbers in its last column, says of two texts."""
    found = []
    for name, rows in evaluation.items():
        first, second, known = (rows[column][:] for column in rows.column_names)
        measured = CrossEncoderCorrelationEvaluator if rows.column_names[-1] == "score" else CrossEncoderClassificationEvaluator
        found.append(measured(list(zip(first, second, strict=True)), known, name=name, show_progress_bar=False, write_csv=False))
    return found
