"""Two words and their translation: of combinations that were held out, the right one is to be found."""

import csv
import itertools
import random
import shutil
from pathlib import Path

FAST = True
METRIC = "mrr_at_10"
MARGIN = 0.3

CONFIG = """\
models: {bert: {source: file://assets/bert}}
datasets:
  translations:
    source: file://assets/translations.csv
    split: {test_size: 24, seed: 0}
evaluations: {learn: {dataset: translations}}
experiments:
  learn:
    method: sentence_transformer
    model: bert
    dataset: translations
    evaluations: [learn]
    max_steps: 80
    per_device_train_batch_size: 32
    learning_rate: 3.0e-3
    normalize_embeddings: true
    threads: 1
"""

COLOURS = {"red": "rouge", "blue": "bleu", "green": "vert", "black": "noir", "white": "blanc", "yellow": "jaune", "grey": "gris"}
THINGS = {"cat": "chat", "dog": "chien", "fish": "poisson", "horse": "cheval", "bird": "oiseau", "cow": "vache", "house": "maison"}


def make(folder: Path, assets: Path) -> None:
    """The shared tiny encoder, and pairs."""
    shutil.copytree(assets / "assets", folder / "assets")
    rows = [(f"the {one} {other}", f"{THINGS[other]} {COLOURS[one]}") for one, other in itertools.product(COLOURS, THINGS)]
    random.Random(0).shuffle(rows)
    with (folder / "assets" / "translations.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("anchor", "positive"), *rows])
