"""Make a small image + text model of the shape of Gemma 3, for config/examples/multimodal.yaml: package registries have none.

python examples/make_vision_model.py data/tiny-gemma3 data/emoji/metadata.jsonl

Its weights are random, so it knows nothing before it is trained. Its words are those of the JSONL's columns `text` and `korean`.
A folder that is there already stays; delete it to have it anew.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MARKS = {"pad": "<pad>", "eos": "<eos>", "bos": "<bos>", "turn": "<start_of_turn>", "end": "<end_of_turn>"}
PICTURE = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
TEMPLATE = """\
{{ bos_token }}
{%- for message in messages -%}
{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}
{%- if message['content'] is string -%}{{ message['content'] | trim }}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' -%}{{ '<start_of_image>' }}{%- else -%}{{ part['text'] | trim }}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"""
"""As Gemma 3 writes turns, but for the system's, which has one of its own here."""


def main(arguments: list[str]) -> int:
    """Make the model in the folder that is named first, with the words of the file that is named second."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 1
    folder, file = map(Path, arguments)
    if folder.exists():
        print(f"{folder}: there already")
        return 0
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    texts = [row[name] for row in rows for name in ("text", "korean") if row[name]]
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    print(f"{folder}: {make(unfinished, texts):,} parameters")
    unfinished.rename(folder)
    return 0


def make(
    folder: Path,
    texts: Iterable[str],
    words: int = 2000,
    width: int = 128,
    layers: int = 3,
    picture: int = 64,
    patch: int = 8,
    picture_tokens: int = 16,
    seed: int = 0,
) -> int:
    """Write a model with random weights, and its processor, to `folder`; returns how many parameters it has."""
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3Processor
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    tokenizer = make_tokenizer(texts, words)
    pictures = Gemma3ImageProcessorPil(size={"height": picture, "width": picture})  # this one needs no torchvision
    Gemma3Processor(pictures, tokenizer, chat_template=TEMPLATE, image_seq_length=picture_tokens).save_pretrained(folder)
    size = {"hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": layers, "num_attention_heads": 4}
    size["initializer_range"] = width**-0.5  # the default suits models that are twenty times as wide
    ids = {name: getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    config = Gemma3Config(
        text_config={
            **{**size, "vocab_size": len(tokenizer), "num_key_value_heads": 2, "head_dim": width // 4},
            **{"query_pre_attn_scalar": width // 4, "max_position_embeddings": 1024, "sliding_window": 256},
            **{f"{name}_token_id": number for name, number in ids.items()},
        },
        vision_config={**size, "image_size": picture, "patch_size": patch},
        mm_tokens_per_image=picture_tokens,
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        **{f"{name}_token_id": number for name, number in ids.items()},
    )
    torch.manual_seed(seed)
    model = Gemma3ForConditionalGeneration(config)
    # transformers leaves this at zero, for it is meant to be loaded: no picture would reach the text.
    torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=width**-0.5)
    model.save_pretrained(folder)
    return sum(weights.numel() for weights in model.parameters())


def make_tokenizer(texts: Iterable[str], words: int) -> Any:
    """A byte-level BPE tokenizer of `words` tokens, with the marks of turns and pictures."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    marks = [*MARKS.values(), *PICTURE.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=words, special_tokens=marks, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        **{f"{name}_token": MARKS[name] for name in ("pad", "eos", "bos")},
        extra_special_tokens=PICTURE,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
