"""A merged model answers as its adapter does."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from polar_tools import adapters, datasets
from polar_tools.gates import base
from polar_tools.publishing import merging

if TYPE_CHECKING:
    from polar_tools.publishing.publication import Publication

TITLE = "the merged model gives the outputs that its base gives with the adapter"
MEANS = "merging lost something: publish `what: adapter`, or train with a `dtype` of more bits"
WAIVABLE = True
OF_FINISHED = True
ROWS = 4


def check(parcel: Publication) -> base.Outcome:
    """Outputs for a few training rows, of the adapter beside its base and of what lies in the publication."""
    if parcel.terms.what != "merged":
        return base.not_applicable("nothing was merged for this publication")
    spec = merging.told(parcel)
    rows = _token_ids(Path(spec.tokenizer))
    distance = adapters.distance(merging.beside(parcel, parcel.spec.runs[str(parcel.run)].model), merging.merged(parcel), rows)
    allowed = adapters.TOLERANCE[spec.experiment.dtype]
    said = f"outputs for {len(rows)} rows differ by {distance:.1e} of their size, {allowed:g} is allowed"
    return base.Outcome("passed" if distance <= allowed else "failed", said)


def _token_ids(tokenizer: Path) -> list[list[int]]:
    """The ids of a few rows: rendered for the training where they were kept, else words of its vocabulary."""
    from transformers import AutoTokenizer

    tokens = tokenizer.parent / "tokens"
    if tokens.is_dir():
        rows = itertools.islice(datasets.rows(datasets.shards(tokens, "train")), ROWS)
        return [next(value for name, value in sorted(row.items()) if name.endswith("input_ids")) for row in rows]
    loaded = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    return [loaded(text)["input_ids"] for text in ("One row of words.", "또 하나의 줄", "1 + 2 = 3")]
