"""An evaluation on its own: a model, rows, metrics; predictions and a report in one folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from polar_tools import artifact, finding, foreign_calls, lock, options, records, scoring, signals, standalone
from polar_tools import config as configs
from polar_tools.errors import UserError
from polar_tools.evaluation_config import Generation
from polar_tools.finding import Found
from polar_tools.layout.experiments import default_metrics
from polar_tools.methods import base
from polar_tools.metrics.base import Options, Prediction
from polar_tools.specs import Files, MirrorSpec, PrepareSpec, freeze

SETTINGS, MODEL, ROWS = "settings.json", "model", "rows"


def evaluate(
    model: str | Path | None = None,
    test_data: str | Path | Iterable[Mapping[str, Any]] | None = None,
    output: str | Path | None = None,
    *,
    method: str | None = None,
    metrics: Sequence[str | Options] = (),
    columns: Mapping[str, str] | None = None,
    shape: str = "auto",
    generation: Mapping[str, Any] | Generation | None = None,
    seed: int = 0,
    overwrite: bool = False,
    **fields: Any,
) -> dict[str, Any]:
    """Measure a model on rows, and return what stands in report.json: `rows`, `metrics` by name, and what else there is to know.

    The model is what a training of ours left, an adapter, a folder or a repository of the Hub; rows are a file, a URI or dictionaries, in
    any shape that `prepare` recognises, or with `columns` by name. Without `metrics` they are the method's. `fields` are those of an
    experiment of the method. predictions.jsonl, report.json and settings.json are written into `output`; a run that was killed goes on
    there, and other settings replace what is finished only under `overwrite`. Other metrics need no model again.

    With `training_method` among them, the arguments besides metrics, generation, seed and overwrite are POLAR Trainer's flat ones
    (docs/convert.md): its model is measured on the test rows that a training with the same arguments would hold out.

    Raises a polar_tools.errors.PolarError whose message says what to do.
    """
    from polar_tools.stages import evaluate as stage

    if "training_method" in fields:
        output = Path(output) if output is not None else foreign_calls.folder(fields) / "evaluation"
        model, test_data, method, fields = _by_flat_names(fields, test_data, output)
    if model is None or test_data is None or output is None:
        raise UserError("give model, test_data and output; or training_method, and POLAR Trainer's arguments")
    options.set_up("evaluate")
    root = Path(output).resolve()
    root.mkdir(parents=True, exist_ok=True)
    with signals.listening(), lock.held(root):
        known = finding.trained(Path(model)) if Path(model).is_dir() else None
        rows = _rows(test_data, root, columns or {}, shape, {} if known is None else known.columns)
        found = _known(known, method, fields) if known is not None else find(str(model), method, fields, list(rows[0]), root)
        writing = _generation(generation, found)
        chosen = tuple(one if isinstance(one, Options) else scoring.chosen([one])[0] for one in metrics) or tuple(
            default_metrics(found.config)
        )
        settings = _settings(found, writing, seed, rows, stage.LIBRARIES)
        made_from = hashlib.sha256(records.canonical(settings)).hexdigest()
        kept = _finished(root, settings, overwrite)
        records.write_whole(root / SETTINGS, records.canonical(settings))

        def predict() -> Any:
            if kept is not None:
                return kept
            with contextlib.chdir(found.root):
                return found.load(rows).predict(rows, writing.told(seed))

        report = stage.measured(predict, rows, chosen, root, made_from)
    return {**report, "method": found.config.method, "notes": [*found.notes, *report.get("notes", [])]}


def _by_flat_names(flat: Mapping[str, Any], rows: str | Path | Iterable[Mapping[str, Any]] | None, root: Path) -> foreign_calls.Measured:
    """What POLAR Trainer's arguments name; of a model that a training of ours left no fields, for it knows how it was trained."""
    if rows is not None and not isinstance(rows, str | Path):
        rows = _written(rows, root / ROWS / "given.jsonl")
    told = foreign_calls.measured({**flat, "test_data": rows}, root / ROWS)
    ours = Path(told.model).is_dir() and finding.trained(Path(told.model)) is not None
    return told._replace(fields={}) if ours else told


