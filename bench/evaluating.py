"""What a model writes for rows of very different lengths: by this project, by Seq2SeqTrainer.predict and by a plain loop. Never a test.

Two models: SmolLM2-135M-Instruct on 200 prompts (the default run's texts, cut to 8 to 256 words), and a small encoder-decoder of random
weights, of whose tokens every 60th ends a text and which is kept from repeating itself, so that texts end anywhere. Greedy, float32, the
same ids into each way, a fresh process each time, by turns; only the writing is timed. What they write is compared. Where a row differs,
transformers writes it alone, and it is listed with the smallest lead that its best token ever had over the second best: below 1e-4 one is
as good as the other, and rounding decides.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.training_job import REPOSITORY

FOLDER = REPOSITORY / "build/bench-eval"
MODELS = ("smollm2", "encoder-decoder")
TIE = 1e-4
ENDS = 60
BATCH = 16


def material(folder: Path, rows: int) -> tuple[Path, list[list[int]]]:
    """The folder of SmolLM2, and the ids of the prompts."""
    from transformers import AutoTokenizer

    from bench.training_job import prepare

    job = prepare(folder / "job", -(-rows // 8), None)
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    asked = [json.loads(line)["messages"][:-1] for line in job.train.read_text(encoding="utf-8").splitlines()[:rows]]
    return job.model, [tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"] for turns in asked]


def loaded(name: str, folder: str) -> tuple[Any, Any, list[int]]:
    """Model, tokenizer and the tokens that end a text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, BartConfig, BartForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left" if name == "smollm2" else "right")
    if name == "smollm2":
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer, [tokenizer.eos_token_id]
    torch.manual_seed(0)
    ids = {"pad_token_id": 2, "bos_token_id": 1, "eos_token_id": 0, "decoder_start_token_id": 1, "forced_eos_token_id": None}
    size = dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 2048) | {"d_model": 512, "max_position_embeddings": 1024}
    layers = dict.fromkeys(("encoder_layers", "decoder_layers"), 6) | dict.fromkeys(
        ("encoder_attention_heads", "decoder_attention_heads"), 8
    )
    model = BartForConditionalGeneration(BartConfig(vocab_size=8192, init_std=0.1, **ids, **size, **layers)).eval()
    return model, tokenizer, list(range(0, 8192, ENDS))


def settings(name: str, new: int, ends: list[int]) -> dict[str, Any]:
    """How a model writes, in whichever way."""
    penalty = {} if name == "smollm2" else {"repetition_penalty": 5.0}
    return {"max_new_tokens": new, "num_beams": 1, "do_sample": False, "eos_token_id": ends, "pad_token_id": 2, **penalty}


def ours(model: Any, tokenizer: Any, prompts: Sequence[list[int]], told: dict[str, Any]) -> list[str]:
    """By this project."""
    from polar_tools import inference

    return [one.text for one in inference.generate(model, tokenizer, prompts, told)]


def plain_loop(model: Any, tokenizer: Any, prompts: Sequence[list[int]], told: dict[str, Any]) -> list[str]:
    """Batches in file order, as one writes it down."""
    import torch

    texts: list[str] = []
    for first in range(0, len(prompts), BATCH):
        batch = tokenizer.pad({"input_ids": list(prompts[first : first + BATCH])}, return_tensors="pt")
        with torch.inference_mode():
            output = model.generate(**batch, **told)
        texts += _decoded(tokenizer, output[:, 0 if model.config.is_encoder_decoder else batch["input_ids"].shape[1] :])
    return texts


def seq2seq_trainer(model: Any, tokenizer: Any, prompts: Sequence[list[int]], told: dict[str, Any], batch: int) -> list[str]:
    """By transformers' Seq2SeqTrainer.predict, which pads all rows to the longest in the end."""
    from transformers import DataCollatorWithPadding, Seq2SeqTrainer, Seq2SeqTrainingArguments

    arguments = Seq2SeqTrainingArguments(
        output_dir=str(FOLDER / "trainer"), predict_with_generate=True, per_device_eval_batch_size=batch, use_cpu=True, report_to="none",
        disable_tqdm=True,
    )  # fmt: skip
    trainer = Seq2SeqTrainer(model=model, args=arguments, data_collator=DataCollatorWithPadding(tokenizer), processing_class=tokenizer)
    found = trainer.predict([{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in prompts], **told).predictions
    widths = [max(map(len, prompts[row - row % batch : row - row % batch + batch])) for row in range(len(prompts))]
    starts = [0 if model.config.is_encoder_decoder else width for width in widths]
    rows = [[int(number) for number in ids[start:] if number >= 0] for ids, start in zip(found, starts, strict=True)]
    return _decoded(tokenizer, rows)


def _decoded(tokenizer: Any, rows: Any) -> list[str]:
    return [text.strip() for text in tokenizer.batch_decode(rows, skip_special_tokens=True)]


WAYS: dict[str, Callable[..., list[str]]] = {
    "polar-tools": ours,
    f"plain loop, {BATCH} rows": plain_loop,
    "Seq2SeqTrainer.predict, 8 rows (its default)": lambda *told: seq2seq_trainer(*told, 8),
    f"Seq2SeqTrainer.predict, {BATCH} rows": lambda *told: seq2seq_trainer(*told, BATCH),
}


def one(way: str, name: str, folder: str, file: Path, new: int, threads: int) -> dict[str, Any]:
    """The seconds that one way takes, in this process, and what it writes."""
    import torch

    torch.set_num_threads(threads)
    model, tokenizer, ends = loaded(name, folder)
    prompts = _within(json.loads(file.read_text()), name)
    told = settings(name, new, ends)
    WAYS[way](model, tokenizer, prompts[:2], {**told, "max_new_tokens": 2})  # what is done once
    wall, cpu = time.perf_counter(), time.process_time()
    texts = WAYS[way](model, tokenizer, prompts, told)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "texts": texts}


