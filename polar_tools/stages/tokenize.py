"""Render a dataset for an experiment's model, once, shard by shard, measure it and show its loss mask, before any GPU waits for it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import advice, ahead, architectures, datasets, discovery, measures, modeling, pages, tokens, xray
from polar_tools.artifact import Facts, canonical, read_json, sha256_of
from polar_tools.errors import DataError
from polar_tools.filters.base import text_columns, texts
from polar_tools.marks import LABELS, sequences
from polar_tools.methods import base
from polar_tools.metrics.base import NO_LABEL
from polar_tools.specs import TokenizeSpec, freeze
from polar_tools.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

OPTIONAL = tuple(name for name in ("py3langid",) if importlib.util.find_spec(name))
LIBRARIES = ("transformers", "tokenizers", "numpy", "pyarrow", *pages.LIBRARIES, *OPTIONAL)
RENDERING = ("transformers", "tokenizers", *pages.LIBRARIES)
"""Libraries of which another version may render other tokens."""
LANGUAGE_ROWS = 1000
"""Rows that are drawn to see in which languages they are."""
EXCERPT = 200
"""Characters of what was cut off that are shown, at each end."""


@dataclass(frozen=True)
class Rendering:
    """All that decides what a row becomes."""

    config: base.Config
    method: Any
    processor: Any
    features: base.Features

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The processor, or what of it makes tokens."""
        return modeling.tokenizer_of(self.processor)

    def render(self, rows: Sequence[base.Row], shard: Path, first: int) -> tuple[list[base.Example], list[base.Example | None]]:
        """Rows from place `first` of `shard` on, as they are rendered and as they are kept; raises DataError that names the bad row."""
        try:
            rendered = self.method.render(self.config, self.processor, self.features, rows)
        except base.RowError as error:
            raise DataError(_about_row(shard, first + error.place, error)) from error
        kept: list[base.Example | None] = []
        for place, example in enumerate(rendered):
            try:
                kept.append(fitted := self.method.fit(self.config, example))
                if fitted is not None:
                    self.method.check(self.config, self.processor, rows[place], fitted)
            except DataError as error:
                raise DataError(_about_row(shard, first + place, error)) from error
        return rendered, kept


