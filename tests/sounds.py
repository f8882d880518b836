"""A reward that can be known: asked what an animal says, a model of a dozen words earns the share of its words that are that sound."""

import csv
from pathlib import Path

SOUNDS = {"cat": "purr", "dog": "bark", "fish": "blub"}
FILLERS = ("big", "small", "old", "young", "my", "your", "the")
LENGTH = 4
"""Words of an answer, and of what the model may write."""

DATA = f"""\
models: {{speaker: {{source: file://assets/speaker}}}}
datasets:
  sounds:
    source: file://assets/sounds.csv
    columns: {{prompt: question, completion: answer}}
    split: {{test_size: 12, seed: 0}}
evaluations: {{learn: {{dataset: sounds, generation: {{max_new_tokens: {LENGTH}}}}}}}
"""
RECIPE = f"""\
    model: speaker
    dataset: sounds
    evaluations: [learn]
    chat_template: none
    rewards: [{{name: rouge, kind: rouge1}}]
    max_completion_length: {LENGTH}
    logging_steps: 10
    save_strategy: "no"
    threads: 1
"""


def make(folder: Path, assets: Path) -> None:
    """Write assets/speaker, a model of random weights with one token a word, and assets/sounds.csv."""
    (folder / "assets").mkdir(parents=True)
    with (folder / "assets" / "sounds.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer"])
        writer.writerows(
            [f"{one} {other} {animal} says", " ".join([sound] * LENGTH)]
            for one in FILLERS
            for other in FILLERS
            if one != other
            for animal, sound in SOUNDS.items()
        )
    _make_model(folder / "assets" / "speaker")


def _make_model(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "says", *FILLERS, *SOUNDS, *SOUNDS.values()]
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    torch.manual_seed(0)
    size = {"vocab_size": len(words), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(**size, pad_token_id=0, bos_token_id=1, eos_token_id=2))
    for thing in (model, tokenizer):
        thing.save_pretrained(folder)
