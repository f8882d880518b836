"""Put a model's folder together, once: GGUF weights as safetensors, a subfolder, another's parts or decoder, more tokens."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from polar_tools import architectures
from polar_tools.artifact import Facts, put
from polar_tools.errors import UserError, first_line
from polar_tools.modeling import LIBRARIES as MODELING
from polar_tools.modeling import seed_everything
from polar_tools.specs import ConvertSpec

LIBRARIES = (*MODELING, "gguf")
CONFIG = ("config.json",)
TOKENIZER = (
    *(
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
    ),
    *("vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
)
"""Files that transformers reads a tokenizer from."""


def run(spec: ConvertSpec, folder: Path) -> Facts:
    """Write `folder`/model: weights (of a GGUF file in float32), configuration, tokenizer with its chat template."""
    source, target = _source(spec), folder / spec.PAYLOAD
    shutil.rmtree(target, ignore_errors=True)
    if spec.gguf_file is not None:
        _dequantize(source, spec.gguf_file, target)
    else:
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            put(path, target / path.relative_to(source))
    for field, owner, names in (("config_name", spec.config_name, CONFIG), ("tokenizer_name", spec.tokenizer_name, TOKENIZER)):
        if owner is not None:
            _take(field, Path(owner), names, target)
    if spec.decoder_name is not None:
        _join(target, target if spec.decoder_name == spec.model else Path(spec.decoder_name))
    if spec.added_tokens:
        _enlarge(spec.added_tokens, target)
    told = spec.model_dump(exclude={"stage", "model"}, exclude_defaults=True)
    return Facts(recorded={"converted_from": told})


def _source(spec: ConvertSpec) -> Path:
    """The folder in which the model lies; raises UserError where it, or the GGUF file in it, is not there."""
    source = Path(spec.model, spec.model_subfolder or "")
    if not source.is_dir():
        known = ", ".join(sorted(path.name for path in Path(spec.model).iterdir() if path.is_dir())) or "no folder at all"
        raise UserError(f"model_subfolder: there is no {spec.model_subfolder} in {spec.model}, which has {known}")
    if spec.gguf_file is not None and not (source / spec.gguf_file).is_file():
        known = ", ".join(sorted(path.name for path in source.glob("*.gguf"))) or "no .gguf file at all"
        raise UserError(f"gguf_file: there is no {spec.gguf_file} in {source}, which has {known}")
    return source


def _take(field: str, owner: Path, names: tuple[str, ...], target: Path) -> None:
    """Files of `owner` in place of those in `target`; raises UserError where it has none."""
    found = [name for name in names if (owner / name).is_file()]
    if not found:
        raise UserError(f"{field}: {owner} has none of {', '.join(names)}")
    for name in names:
        (target / name).unlink(missing_ok=True)
    for name in found:
        put(owner / name, target / name)


def _dequantize(source: Path, gguf_file: str, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf_file, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=gguf_file, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True), local_files_only=True
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _join(encoder: Path, decoder: Path) -> None:
    """An encoder-decoder of the models in two folders, in place of the first; raises UserError where they don't go together.

    The tokenizer writes what the decoder reads, so both must have the same. What neither brings, the attention from the decoder to the
    encoder, is drawn, always in the same way.
    """
    from transformers import AutoTokenizer, EncoderDecoderModel, set_seed

    set_seed(0)
    try:
        tokenizer, other = (AutoTokenizer.from_pretrained(folder, local_files_only=True) for folder in (encoder, decoder))
        model = EncoderDecoderModel.from_encoder_decoder_pretrained(str(encoder), str(decoder))
    except (OSError, ValueError) as error:
        raise UserError(f"decoder_name: the models can't be joined to an encoder-decoder: {first_line(error)}") from error
    if tokenizer.get_vocab() != other.get_vocab():
        raise UserError(f"decoder_name: {decoder} has another vocabulary than its encoder, so it can't write what that reads")
    shutil.rmtree(encoder)
    model.save_pretrained(encoder)
    tokenizer.save_pretrained(encoder)


def _enlarge(words: tuple[str, ...], target: Path) -> None:
    """Let `words` be tokens of the model in `target`; raises UserError where it has no tokenizer, or no class that transformers knows.

    A new embedding is drawn around the mean of those that are there (Hewitt 2021), always in the same way.
    """
    from transformers import AddedToken, AutoTokenizer

    seed_everything(0, threads=1)
    try:
        tokenizer = AutoTokenizer.from_pretrained(target, local_files_only=True)
        model = _class_of(target).from_pretrained(target, dtype="auto", local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"added_tokens: the model can't be given more tokens: {first_line(error)}") from error
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:  # some have rows to spare
        model.resize_token_embeddings(len(tokenizer))
    apart = target.with_name(".enlarged")  # what lies in `target` may be linked to what was mirrored
    shutil.rmtree(apart, ignore_errors=True)
    model.save_pretrained(apart)
    tokenizer.save_pretrained(apart)
    for path in [*target.glob("*.safetensors*"), *target.glob("pytorch_model*.bin*")]:
        path.unlink()
    for path in sorted(apart.iterdir()):
        put(path, target / path.name)
    shutil.rmtree(apart)


def _class_of(folder: Path) -> Any:
    """The class that the model was saved from."""
    import transformers

    [name, *_] = architectures.told(str(folder)).get("architectures") or [""]
    if (found := getattr(transformers, name, None)) is None:
        raise ValueError(f"transformers has no class `{name}`, which config.json names in `architectures`")
    return found