def run(spec: TokenizeSpec, folder: Path) -> Facts:
    """Write tokenizer/ (with chat template and features.json), tokens/, measures/ (a line a row), origins/, report.json and report.html.

    Rows that are looked at while training are rendered into evaluation/NAME/.
    """
    config = spec.experiment
    method = discovery.load("methods", config.method)
    prepared = datasets.shards(Path(config.dataset), "train")
    watched = {name: datasets.shards(Path(data), "test") for name, data in config.eval_datasets.items()}
    columns = _checked_columns(config, method)
    architectures.check_fits(config.method, architectures.usable(config.model, config))
    processor = method.set_up(config, _limited(config, modeling.load_processor(config.model, method, config, columns)))
    features = method.features(config, datasets.rows(prepared, _columns(method, Path(config.dataset))))
    _save(processor, features, folder / spec.PAYLOAD)
    modeling.keep_pictures(config.model, folder / spec.PAYLOAD)
    rendering = Rendering(config, method, processor, features)
    settings, aside = _settings(spec, folder), folder.with_name(f".{folder.name}.aside")
    made = _make(rendering, prepared, settings, folder, aside)
    for name, shards in watched.items():
        below = Path(tokens.EVALUATION, name)
        _make(rendering, shards, settings, folder / below, aside / below)
    figures = _figures(made)
    if figures.counts["dropped"] == figures.counts["rows"]:
        raise DataError(f"all {figures.lengths.rows} training rows have more than max_length {config.max_length} tokens and were dropped")
    report = _report(rendering, figures, prepared, made)
    (folder / "report.json").write_bytes(canonical(report))
    (folder / "report.html").write_text(_page(rendering, figures, prepared, report, folder.parent.name), encoding="utf-8", newline="\n")
    for warning in report["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    told = {name: report[name] for name in ("rows", "kept", "dropped", "cut", "tokens", "trained_tokens")}
    length = {name: report["length"][name] for name in (*measures.QUANTILES, "mean")}
    origins = (tokens.ORIGINS, *(f"{tokens.EVALUATION}/{name}/{tokens.ORIGINS}" for name in watched))
    return Facts(recorded={**told, "length": length}, volatile=origins)


def _checked_columns(config: base.Config, method: Any) -> list[str]:
    """The columns of the rows to train on. Raises DataError where they, or those of rows that are watched, aren't what is needed."""
    trained: list[str] = datasets.schema(Path(config.dataset)).names
    for data in (config.dataset, *config.eval_datasets.values()):
        names = datasets.schema(Path(data)).names
        base.check_columns(config, method.COLUMNS, names, _shape(Path(data)))
        if modeling.shows_pictures(method, names) and not modeling.shows_pictures(method, trained):
            raise DataError(f"eval_datasets: {data} has pictures, and the rows to train on have none; leave them out by its `columns`")
    return trained


def _shape(data: Path) -> str | None:
    """What the rows in `data` were taken for, where prepare said so."""
    told = read_json(data.parent / "report.json") or {}
    name: str | None = told.get("shape", {}).get("name")
    return name


def _limited(config: base.Config, processor: Any) -> Any:
    """`processor` with the length and the side of padding that `config` asks for."""
    tokenizer = modeling.tokenizer_of(processor)
    tokenizer.model_max_length = config.tokenizer_max_len or tokenizer.model_max_length
    if config.padding_side is not None:
        tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = config.padding_side  # only what is in the latter is saved
    return processor


def _save(processor: Any, features: base.Features, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    processor.save_pretrained(folder)
    (folder / "features.json").write_bytes(canonical(features))


def _make(rendering: Rendering, prepared: Sequence[Path], settings: dict[str, Any], folder: Path, aside: Path) -> list[tokens.Shard]:
    """The shards of tokens/ and measures/ in `folder`; what an earlier run left, there or `aside`, of the same content is kept."""
    left = tokens.left_in(folder, aside)
    wanted = {tokens.Shard.of(folder, path.stem): (path, _made_from(settings, path)) for path in prepared}
    missing = [
        shard
        for shard, (_, made_from) in wanted.items()
        if made_from not in left or not tokens.take_over(left[made_from], shard, made_from)
    ]
    for shard in missing:
        path, made_from = wanted[shard]
        tokens.write((tokens.tables(*whole) for whole in _rendered(rendering, path)), shard, made_from)
    tokens.keep_only(list(wanted), folder)
    if taken := len(wanted) - len(missing):
        print(f"{taken} of {len(wanted)} shard{'s' if len(wanted) > 1 else ''} taken over from an earlier run: nothing in them has changed")
    return list(wanted)


def _settings(spec: TokenizeSpec, folder: Path) -> dict[str, Any]:
    """All that decides what a shard becomes but for its rows. Where things lie is no part of it."""
    experiment = json.loads(freeze(spec))["experiment"]
    return {
        "experiment": {name: value for name, value in experiment.items() if name not in ("model", "dataset", "eval_datasets")},
        "tokenizer": {path.name: sha256_of(path) for path in sorted((folder / spec.PAYLOAD).iterdir())},
        "versions": {"polar-tools": __version__, **{name: metadata.version(name) for name in RENDERING}},
    }


def _made_from(settings: dict[str, Any], prepared: Path) -> str:
    return hashlib.sha256(canonical({**settings, "rows": sha256_of(prepared)})).hexdigest()


def _rendered(rendering: Rendering, prepared: Path) -> Iterator[tuple[list[base.Example], list[base.Example | None]]]:
    """A shard in batches. Some are rendered, in part no work for Python, while others are, and while those before are written."""

    def numbered() -> Iterator[tuple[int, pa.RecordBatch]]:
        first = 0
        for batch in datasets.batches(prepared):
            yield first, batch
            first += batch.num_rows

    def render(numbered: tuple[int, pa.RecordBatch]) -> tuple[list[base.Example], list[base.Example | None]]:
        first, batch = numbered
        return rendering.render(batch.to_pylist(), prepared, first)

    return (rendered for _, rendered in ahead.mapped(render, numbered()))


def _about_row(shard: Path, place: int, error: Exception) -> str:
    part = "training" if shard.name.startswith("train") else "test"
    return f"{part} row {place + 1} (counted from 1, of {shard}): {error}"


def _columns(method: Any, dataset: Path) -> list[str]:
    """The columns of the dataset that the method knows by name."""
    known = {name for columns in method.COLUMNS for name in columns}
    return [name for name in datasets.schema(dataset).names if name in known]


def _figures(made: Sequence[tokens.Shard]) -> tokens.Figures:
    import pyarrow.parquet as pq

    figures = tokens.Figures()
    for shard in made:
        figures.add(pq.read_table(shard.measures))
    return figures


def _report(rendering: Rendering, figures: tokens.Figures, prepared: Sequence[Path], made: Sequence[tokens.Shard]) -> dict[str, Any]:
    """All figures; rows are numbered from 0."""
    config, counts = rendering.config, figures.counts
    labels, masked = _labels(rendering.features, made), _has_mask(made)
    known = _known_positions(config, rendering.tokenizer)
    kept = counts["rows"] - counts["dropped"]
    held_out = bool(datasets.count(Path(config.dataset), "test"))
    return {
        **{name: counts[name] for name in ("rows", "cut", "dropped", "tokens", "trained_tokens")},
        "kept": kept,
        "length": figures.lengths.as_dict(),
        **({"trained_length": figures.trained.as_dict()} if masked else {}),
        **({} if labels is None else {"labels": labels}),
        "cuts": {
            "max_length": config.max_length,
            "on_too_long": config.on_too_long,
            **{name: counts[name] for name in ("answers_cut", "tokens_lost", "trained_tokens_lost")},
            "samples": list(_cut_off(rendering, figures.places["cut"], prepared)),
        },
        "would_cut": advice.would_cut(figures.lengths),
        "duplicates": figures.duplicates,
        "languages": _languages(rendering, prepared, counts["rows"]),
        "model_positions": known,
        "recommended": {
            "max_length": advice.recommended_length(figures.lengths, known),
            "preset": advice.recommended_preset(figures.lengths, kept),
        },
        "warnings": list(advice.warnings(figures, masked, labels, known, config.max_length, held_out)),
    }


def _labels(features: base.Features, made: Sequence[tokens.Shard]) -> dict[str, int] | None:
    """Rows of each label, for a method whose model has labels."""
    import pyarrow.parquet as pq

    if "id2label" not in features:
        return None
    found: Counter[int] = Counter()
    for shard in made:
        counted = pq.read_table(shard.tokens, columns=["label"])["label"].combine_chunks().flatten().value_counts()
        found.update(dict(zip(*(counted.field(name).to_pylist() for name in ("values", "counts")), strict=True)))
    return {str(features["id2label"][number]): count for number, count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))}


