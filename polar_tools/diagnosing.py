"""Read what trainings left, finished or not, and tell what went wrong by the diagnoses in diagnosis/."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polar_tools import auto_preset, discovery, learning_curves
from polar_tools.diagnosis.base import Finding, Measurement, Run, Words
from polar_tools.errors import UserError
from polar_tools.fields import payload_of
from polar_tools.metrics.base import Prediction
from polar_tools.provenance import is_copy
from polar_tools.records import read_json
from polar_tools.specs import TrainSpec, thaw
from polar_tools.spelling import did_you_mean

STATE = ("optimizer", "global_step", "zero_pp_rank", "bf16_zero_pp_rank", "__")
"""How files of an optimizer's state are called, or the folders in a checkpoint that hold them: torch's, DeepSpeed's, FSDP's."""
MEASURING = ("evaluate", "harness")
"""Stages that measure a model."""
ERROR = " ERROR polar_tools"
"""How a line of train.log with what ended a training is marked."""


def findings(run: Run) -> dict[str, Finding]:
    """Diagnosis -> what it found, for those that found something."""
    looked = {name: module.find(run) for name, module in discovery.modules("diagnosis").items()}
    return {name: finding for name, finding in looked.items() if finding is not None}


def told(found: Mapping[str, Finding], language: str) -> dict[str, Words]:
    """The findings in a language, by diagnosis."""
    return {name: discovery.load("diagnosis", name).WORDS[language].filled(finding.figures) for name, finding in found.items()}


def trainings(path: Path) -> list[Path]:
    """The folders of trainings that `path` means: the name of an experiment, or a folder at or below which they lie.

    Raises UserError where there is none.
    """
    here = path if path.exists() else Path("results", path)
    specs = [here / "spec.json"] if (here / "spec.json").is_file() else sorted(here.rglob("spec.json"))
    found = [spec.parent for spec in specs if (read_json(spec) or {}).get("stage") == "train" and not is_copy(spec.parent, here)]
    if not found:
        known = sorted(folder.name for folder in Path("results").glob("*/") if any(folder.glob("*/train/spec.json")))
        hint = did_you_mean(str(path), known) or ": give the name of an experiment below results/, or the folder of a training"
        raise UserError(f"there is no training at {path}{hint}")
    return found


def read(folder: Path) -> Run:
    """What is known of the training in `folder`."""
    spec = thaw((folder / "spec.json").read_bytes(), str(folder / "spec.json"))
    if not isinstance(spec, TrainSpec):
        raise UserError(f"{folder} is the folder of the stage `{spec.stage}`, not of a training")
    spec = auto_preset.settled(spec, _root(folder, spec))
    record, manifest = read_json(folder / "record.json"), read_json(folder / "manifest.json")
    finished = record is not None and manifest is not None
    return Run(
        config=spec.experiment,
        log=tuple(learning_curves.lines(folder / "metrics.jsonl")),
        finished=finished,
        error="" if finished else _error(folder / "train.log"),
        facts=(record or {}).get("facts", {}),
        measured=(manifest or {}).get("measured", {}),
        tokens=read_json(_root(folder, spec) / payload_of(spec.tokenizer) / "report.json") or {},
        evaluations=tuple(_evaluations(folder)),
        to_be_evaluated=any(any(folder.parent.glob(f"{stage}/*/spec.json")) for stage in MEASURING),
        model_bytes=_size(folder / TrainSpec.PAYLOAD),
        state_bytes=sum(_state(checkpoint) for checkpoint in sorted(folder.glob("checkpoints/checkpoint-*"))),
    )


def _root(folder: Path, spec: TrainSpec) -> Path:
    """The folder from which the paths in the spec lead somewhere: the nearest above."""
    tokens = payload_of(spec.tokenizer)
    return next((above for above in folder.resolve().parents if (above / tokens).is_dir()), Path())


def _error(log: Path) -> str:
    """What ended the training last, as its log says."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    errors = [line.partition(ERROR)[2].partition(": ")[2] for line in lines if ERROR in line]
    return errors[-1] if errors else ""


def _evaluations(folder: Path) -> Iterator[Measurement]:
    """What was measured of the model that this training made, beside what was of the untouched one."""
    for report in sorted(report for stage in MEASURING for report in folder.parent.glob(f"{stage}/*/report.json")):
        after = read_json(report) or {}
        before = read_json(folder.parents[1] / "base" / report.relative_to(folder.parent)) or {}
        rows = report.with_name("predictions.jsonl")
        yield Measurement(
            name=report.parent.name,
            after=after.get("metrics", {}),
            before=before.get("metrics", {}),
            given_by=after.get("given_by", {}),
            intervals={"before": before.get("intervals", {}), "after": after.get("intervals", {})},
            predictions=tuple(predictions(rows)) if rows.is_file() else (),
        )


def predictions(file: Path) -> list[Prediction]:
    """The rows of a predictions.jsonl."""
    with file.open(encoding="utf-8") as lines:
        return [Prediction(**json.loads(line)) for line in lines]


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _state(checkpoint: Path) -> int:
    parts = [part for part in checkpoint.iterdir() if part.name.startswith(STATE)]
    return sum(_size(part) if part.is_dir() else part.stat().st_size for part in parts)


def as_dict(run: Run, found: Mapping[str, Finding], language: str) -> dict[str, Any]:
    """For programs."""
    words = told(found, language)
    return {
        "method": run.config.method,
        "finished": run.finished,
        "steps": max((int(line["step"]) for line in run.log if "step" in line), default=0),
        "findings": {name: {**vars(words[name]), "figures": dict(finding.figures)} for name, finding in found.items()},
    }
