"""What a page's commands reach over a network, on loopback: a Hub, a bucket, a tracker; only what the page speaks of is started."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import hub_server, mlflow_server, s3_server
from tests.docs import pages

BUCKET = re.compile(r"s3://|minio:")
HUB = re.compile(r"HuggingFaceTB/|hf://|your-name/|reproduce org/|ORG/NAME --private|autotrain\.yaml|support\.yaml")
TRACKER = re.compile(r"mlflow")
MODELS = ("microsoft/DialoGPT-medium", "HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M-Instruct", "org/name")
CARD = b"---\nlicense: apache-2.0\n---\n"
ROWS = 24


@dataclass
class Services:
    """What a command's environment must say, and what the names of a page stand for here."""

    environment: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)


@contextmanager
def reached(page: str, assets: Path) -> Iterator[Services]:
    """What the commands of `page` that run in a reader's folder want to reach."""
    text = "\n".join(command.text for command in pages.commands(page) if not command.elsewhere)
    services = Services()
    with ExitStack() as stack:
        if BUCKET.search(text):
            _bucket(stack.enter_context(s3_server.running()), services)
        if HUB.search(text):
            _hub(stack.enter_context(hub_server.running()), assets, services)
        if TRACKER.search(text):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="polar-mlflow-"))
            server = stack.enter_context(mlflow_server.running(Path(folder)))
            server.start()
            services.names["http://127.0.0.1:5000"] = server.uri
        yield services


def _bucket(s3: s3_server.S3, services: Services) -> None:
    # DVC wants the files of AWS to be there where they are named.
    services.environment |= {name: value for name, value in s3.environment().items() if value != os.devnull}
    services.names |= {"s3://bucket/": f"s3://{s3.bucket()}/"} | dict.fromkeys(("http://minio:9000", "https://s3.example.org"), s3.endpoint)


def _hub(hub: hub_server.Hub, assets: Path, services: Services) -> None:
    """One with the models and rows that pages name, tiny, and a token that may write everywhere."""
    services.environment |= hub.environment("hf_me")
    llama = {path.name: path for path in sorted((assets / "assets/llama").iterdir())}
    for name in MODELS:
        hub.commit(name, {**{file: path.read_bytes() for file, path in llama.items()}, "README.md": CARD})
    hub.tag("org/name", "v1.0")
    told = [(f"What does animal {number} do?", f"It sleeps for {number} hours.") for number in range(ROWS)]
    texts = _lines([{"text": f"{question} {answer}"} for question, answer in told])
    hub.commit("org/name", {"train.jsonl": texts, "validation.jsonl": texts, "README.md": CARD}, kind="datasets")
    hub.tag("org/name", "v1", kind="datasets")
    pairs = _lines([_preferred(*pair) for pair in told])
    hub.commit("trl-lib/ultrafeedback_binarized", {"train.jsonl": pairs, "test.jsonl": pairs, "README.md": CARD}, kind="datasets")


def _preferred(question: str, answer: str) -> dict[str, object]:
    asked = {"role": "user", "content": question}
    chosen, rejected = ({"role": "assistant", "content": text} for text in (answer, "I don't know."))
    return {"prompt": question, "chosen": [asked, chosen], "rejected": [asked, rejected]}


def _lines(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