def _has_mask(made: Sequence[tokens.Shard]) -> bool:
    import pyarrow.parquet as pq

    return any(name.endswith(LABELS) for name in pq.read_schema(made[0].tokens).names)


def _size(example: base.Example) -> int:
    return sum(len(one.ids) for one in sequences(example))


def _known_positions(config: base.Config, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """How long a row the model was built for, where its config.json or its tokenizer says so."""
    file = Path(config.model) / "config.json"
    told = json.loads(file.read_bytes()) if file.is_file() else {}
    told |= told.get("text_config", {})
    known = [told[name] for name in ("max_position_embeddings", "n_positions") if isinstance(told.get(name), int)]
    return min([*known, tokenizer.model_max_length]) if known or tokenizer.model_max_length < 10**9 else None


def _languages(rendering: Rendering, prepared: Sequence[Path], rows: int) -> dict[str, int] | None:
    """Languages of rows that are drawn, the same in every run."""
    if not OPTIONAL:
        return None
    drawn = random.Random(0).sample(range(rows), min(rows, LANGUAGE_ROWS))  # noqa: S311 (nothing secret)
    table = datasets.rows_at(prepared, drawn)
    readable = text_columns(table, ())
    known = [
        name for name in _columns(rendering.method, Path(rendering.config.dataset)) if name in readable and name != measures.LABEL
    ] or readable
    columns = [texts(table, name) for name in known]
    return measures.languages("\n".join(text for text in row if text) for row in zip(*columns, strict=True))


def _cut_off(rendering: Rendering, places: Sequence[int], prepared: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """What was cut off some rows."""
    for place, (rendered, kept) in _again(rendering, places, prepared).items():
        text = xray.cut_off(rendering.tokenizer, rendered, kept)
        short = text if len(text) <= 2 * EXCERPT else f"{text[:EXCERPT]} … {text[-EXCERPT:]}"
        lost = _size(rendered) - (0 if kept is None else _size(kept))
        yield {"row": place, "tokens_lost": lost, "text": short}


def _again(rendering: Rendering, places: Sequence[int], prepared: Sequence[Path]) -> dict[int, tuple[base.Example, base.Example | None]]:
    """A few rows as they are rendered and as they are kept, by their places over all shards."""
    if not places:
        return {}
    inorder = sorted(set(places))
    rendered = rendering.method.render(
        rendering.config, rendering.processor, rendering.features, datasets.rows_at(prepared, inorder).to_pylist()
    )
    return {place: (one, rendering.method.fit(rendering.config, one)) for place, one in zip(inorder, rendered, strict=True)}


def _page(rendering: Rendering, figures: tokens.Figures, prepared: Sequence[Path], report: dict[str, Any], name: str) -> str:
    """report.html."""
    reasons: dict[int, list[str]] = {0: ["first row"]}
    for title, kind in (
        ("longest", "longest"),
        ("shortest", "shortest"),
        ("first that was cut", "cut"),
        ("first that was dropped", "dropped"),
    ):
        for place in figures.places[kind][:1]:
            reasons.setdefault(place, []).append(title)
    again = _again(rendering, list(reasons), prepared)
    rows = [xray.row(rendering.tokenizer, place, reasons[place], *whole) for place, whole in again.items()]
    shown = sorted(rows, key=lambda row: list(reasons).index(row.number))
    labels = {place: _label(rendering.features, whole) for place, (whole, _) in again.items()}
    has_mask = "trained_length" in report
    return pages.render("tokenize.html.jinja", name=name, report=report, rows=shown, labels_of=labels, has_mask=has_mask)


def _label(features: base.Features, example: base.Example) -> str | None:
    """The label of a row as people know it, where its method has labels."""
    if "id2label" not in features:
        return None
    return ", ".join(str(features["id2label"][number]) for number in example["label"]) or NO_LABEL
