"""sentence-transformers' modules around a model that is loaded already, and out of the folder that it came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.base.modules.transformer import TRANSFORMER_TASK_DEFAULTS
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.util.misc import import_module_class

from polar_tools.errors import ConfigError

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SAMPLE = 100
"""Rows on which a guide with another tokenizer is tried."""


def around(model: PreTrainedModel, path: str, task: str, **options: Any) -> Transformer:
    """The module that turns texts into what `model`, loaded from the folder `path`, makes of their tokens.

    Texts only, and as they are: where a tokenizer has a chat template, sentence-transformers would write pairs as dialogues.
    """

    class Around(Transformer):
        def _load_model(self, *args: Any, **kwargs: Any) -> PreTrainedModel:
            return model

    modality, output = TRANSFORMER_TASK_DEFAULTS[task]
    told = {"modality_config": dict(modality), "module_output_name": output, **options}
    module = Around(
        path, transformer_task=task, processor_kwargs={"local_files_only": True}, config_kwargs={"local_files_only": True}, **told
    )
    module.__class__ = Transformer  # as modules.json is to name it
    return module


def following(path: str) -> list[nn.Module]:
    """What stands behind the transformer in the folder `path`; nothing where sentence-transformers didn't write it."""
    return [
        _class(entry["type"], path).load(path, subfolder=entry["path"], local_files_only=True) for entry in _read(path, "modules.json")[1:]
    ]


def settings(path: str) -> dict[str, Any]:
    """What config_sentence_transformers.json says of the model as a whole."""
    told = dict(_read(path, "config_sentence_transformers.json") or {})
    return {name: told[name] for name in ("prompts", "default_prompt_name", "similarity_fn_name") if told.get(name)}


def longest(path: str) -> int | None:
    """The tokens that sentence_bert_config.json lets through."""
    length = dict(_read(path, "sentence_bert_config.json") or {}).get("max_seq_length")
    return int(length) if length else None


def shaped(modules: Sequence[nn.Module], size: int, pooling_mode: str | None, dense: int | None, normalize: bool | None) -> list[nn.Module]:
    """`modules` with the pooling of tokens of `size`, the dense layer and the normalization that are asked for; None leaves them."""
    shaped = list(modules) or [Pooling(size, "mean")]
    if pooling_mode:
        shaped = [Pooling(size, pooling_mode), *(module for module in shaped if not isinstance(module, Pooling))]
    if normalize is not None or dense:
        normalized = normalize if normalize is not None else any(isinstance(module, Normalize) for module in shaped)
        shaped = [module for module in shaped if not isinstance(module, Normalize)]
        width = next(module.get_embedding_dimension() for module in reversed(shaped) if isinstance(module, Dense | Pooling))
        if dense and not (isinstance(shaped[-1], Dense) and width == dense):
            shaped.append(Dense(width, dense))
        shaped += [Normalize()] if normalized else []
    return shaped


def use(model: nn.Sequential, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let `model` read texts with `tokenizer`, no more than the model has positions for."""
    tokenizer.model_max_length = min(tokenizer.model_max_length, model[0].tokenizer.model_max_length)
    model[0].processor = tokenizer


def load_guide(path: str, model: SentenceTransformer) -> SentenceTransformer:
    """The guide model in the folder `path`, as sentence-transformers loads it, beside `model`."""
    guide = SentenceTransformer(path, device=str(model.device), local_files_only=True)
    return guide.eval().requires_grad_(False)


def refuse_misread(model: SentenceTransformer, guide: SentenceTransformer, rows: Dataset) -> None:
    """Raise ConfigError where the guide of another tokenizer would be given other text than that of the rows.

    sentence-transformers hands a guide of the same vocabulary the model's own tokens. Another guide gets the text that is decoded from
    them, so what the model's tokenizer doesn't keep (letters it doesn't know) the guide never sees.
    """
    if model.tokenizer.get_vocab() == guide.tokenizer.get_vocab():
        return
    texts = [text for name in ("anchor", "positive") for text in rows[:SAMPLE][name]]
    decoded = model.tokenizer.batch_decode(model.tokenizer(texts).input_ids, skip_special_tokens=True)
    pairs = zip(texts, decoded, guide.tokenizer(texts).input_ids, guide.tokenizer(decoded).input_ids, strict=True)
    wrong = [(text, other) for text, other, ids, other_ids in pairs if ids != other_ids]
    if wrong:
        raise ConfigError(
            f"guide_model has another tokenizer than the model, so sentence-transformers gives it the text that is decoded from the "
            f"model's tokens, and of {len(wrong)} of {len(texts)} texts that is another text: {wrong[0][0][:80]!r} becomes "
            f"{wrong[0][1][:80]!r}; choose a guide with the model's own vocabulary, or a loss without a guide"
        )


def _class(name: str, path: str) -> type[Any]:
    try:
        found: type[Any] = import_module_class(name, path, local_files_only=True)
    except (ImportError, ValueError, OSError, AttributeError) as error:
        raise ConfigError(f"{path}/modules.json names {name}, which is none of sentence-transformers' own modules") from error
    return found


def _read(path: str, name: str) -> Any:
    file = Path(path) / name
    return json.loads(file.read_bytes()) if file.is_file() else []
