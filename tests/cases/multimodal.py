"""Squares of one colour, each a shade of its own, whose names a random model learns. One that sees nothing is right for one in five."""

import json
import random
from pathlib import Path

from PIL import Image

from examples.make_vision_model import make as make_model

FAST = True
METRIC = "rouge1"
MARGIN = 0.6
COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200), "white": (220, 220, 220), "black": (30, 30, 30)}
QUESTION = "what colour is it?"
CONFIG = """\
models:
  tiny: {source: file://assets/gemma}
datasets:
  colours:
    source: file://assets/colours
    split: {test_size: 20, stratify: text, seed: 0}
evaluations:
  learn:
    dataset: colours
    metrics: [rouge, loss]
    generation: {max_new_tokens: 4, do_sample: false}
experiments:
  learn:
    method: multimodal
    model: tiny
    dataset: colours
    evaluations: [learn]
    prompt: what colour is it?
    max_length: 64
    max_steps: 60
    per_device_train_batch_size: 8
    learning_rate: 5.0e-3
    logging_steps: 10
    threads: 1
"""


def make(folder: Path, assets: Path) -> None:
    """A random model of the shape of Gemma 3, and a folder of pictures with their names."""
    make_tiny_model(folder / "assets" / "gemma")
    pictures = folder / "assets" / "colours"
    pictures.mkdir(parents=True)
    chance = random.Random(0)
    rows = []
    for number in range(100):
        name = sorted(COLOURS)[number % len(COLOURS)]
        draw(name, chance).save(pictures / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "text": name})
    (pictures / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_tiny_model(folder: Path) -> None:
    """A model that learns the colours within seconds."""
    texts = [f"{QUESTION} {name} user model" for name in COLOURS] * 50
    make_model(folder, texts, words=320, width=32, layers=2, picture=16, patch=4, picture_tokens=4)


def draw(name: str, chance: random.Random) -> Image.Image:
    """A square of a shade of the colour `name`."""
    return Image.new("RGB", (chance.randrange(12, 40),) * 2, tuple(value + chance.randrange(-25, 26) for value in COLOURS[name]))
