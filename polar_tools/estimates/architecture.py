"""How large a model is, by its config.json and the headers of its weights: no weight is read, and no library loaded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polar_tools.estimates.amounts import UnknownError

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}
"""Bytes of an element, by safetensors' names."""
NAMES = {
    "hidden": ("hidden_size", "d_model", "n_embd", "dim"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "n_heads"),
    "inner": ("intermediate_size", "n_inner", "ffn_dim", "d_ff", "hidden_dim"),
    "groups": ("num_key_value_heads",),
    "head_size": ("head_dim", "d_kv"),
    "words": ("vocab_size",),
}
"""What architectures call the same size."""
EMBEDDINGS = ("embed", "wte", "wpe", "shared.weight", "relative_attention_bias")
HEADS = ("lm_head", "cls.predictions", "score.weight", "classifier", "decoder.bias")
"""Parts of the names of tensors."""
PLAIN = ("bert", "roberta", "gpt", "bart", "mbart", "opt", "xlm", "electra", "t5", "distilbert")
"""Architectures whose layers have one way into their inner part (all others have two, one a gate), and learned places."""


@dataclass(frozen=True)
class Tensor:
    """A stored weight."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Its elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Stack:
    """Equal layers one on the other."""

    family: str
    """`model_type`; of the decoder of an encoder-decoder with `-decoder` behind it."""
    layers: int
    hidden: int
    inner: int
    heads: int
    groups: int
    """Heads of keys and values."""
    head_size: int
    attention_dropout: float
    hidden_dropout: float

    @property
    def query(self) -> int:
        """Numbers of a token's queries."""
        return self.heads * self.head_size

    @property
    def key(self) -> int:
        """Numbers of a token's keys, and of its values."""
        return self.groups * self.head_size


@dataclass(frozen=True)
class Architecture:
    """A model's sizes."""

    folder: Path
    told: Mapping[str, Any]
    """config.json."""

    @cached_property
    def stacks(self) -> tuple[Stack, ...]:
        """Its layers: one stack, or encoder and decoder."""
        told = self._text
        kind = str(told.get("model_type"))
        if "encoder" in told and "decoder" in told:
            return _stack(told["encoder"], kind=str(told["encoder"].get("model_type"))), _stack(
                told["decoder"], kind=f"{told['decoder'].get('model_type')}-decoder"
            )
        if not told.get("is_encoder_decoder"):
            return (_stack(told, kind),)
        sides = [{**told, **_side(told, side)} for side in ("encoder", "decoder")]
        if "num_decoder_layers" in told:
            sides[1]["num_layers"] = sides[1]["num_hidden_layers"] = told["num_decoder_layers"] or told["num_layers"]
        return _stack(sides[0], kind), _stack(sides[1], f"{kind}-decoder")

    @cached_property
    def words(self) -> int:
        """The vocabulary."""
        told = self._text
        return _size(told.get("decoder", told), "words")

    @property
    def hidden(self) -> int:
        """Size of a hidden state, of the last stack."""
        return self.stacks[-1].hidden

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether a text is read by one stack and written by another."""
        return len(self.stacks) > 1

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """What is stored, by the headers of the safetensors files; empty where there are none."""
        return tuple(tensor for file in sorted(self.folder.glob("*.safetensors")) for tensor in _header(file))

    @cached_property
    def stored(self) -> int:
        """Bytes of the weights as they are stored."""
        return sum(tensor.size * BYTES.get(tensor.dtype, 4) for tensor in self.tensors)

    @cached_property
    def parameters(self) -> int:
        """All weights. Exact where they are stored as safetensors, otherwise by the sizes in config.json."""
        return sum(tensor.size for tensor in self.tensors) or self._by_sizes()

    @cached_property
    def head(self) -> int:
        """Weights of a language model's head that are its own, and no embedding's."""
        return sum(tensor.size for tensor in self.tensors if tensor.name.endswith("lm_head.weight"))

    @cached_property
    def embeddings(self) -> int:
        """Weights of the embeddings of words and places."""
        found = sum(tensor.size for tensor in self.tensors if is_embedding(tensor.name))
        return found or self.words * self.hidden

    @cached_property
    def linear(self) -> tuple[Tensor, ...]:
        """The weights [out, in] of all linear layers but the head."""
        return tuple(one for one in self.tensors if len(one.shape) == 2 and not is_embedding(one.name) and not is_head(one.name))

    @property
    def positions(self) -> int | None:
        """How long a row the model was built for, where config.json says it."""
        known = [self._text[name] for name in ("max_position_embeddings", "n_positions") if isinstance(self._text.get(name), int)]
        return min(known, default=None)

    @property
    def _text(self) -> Mapping[str, Any]:
        """What is said of the part that reads and writes text."""
        return {**self.told, **self.told.get("text_config", {})}

    def _by_sizes(self) -> int:
        layers = sum(
            stack.layers
            * (
                stack.hidden * (2 * stack.query + 2 * stack.key) * (2 if stack.family.endswith("-decoder") else 1)
                + (2 if is_plain(stack.family) else 3) * stack.hidden * stack.inner
            )
            for stack in self.stacks
        )
        places = (self.positions or 0) if is_plain(self.stacks[0].family) else 0  # others turn what they know of places into angles
        tied = self._text.get("tie_word_embeddings", True)
        return layers + (self.words * (1 if tied else 2) + places) * self.hidden


def read(folder: Path) -> Architecture:
    """The architecture of the model in `folder`, or of the base of the adapter there; raises UnknownError where nothing says it."""
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        return read(Path(json.loads(adapter.read_bytes())["base_model_name_or_path"]))
    file = folder / "config.json"
    if not file.is_file():
        raise UnknownError(f"there is no config.json in {folder}")
    return Architecture(folder, json.loads(file.read_bytes()))


def is_embedding(name: str) -> bool:
    """Whether a tensor of this name holds embeddings."""
    return any(part in name for part in EMBEDDINGS) and "norm" not in name.lower()


def is_head(name: str) -> bool:
    """Whether a tensor of this name is a part of a head."""
    return any(part in name for part in HEADS)


def is_plain(family: str) -> bool:
    """Whether a layer's inner part has one way in, and no gate."""
    return family.startswith(PLAIN)


