"""Memory as `polar-tools plan` predicts it beside what a fresh process needed, on small jobs: `make bench-memory`. Never a test.

Some models are the default run's (`--real`), the others are made here, of random weights, at sizes where the model and its activations
outweigh the libraries. Each training is a process of its own, with its preflight, as Snakemake would start it; its peak is what its
manifest says. No formula was fitted on JOBS: what was fitted was fitted on the jobs of CALIBRATION, nearly all on other models.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

TEXT = """
time year people way day man thing woman life child world school state family student group country problem hand part place case week
company system program question work government number night point home water room mother area money story fact month lot right study
book eye job word business issue side kind head house service friend father power hour game line end member law car city community name
"""
WORDS = TEXT.split()
"""What the made-up texts consist of; each is a token of every tokenizer here."""
COLUMNS = {
    "sft": ("prompt", "completion"),
    "causal_lm": ("text",),
    "masked_lm": ("text",),
    "classification": ("text", "label"),
    "seq2seq": ("document", "summary"),
    "dpo": ("prompt", "chosen", "rejected"),
    "orpo": ("prompt", "chosen", "rejected"),
    "reward": ("prompt", "chosen", "rejected"),
    "kto": ("prompt", "completion", "label"),
    "sentence_transformer": ("anchor", "positive"),
    "cross_encoder": ("sentence1", "sentence2", "label"),
    "grpo": ("prompt",),
}
REAL = {"smollm2": "results/models/smollm2/model", "minilm": "resources/models/minilm/snapshot"}
"""Where the default run has put its models."""


class Job(NamedTuple):
    """One training."""

    method: str
    model: str
    length: int
    """Tokens of the longest row."""
    fields: dict[str, Any]
    preflight: bool = True


LORA = {"use_peft": True, "lora_r": 16}
CHECKPOINTED = {"activation_checkpointing": True}

JOBS = {
    "sft-lora": Job("sft", "smollm2", 256, {"per_device_train_batch_size": 4, **LORA}),
    "sft-full": Job("sft", "smollm2", 192, {"per_device_train_batch_size": 2}),
    "sft-checkpointed": Job("sft", "qwen3", 640, {"per_device_train_batch_size": 2, **CHECKPOINTED}),
    "causal-summed": Job("causal_lm", "llama-wide", 384, {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}),
    "classify": Job("classification", "minilm", 256, {"per_device_train_batch_size": 16}),
    "classify-lora": Job("classification", "bert-wide", 256, {"per_device_train_batch_size": 8, **LORA}),
    "masked": Job("masked_lm", "bert-wide", 256, {"per_device_train_batch_size": 6}),
    "seq2seq": Job("seq2seq", "bart", 320, {"per_device_train_batch_size": 4}),
    "dpo-lora": Job("dpo", "smollm2", 128, {"per_device_train_batch_size": 2, **LORA}),
    "embed": Job("sentence_transformer", "minilm", 128, {"per_device_train_batch_size": 32}),
}
CALIBRATION = {
    "c-empty": Job("sft", "llama-tiny", 32, {"per_device_train_batch_size": 1}, False),
    "c-sft": Job("sft", "llama", 512, {"per_device_train_batch_size": 4}, False),
    "c-sft-preflight": Job("sft", "llama", 128, {"per_device_train_batch_size": 1}),
    "c-sft-lora": Job("sft", "llama", 512, {"per_device_train_batch_size": 4, **LORA}, False),
    "c-sft-checkpointed": Job("sft", "llama", 512, {"per_device_train_batch_size": 4, **CHECKPOINTED}, False),
    "c-causal": Job("causal_lm", "llama", 256, {"per_device_train_batch_size": 4}, False),
    "c-classify": Job("classification", "bert", 256, {"per_device_train_batch_size": 8}, False),
    "c-classify-preflight": Job("classification", "bert", 64, {"per_device_train_batch_size": 2}),
    "c-masked": Job("masked_lm", "bert", 192, {"per_device_train_batch_size": 8}, False),
    "c-seq2seq": Job("seq2seq", "bart-small", 256, {"per_device_train_batch_size": 6}, False),
    "c-dpo": Job("dpo", "llama", 192, {"per_device_train_batch_size": 4}, False),
    "c-dpo-lora": Job("dpo", "llama", 192, {"per_device_train_batch_size": 4, **LORA}, False),
    "c-reward": Job("reward", "llama", 192, {"per_device_train_batch_size": 4}, False),
    "c-embed": Job("sentence_transformer", "bert", 96, {"per_device_train_batch_size": 32}, False),
    "c-sgd": Job("sft", "llama", 256, {"per_device_train_batch_size": 2, "optim": "sgd"}),
    "c-bf16": Job("sft", "llama", 512, {"per_device_train_batch_size": 4, "dtype": "bfloat16"}, False),
    "c-orpo": Job("orpo", "llama", 192, {"per_device_train_batch_size": 4}, False),
    "c-adafactor": Job("causal_lm", "llama-wide", 512, {"per_device_train_batch_size": 2, "dtype": "bfloat16", "optim": "adafactor"}),
    "c-autocast": Job("sft", "llama", 512, {"per_device_train_batch_size": 4, "bf16": True}, False),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="work there, and keep what is made")
    parser.add_argument("--real", type=Path, help="a working folder in which the default run has put its models")
    parser.add_argument("--calibration", action="store_true", help="the jobs that the formulas were fitted on instead")
    parser.add_argument("--only", nargs="*", help="names of jobs")
    given = parser.parse_args()
    jobs = CALIBRATION if given.calibration else JOBS
    chosen = {name: job for name, job in jobs.items() if not given.only or name in given.only}
    if given.real is None:
        chosen = {name: job for name, job in chosen.items() if job.model not in REAL}
        print(f"without --real there are none of {', '.join(REAL)}", file=sys.stderr)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="bench-memory-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        real = given.real.resolve() if given.real else None
        os.chdir(folder)
        _run(chosen, real)
    finally:
        if given.folder is None:
            shutil.rmtree(folder)


def _run(jobs: dict[str, Job], real: Path | None) -> None:
    _alone(f"from bench.memory import prepare; prepare({sorted(jobs)!r}, {None if real is None else str(real)!r})")
    said = foretold()
    print(
        f"{'job':20} {'method':22} {'model':12} {'tokens x rows':>14} {'predicted':>10} {'measured':>9} {'off by':>7}  training alone, step"
    )
    away = []
    for name, job in jobs.items():
        trained(name, job)
        found = measured(name)
        inside, peak = found["training"], found["peak_memory_mb"]
        away.append(said[name] / peak - 1)
        size = f"{job.length} x {job.fields['per_device_train_batch_size']}"
        print(
            f"{name:20} {job.method:22} {job.model:12} {size:>14} {said[name]:7.0f} MB {peak:6} MB {away[-1]:+7.1%}"
            f"  {inside['peak_memory_mb']} MB, {inside['seconds_a_step']:.1f} s",
            flush=True,
        )
    print(f"off by {min(away):+.1%} to {max(away):+.1%}; without its sign {sum(map(abs, away)) / len(away):.1%} on average")


def foretold() -> dict[str, float]:
    """What `polar-tools plan` says of each training's peak, in MiB."""
    command = [sys.executable, "-m", "polar_tools", "plan", "config.yaml", "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {one["path"].split("/")[1]: one["device_mb"]["total"] for one in told["artifacts"] if one["stage"] == "train"}


def _alone(code: str) -> None:
    """Run it in a process of its own, so that this one stays small."""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)})