def _within(prompts: list[list[int]], name: str) -> list[list[int]]:
    """The ids as a model knows them: that of random weights has fewer."""
    return prompts if name == "smollm2" else [[3 + number % 8189 for number in ids] for ids in prompts]


def leads(name: str, folder: str, file: Path, new: int, rows: Sequence[int]) -> dict[int, float]:
    """Of each row the smallest lead that its best token ever had, where transformers writes it alone."""
    import torch

    torch.set_num_threads(1)
    model, _, ends = loaded(name, folder)
    found = {}
    for row in rows:
        ids = torch.tensor([_within(json.loads(file.read_text()), name)[row]])
        told = {**settings(name, new, ends), "output_scores": True, "return_dict_in_generate": True}
        with torch.inference_mode():
            steps = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **told).scores
        best = torch.cat(steps).topk(2).values
        found[row] = float((best[:, 0] - best[:, 1]).min())
    return found


def compared(name: str, runs: dict[str, list[dict[str, Any]]], rows: int, lead: Callable[[Sequence[int]], dict[int, float]]) -> None:
    """Print a table of rows a second, and the rows that differ."""
    middle = {way: {kind: statistics.median(run[kind] for run in some) for kind in ("wall", "cpu")} for way, some in runs.items()}
    mine = middle["polar-tools"]
    print(f"\n{name}: {rows} rows\n\n| way | rows/s | rows/CPU s | polar-tools is so many times as fast (by CPU time) |\n|---|---|---|---|")
    for way, took in middle.items():
        ratio = f"{took['wall'] / mine['wall']:.2f} ({took['cpu'] / mine['cpu']:.2f})"
        print(f"| {way} | {rows / took['wall']:.2f} | {rows / took['cpu']:.2f} | {ratio} |")
    wanted = runs["polar-tools"][0]["texts"]
    for way, some in runs.items():
        differ = [row for row, (text, other) in enumerate(zip(wanted, some[0]["texts"], strict=True)) if text != other]
        told = {row: f"{gap:.1e}{'' if gap < TIE else ' NO TIE'}" for row, gap in lead(differ).items()} if differ else {}
        print(f"{way}: {rows - len(differ)} of {rows} texts are the same" + (f"; near-ties: {told}" if told else ""), flush=True)


def main() -> None:
    """All ways on both models, by turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--new", type=int, default=128, help="tokens that a text may have")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--one", nargs=4, metavar=("WAY", "MODEL", "FOLDER", "FILE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        way, name, folder, given = asked.one
        print(json.dumps(one(way, name, folder, Path(given), asked.new, asked.threads)))
        return
    model, prompts = material(FOLDER, asked.rows)
    lengths, file = sorted(map(len, prompts)), FOLDER / "prompts.json"
    file.write_text(json.dumps(prompts))
    print(
        f"{len(prompts)} prompts of {lengths[0]} to {lengths[-1]} tokens, median {lengths[len(lengths) // 2]}; up to {asked.new} new ones"
    )
    for name in asked.models:
        runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
        for way in list(WAYS) * asked.runs:
            words = [*("--new", str(asked.new), "--threads", str(asked.threads)), "--one", way, name, str(model), str(file)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(asked.threads)}
            done = subprocess.run(
                [sys.executable, "-m", "bench.evaluating", *words], capture_output=True, text=True, check=True, env=environment
            )
            runs[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{name}, {way}: {runs[way][-1]['wall']:.1f} s, {runs[way][-1]['cpu']:.1f} s CPU", file=sys.stderr, flush=True)
        compared(name, runs, len(prompts), lambda rows, name=name: leads(name, str(model), file, asked.new, rows))
    print(f"\nload {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {asked.threads} thread{'s' if asked.threads > 1 else ''}", flush=True)


if __name__ == "__main__":
    main()