def _stack(told: Mapping[str, Any], kind: str) -> Stack:
    hidden, heads = _size(told, "hidden"), _size(told, "heads")
    return Stack(
        family=kind,
        layers=_size(told, "layers"),
        hidden=hidden,
        inner=_size(told, "inner", 4 * hidden),
        heads=heads,
        groups=_size(told, "groups", heads),
        head_size=_size(told, "head_size", hidden // heads),
        attention_dropout=_dropout(told, kind, ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop"), "dropout_rate"),
        hidden_dropout=_dropout(told, kind, ("hidden_dropout_prob", "resid_pdrop", "dropout"), "dropout_rate"),
    )


def _dropout(told: Mapping[str, Any], kind: str, names: tuple[str, ...], every: str) -> float:
    """A rate, or what transformers takes where config.json is silent: 0.1 in the families from before llama."""
    given = [told[name] for name in (*names, every) if isinstance(told.get(name), int | float)]
    silent = 0.1 if kind.removesuffix("-decoder") in ("bert", "roberta", "gpt2", "t5", "xlm-roberta", "electra") else 0.0
    return float(given[0]) if given else silent


def _side(told: Mapping[str, Any], side: str) -> dict[str, Any]:
    """The sizes of the encoder or decoder, where it has its own."""
    own = {"num_hidden_layers": "layers", "num_attention_heads": "attention_heads", "intermediate_size": "ffn_dim"}
    return {name: told[f"{side}_{ending}"] for name, ending in own.items() if f"{side}_{ending}" in told}


def _size(told: Mapping[str, Any], what: str, otherwise: int | None = None) -> int:
    found = [told[name] for name in NAMES[what] if isinstance(told.get(name), int)]
    if not found and otherwise is None:
        raise UnknownError(f"config.json of a model of type {told.get('model_type')} doesn't say its {what}")
    return int(found[0]) if found else int(otherwise or 0)


def _header(file: Path) -> list[Tensor]:
    """The tensors in a safetensors file: https://github.com/huggingface/safetensors#format."""
    with file.open("rb") as stored:
        told = json.loads(stored.read(int.from_bytes(stored.read(8), "little")))
    return [Tensor(name, tuple(one["shape"]), one["dtype"]) for name, one in told.items() if name != "__metadata__"]