def prepare(names: Sequence[str], real: str | None) -> None:
    """Models, rows, and all that comes before the trainings."""
    from polar_tools import config
    from polar_tools.plan import Plan

    jobs = {name: {**JOBS, **CALIBRATION}[name] for name in names}
    for model in {job.model for job in jobs.values()}:
        if not Path("models", model).is_dir():
            if model in REAL:
                shutil.copytree(Path(str(real), REAL[model]), Path("models", model))
            else:
                make_model(model)
    for name, job in jobs.items():
        write_rows(name, job)
    Path("config.yaml").write_text(json.dumps(_config(jobs)), encoding="utf-8")
    plan = Plan(config.load(Path("config.yaml")))
    plan.settle()
    from click.testing import CliRunner

    from polar_tools.cli import group

    commands = {"mirror": "pull-push", "convert": "convert-model"}
    for path, made in plan.artifacts.items():
        if made.spec.stage not in ("train", "report"):
            done = CliRunner().invoke(group, [commands.get(made.spec.stage, made.spec.stage), f"{path}/spec.json"], catch_exceptions=False)
            if done.exit_code:
                raise SystemExit(done.output)


def _config(jobs: dict[str, Job]) -> dict[str, Any]:
    return {
        "models": {model: {"source": f"file://models/{model}"} for model in sorted({job.model for job in jobs.values()})},
        "datasets": {_rows_of(job): {"source": f"file://rows/{_rows_of(job)}.jsonl"} for job in jobs.values()},
        "experiments": {
            name: {
                **{"method": job.method, "model": job.model, "dataset": _rows_of(job)},
                **{"max_length": job.length, "on_too_long": "cut_right", "max_steps": 3, "threads": 1, "logging_steps": 1},
                **{"save_strategy": "no", **({"chat_template": "none"} if "prompt" in COLUMNS[job.method] else {}), **job.fields},
            }
            for name, job in jobs.items()
        },
    }


