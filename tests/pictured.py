"""Squares of one colour with prompts and answers, some of them without a picture, for methods that show pictures beside `multimodal`."""

import json
import random
from pathlib import Path
from typing import Any

from tests.cases.multimodal import COLOURS, QUESTION, draw, make_tiny_model

NAMES = sorted(COLOURS)


def make(folder: Path, blind: bool = False) -> None:
    """Write assets/gemma, a random model, assets/colours, and assets/turned, where each picture is that of the rejected answer.

    With `blind`, every fifth row has no picture and is told the colour.
    """
    make_tiny_model(folder / "assets/gemma")
    chance = random.Random(0)
    rows = [_row(number, blind and number % 5 == 4) for number in range(100)]
    for name, shown in (("colours", "chosen"), ("turned", "rejected")):
        pictures = folder / "assets" / name
        pictures.mkdir(parents=True)
        for row in rows:
            for file in row["file_names"]:
                draw(row[shown], chance).save(pictures / file)
        (pictures / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _row(number: int, blind: bool) -> dict[str, Any]:
    right, wrong = NAMES[number * 7 // 5 % 5], NAMES[(number * 7 // 5 + 1 + number % 4) % 5]
    asked, files = (f"{right} user", []) if blind else (QUESTION, [f"{number}.png"])
    return {"file_names": files, "prompt": asked, "completion": right, "chosen": right, "rejected": wrong}


def config(experiments: str, columns: str = "completion", metrics: str = "") -> str:
    """A config with the evaluations `learn` and `turned`; `columns` are those of the answers."""
    kept = ["images", "prompt", *columns.split()]
    split = f"columns: {{{', '.join(f'{name}: {name}' for name in kept)}}}, split: {{test_size: 20, seed: 0}}"
    return f"""\
models: {{tiny: {{source: file://assets/gemma}}}}
datasets:
  colours: {{source: file://assets/colours, {split}}}
  turned: {{source: file://assets/turned, {split}}}
evaluations:
  learn: {{dataset: colours, generation: {{max_new_tokens: 4}}{metrics}}}
  turned: {{dataset: turned, generation: {{max_new_tokens: 4}}{metrics}}}
experiments:
{experiments}"""
