"""Render a dataset for an experiment's model, once, before any GPU waits for it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polar_tools import datasets, discovery, modeling
from polar_tools.artifact import Facts, canonical
from polar_tools.errors import DataError
from polar_tools.methods import base
from polar_tools.specs import TokenizeSpec

LIBRARIES = ("transformers", "tokenizers", "pyarrow")


def run(spec: TokenizeSpec, folder: Path) -> Facts:
    """Write tokenizer/ (with the chat template and features.json), tokens/ and report.json."""
    config = spec.experiment
    method = discovery.load("methods", config.method)
    rows = datasets.read_rows(Path(config.dataset), "train")
    base.check_columns(config, method.COLUMNS, list(rows[0]))
    tokenizer = method.set_up(config, modeling.load_tokenizer(config.model))
    features = method.features(config, rows)
    rendered = method.render(config, tokenizer, features, rows)
    kept = [fitted for example in rendered if (fitted := method.fit(config, example)) is not None]
    report = _measure(config, rendered, kept)
    shutil.rmtree(folder / spec.PAYLOAD, ignore_errors=True)
    tokenizer.save_pretrained(folder / spec.PAYLOAD)
    (folder / spec.PAYLOAD / "features.json").write_bytes(canonical(features))
    datasets.write_rows(kept, folder / "tokens", "train")
    (folder / "report.json").write_bytes(canonical(report))
    return Facts(recorded=report)


def _measure(config: base.Config, rendered: Sequence[base.Example], kept: Sequence[base.Example]) -> dict[str, Any]:
    """Counts and lengths; raises DataError where nothing would be trained on."""
    for number, example in enumerate(kept):
        if all(label == base.IGNORED for label in example["labels"]):
            raise DataError(f"training row {number}: no token of it would be trained on; is max_length too short for its answer?")
    if not kept:
        raise DataError(f"all {len(rendered)} training rows have more than max_length {config.max_length} tokens and were dropped")
    lengths = sorted(len(example["input_ids"]) for example in rendered)
    return {
        "rows": len(rendered),
        "dropped": len(rendered) - len(kept),
        "cut": 0 if config.max_length is None else sum(length > config.max_length for length in lengths) - (len(rendered) - len(kept)),
        "tokens": sum(len(example["input_ids"]) for example in kept),
        "trained_tokens": sum(label != base.IGNORED for example in kept for label in example["labels"]),
        "length": {
            name: lengths[int((len(lengths) - 1) * share)] for name, share in {"min": 0, "median": 0.5, "p95": 0.95, "max": 1}.items()
        },
    }
