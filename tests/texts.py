"""Real sentences to compare, English and Korean: those of the examples, in pairs that have something in common."""

import csv
import json
from pathlib import Path

DATA = Path(__file__).parent.parent / "config/examples/shapes/data"


def english() -> list[tuple[str, str]]:
    """(text, reference), some on several lines."""
    return [pair for pair in _all() if not _is_korean("".join(pair))]


def korean() -> list[tuple[str, str]]:
    """(text, reference), some on several lines."""
    return [pair for pair in _all() if _is_korean("".join(pair))]


def _all() -> list[tuple[str, str]]:
    """Two answers to a question, what a task is and what becomes of it, parts of a dialogue and all of it, two sentences."""
    answers = [(row["negative"], row["positive"]) for row in _lines("triplets.jsonl")]
    tasks = [(f"{row['input']}\n{row['instruction']}", f"{row['output']}\n{row['input']}") for row in _lines("alpaca.jsonl")]
    dialogues = [row["text"].replace(" bot:", "\nbot:").replace(" human:", "\nhuman:") for row in _lines("dialogue.jsonl")]
    halves = [(f"{text[: len(text) // 2]}\n{text[len(text) // 3 :]}", text) for text in dialogues]
    with (DATA / "scored_pairs.csv").open(encoding="utf-8", newline="") as file:
        return [*answers, *tasks, *halves, *((row["sentence1"], row["sentence2"]) for row in csv.DictReader(file))]


def _lines(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def _is_korean(text: str) -> bool:
    return any("가" <= letter <= "힣" for letter in text)