def _known(found: Found, method: str | None, fields: Mapping[str, Any]) -> Found:
    """A model that a training of ours left; raises UserError where it is to be measured as something else."""
    if method not in (None, found.config.method):
        raise UserError(f"{found.model} was trained by {found.config.method}, and can't be measured as {method}; leave --method out")
    return found.with_fields(fields)


def find(given: str, method: str | None, fields: Mapping[str, Any], columns: Sequence[str], work: Path) -> Found:
    """Any other model, for rows with `columns`; one that lies elsewhere is mirrored below `work`."""
    here = Path(given)
    folder = here.resolve() if here.is_dir() else _mirrored(standalone.located(given, "model"), work / MODEL)
    return finding.untrained(folder, columns, method, fields, work)


def _mirrored(uri: str, folder: Path) -> Path:
    """The files behind a URI, below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_bytes(freeze(MirrorSpec(source=uri)))
    with contextlib.chdir(folder.parent):
        options.run_stage("mirror", Path(folder.name))
    return folder / MirrorSpec.PAYLOAD


def _rows(
    given: str | Path | Iterable[Mapping[str, Any]], root: Path, columns: Mapping[str, str], shape: str, trained: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows in the columns that methods read, as the stage prepare would have them; `trained` is what columns were called in training."""
    if not isinstance(given, str | Path):
        given = _written(given, root / ROWS / "given.jsonl")
    source = Path(given) if Path(given).exists() else _mirrored(standalone.located(str(given), "dataset"), root / ROWS)
    return list(recognised(source, columns or there(source, trained), shape))


def there(source: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """Those of `columns` that a file or folder has; none where it has the names that methods read already."""
    from polar_tools import reading

    if not columns:
        return {}
    has = next(iter(reading.read(source))).column_names
    return {} if set(columns) <= set(has) else {role: column for role, column in columns.items() if column in has}


def recognised(source: Path, columns: Mapping[str, str], shape: str = "auto") -> Iterator[dict[str, Any]]:
    """The rows of a file or folder in the columns that methods read. Raises DataError for what can't be read, and where there is none."""
    from polar_tools.intake import Part

    files = Files(source=str(source))
    part = Part("test", files, PrepareSpec(train=files, format="auto", shape=shape, columns=dict(columns), filters=()), None, shape)
    for table in part.tables(part.schema):
        yield from table.to_pylist()


def _written(rows: Iterable[Mapping[str, Any]], file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8", newline="\n")
    return file


def _generation(given: Mapping[str, Any] | Generation | None, found: Found) -> Generation:
    if isinstance(given, Generation):
        return given
    return found.generation if not given else configs.parse(dict(given), "generation", Generation)


def _settings(found: Found, writing: Generation, seed: int, rows: Sequence[base.Row], libraries: Iterable[str]) -> dict[str, Any]:
    """All that decides predictions, by content."""
    from polar_tools.stages.evaluate import row_hash

    folders = [found.root / path for path in (found.model, found.tokenizer) if path is not None]
    return {
        "experiment": {name: value for name, value in found.config.model_dump(mode="json").items() if name not in ("model", "dataset")},
        "model": {f"{folder.name}/{file.name}": records.sha256_of(file) for folder in folders for file in _files(folder)},
        "generation": writing.model_dump(mode="json"),
        "seed": seed,
        "rows": [row_hash(row) for row in rows],
        "versions": {name: metadata.version(name) for name in sorted(libraries)},
    }


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _finished(root: Path, settings: dict[str, Any], overwrite: bool) -> list[Any] | None:
    """The predictions of these very settings that are there already. Raises UserError for those of others, unless they may go."""
    from polar_tools.stages import evaluate as stage

    file = root / stage.PREDICTIONS
    if not file.is_file():
        return None
    known = artifact.read_json(root / SETTINGS)
    if known == settings:
        return [Prediction(**row) for row in scoring.read(str(file))]
    if not overwrite:
        raise UserError(
            f"{root} holds an evaluation of another model, other rows or other settings; choose another --output, or --overwrite"
        )
    file.unlink()
    return None