def _rows_of(job: Job) -> str:
    return f"{job.method}-{job.length}"


def write_rows(name: str, job: Job, count: int = 200) -> None:
    """rows/NAME.jsonl: made-up texts, the longest of which have more tokens than the job takes of a row."""
    chance = random.Random(job.length)  # noqa: S311 (it makes texts)

    def text(share: float) -> str:
        size = chance.uniform(*((0.6, 1.4) if name in CALIBRATION else (0.1, 1.4)))
        return "".join(f" {word}" for word in chance.choices(WORDS, k=max(4, int(share * job.length * size))))

    shares = {"prompt": 0.6, "completion": 0.5, "chosen": 0.5, "rejected": 0.5}
    file = Path("rows", f"{_rows_of(job)}.jsonl")
    file.parent.mkdir(exist_ok=True)
    with file.open("w", encoding="utf-8") as rows:
        for number in range(count):
            made = {column: number % 2 if column == "label" else text(shares.get(column, 1.0)) for column in COLUMNS[job.method]}
            rows.write(json.dumps(made) + "\n")


MARKS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def make_model(name: str) -> None:
    """models/NAME: random weights, and a tokenizer of which each word of the rows is a token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, set_seed

    special = ["<pad>", "<s>", "</s>", "<mask>", "<unk>"]
    set_seed(0)
    model = MODELS[name]()
    fillers = (f"w{number}" for number in range(model.config.vocab_size - len(special) - len(WORDS)))  # a random model guesses any
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS, *fillers])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106 (a token of text)
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    if name.startswith("ba") or name.startswith("be"):
        pair = "<s> $A </s> $B </s>"
        inner.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair=pair, special_tokens=[("<s>", 1), ("</s>", 2)])
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **marks)
    for part in (model, tokenizer):
        part.save_pretrained(Path("models", name))


def _llama(words: int, hidden: int, inner: int, layers: int, heads: int, groups: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    size = {"vocab_size": words, "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers}
    size |= {"num_attention_heads": heads, "num_key_value_heads": groups}
    return LlamaForCausalLM(LlamaConfig(**size, **MARKS))


def _qwen3() -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    size = {"vocab_size": 32000, "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 12, "head_dim": 64}
    size |= {"num_attention_heads": 8, "num_key_value_heads": 4, "tie_word_embeddings": True}
    return Qwen3ForCausalLM(Qwen3Config(**size, **MARKS))


def _bert(hidden: int, inner: int, layers: int, heads: int) -> Any:
    from transformers import BertConfig, BertModel

    size = {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads}
    return BertModel(BertConfig(vocab_size=20000, pad_token_id=0, **size))


def _bart(hidden: int, inner: int, layers: int) -> Any:
    from transformers import BartConfig, BartForConditionalGeneration

    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2}
    size = dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), inner) | {"d_model": hidden, "max_position_embeddings": 1024}
    depth = dict.fromkeys(("encoder_layers", "decoder_layers"), layers)
    depth |= dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 8)
    return BartForConditionalGeneration(BartConfig(vocab_size=20000, **ids, **size, **depth))


MODELS: dict[str, Callable[[], Any]] = {
    "llama-tiny": lambda: _llama(5000, 32, 64, 2, 2, 2),
    "llama": lambda: _llama(16000, 512, 1376, 8, 8, 8),
    "llama-wide": lambda: _llama(24000, 768, 2048, 8, 12, 4),
    "qwen3": _qwen3,
    "bert": lambda: _bert(512, 2048, 6, 8),
    "bert-wide": lambda: _bert(768, 3072, 8, 12),
    "bart-small": lambda: _bart(384, 1536, 4),
    "bart": lambda: _bart(512, 2048, 6),
}


def trained(name: str, job: Job) -> None:
    """Train, as Snakemake would."""
    command = [sys.executable, "-m", "polar_tools", "train", f"results/{name}/seed0/train/spec.json"]
    done = subprocess.run([*command, *([] if job.preflight else ["--preflight", "off"])], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout)


def measured(name: str) -> dict[str, Any]:
    """What the manifest of a training says of memory and time."""
    found: dict[str, Any] = json.loads(Path(f"results/{name}/seed0/train/manifest.json").read_bytes())["measured"]
    return found


if __name__ == "__main__":
    main()
