"""What each stage is told: one frozen spec a stage, the only thing that its tool reads.

Paths lead to the payload (a folder or file) of another artifact, which lies one level below it; that is how inputs are found.
"""

import json
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ValidationError

from polar_tools import storage
from polar_tools.config import Method, ReportLanguage
from polar_tools.dataset_config import Filter, RowExpectations, Split
from polar_tools.errors import ConfigError, UserError
from polar_tools.evaluation_config import Generation, Metric
from polar_tools.experiment import distributing
from polar_tools.fields import Frozen, Payload, PayloadPath, Ref, Slice, marked, payload_of
from polar_tools.methods.base import Config as Experiment
from polar_tools.methods.base import TokenExpectations
from polar_tools.publication_config import Terms


class Spec(Frozen):
    """Base of every spec; `PAYLOAD` is what of the artifact other artifacts read."""

    PAYLOAD: ClassVar[str]
    WITHIN: ClassVar[tuple[str, ...]] = ()
    """Folders in the artifact's own that hold other artifacts."""
    stage: str

    def inputs(self) -> list[str]:
        """The artifacts that this one is made from, sorted."""
        paths = [value for kind in (Payload, Ref) for _, _, value in marked(self, kind)]
        return sorted({payload_of(path) for path in paths})

    def local_files(self) -> list[str]:
        """Files of this machine that are read but are no artifacts, sorted."""
        return []


class MirrorSpec(Spec):
    """Copy a source exactly."""

    PAYLOAD = "snapshot"
    stage: Literal["mirror"] = "mirror"
    source: str
    """URI of what is copied: `pypi://`, `file://`, `hf://` or `s3://`."""
    sha256: str | None = None
    """What the archive of a `pypi://` source must hash to."""

    def local_files(self) -> list[str]:
        """The files of a file:// source."""
        return [path.as_posix() for path in storage.local_files(self.source)]


class ConvertSpec(Spec):
    """Put a model's folder together: out of a GGUF file, a subfolder, the parts of other models, two that are joined."""

    PAYLOAD = "model"
    stage: Literal["convert"] = "convert"
    model: PayloadPath
    gguf_file: str | None = None
    model_subfolder: str | None = None
    config_name: PayloadPath | None = None
    """The folder whose config.json is taken."""
    tokenizer_name: PayloadPath | None = None
    """The folder whose tokenizer is taken."""
    decoder_name: PayloadPath | None = None
    """The folder of the model that becomes the decoder, which may be `model` itself."""
    added_tokens: tuple[str, ...] = ()
    """What becomes a token of its own."""


class Files(Frozen):
    """The files of a source that hold the rows of a part; all where it isn't said which."""

    source: PayloadPath
    data: tuple[str, ...] = ()
    """Names or patterns of files."""
    dir: str | None = None
    """Their folder."""
    split: str | None = None
    """The word for a split in their names."""


class PrepareSpec(Spec):
    """Read, filter, split."""

    PAYLOAD = "data"
    WITHIN = ("overlap", "clean", "expect")
    stage: Literal["prepare"] = "prepare"
    train: Files
    """Rows to train on, or those that are split."""
    test: Files | None = None
    """Rows held out; None where they are split off, or there are none."""
    format: str
    shape: str = "auto"
    columns: dict[str, str]
    json_columns: tuple[str, ...] = ()
    on_bad_row: Literal["fail", "quarantine"] = "fail"
    filters: tuple[Filter, ...]
    split: Split | None = None


class Ingredient(Frozen):
    """A dataset in a mixture."""

    data: PayloadPath
    weight: float


class MixSpec(Spec):
    """Several datasets as one."""

    PAYLOAD = "data"
    WITHIN = PrepareSpec.WITHIN
    stage: Literal["mix"] = "mix"
    parts: tuple[Ingredient, ...]
    until: Literal["first_exhausted", "all_exhausted"]
    seed: int


class ExpectSpec(Spec):
    """Look whether prepared rows, or rendered ones, are what is expected of them."""

    PAYLOAD = "report.json"
    stage: Literal["expect"] = "expect"
    of: PayloadPath
    """The data of a dataset, or the tokenizer beside an experiment's tokens."""
    rows: RowExpectations | None = None
    tokens: TokenExpectations | None = None


class OverlapSpec(Spec):
    """Look for text that training rows have in common with the test rows of an evaluation."""

    PAYLOAD = "training_rows.parquet"
    stage: Literal["overlap"] = "overlap"
    dataset: PayloadPath
    """Its train part is searched."""
    test: PayloadPath
    """Its test part is searched for."""
    ngram_size: int
    unit: Literal["auto", "word", "char"]
    common: int
    fail: bool
    """Whether the work ends where anything is found."""


class DecontaminateSpec(Spec):
    """Leave out training rows that overlap."""

    PAYLOAD = "data"
    stage: Literal["decontaminate"] = "decontaminate"
    dataset: PayloadPath
    overlaps: dict[str, PayloadPath]
    """The training rows that overlap, by evaluation."""


class ExperimentSpec(Spec):
    """Base of the stages that see a slice of an experiment; the fields outside the slice keep their defaults."""

    experiment: Method


class TokenizeSpec(ExperimentSpec):
    """Render a dataset for an experiment's model."""

    PAYLOAD = "tokenizer"
    WITHIN = ("expect",)
    stage: Literal["tokenize"] = "tokenize"


class TrainSpec(ExperimentSpec):
    """Train one run of an experiment."""

    PAYLOAD = "model"
    stage: Literal["train"] = "train"
    tokenizer: PayloadPath
    seed: int
    left_to_rows: tuple[str, ...] = ()
    """Fields of the experiment that `preset: auto` fills by what the rows are (auto_preset.py)."""

    def local_files(self) -> list[str]:
        """The files of the checkpoint that it is to go on from, and a configuration of DeepSpeed of one's own, which is checked here."""
        folder = self.experiment.resume_from_checkpoint
        found = [] if folder is None else sorted(path.as_posix() for path in Path(folder).rglob("*") if path.is_file())
        if folder is not None and not found:
            raise ConfigError(f"resume_from_checkpoint: there is no checkpoint in {folder} (looked for in {Path.cwd()})")
        if self.experiment.own_deepspeed is not None:
            distributing.refuse_contradiction(self.experiment)
            found.append(self.experiment.own_deepspeed)
        return sorted(found)


class RankSpec(ExperimentSpec):
    """Rank training rows by the loss of the untouched model."""

    PAYLOAD = "ranking.jsonl"
    stage: Literal["rank"] = "rank"
    tokenizer: PayloadPath
    rows: int
    seed: int
    """Seed of a new head."""


class EvaluateSpec(ExperimentSpec):
    """Measure one model on one evaluation; `trained` is None for the untouched model."""

    PAYLOAD = "report.json"
    stage: Literal["evaluate"] = "evaluate"
    tokenizer: PayloadPath
    trained: PayloadPath | None
    test: PayloadPath
    metrics: tuple[Metric, ...]
    generation: Generation
    seed: int
    head_seed: int


class HarnessSpec(EvaluateSpec):
    """Measure one model on tasks of lm-evaluation-harness, which bring their own rows; `metrics` are those of what it finds for each."""

    stage: Literal["harness"] = "harness"  # type: ignore[assignment]
    test: None = None  # type: ignore[assignment]
    generation: Generation = Generation()
    """As tasks say it."""
    tasks: tuple[str, ...]
    include_path: str | None = None
    num_fewshot: int | None = None
    limit: int | None = None
    apply_chat_template: bool = False

    def local_files(self) -> list[str]:
        """The tasks of one's own, and their rows."""
        if self.include_path is None:
            return []
        found = sorted(path.as_posix() for path in Path(self.include_path).rglob("*") if path.is_file())
        if not any(path.endswith((".yaml", ".yml")) for path in found):
            raise ConfigError(f"include_path: there is no task (a YAML file) in {self.include_path} (looked for in {Path.cwd()})")
        return found


class Measured(Frozen):
    """The evaluations of an experiment in a report: payloads of the untouched model and of each run by its name."""

    base: PayloadPath
    runs: dict[str, PayloadPath]
    overlaps: dict[str, PayloadPath]
    """What overlaps with each dataset that was trained on, by its name; that of the model it starts from too."""


class Compared(Frozen):
    """One experiment in a comparison: what was measured of the untouched model, of each run, and of others that it names as references."""

    base: PayloadPath
    runs: dict[str, PayloadPath]
    references: dict[str, PayloadPath] = {}
    seen: dict[str, PayloadPath] = {}
    """What overlaps with each dataset that the runs were trained on, by its name, but for those without the rows that overlap."""
    seen_before: dict[str, PayloadPath] = {}
    """The same of the model that they start from."""


class CompareSpec(Spec):
    """Compare all that was measured on one evaluation."""

    PAYLOAD = "report.json"
    stage: Literal["compare"] = "compare"
    experiments: dict[str, Compared]
    files: tuple[str, ...] = ()
    """Predictions that were made elsewhere, on the same rows."""
    samples: int = 10_000
    seed: int = 0

    def local_files(self) -> list[str]:
        """Those predictions."""
        if missing := [file for file in self.files if not Path(file).is_file()]:
            raise ConfigError(f"references: there is no file {', '.join(missing)} (looked for in {Path.cwd()})")
        return sorted(self.files)


class Reported(Frozen):
    """One experiment in a report."""

    method: str
    model: str
    dataset: str
    trainings: dict[str, PayloadPath]
    evaluations: dict[str, Measured]


class ReportSpec(Spec):
    """Lay all results before a reader."""

    PAYLOAD = "index.html"
    stage: Literal["report"] = "report"
    project_name: str
    report_language: ReportLanguage = "en"
    experiments: dict[str, Reported]
    comparisons: dict[str, PayloadPath] = {}
    """What was found where models were compared, by evaluation."""


class PublishedRun(Frozen):
    """One run of an experiment that may be published: its model, and what was measured of it, by evaluation."""

    model: PayloadPath
    evaluations: dict[str, PayloadPath] = {}


class PublishSpec(Spec):
    """Publish a model, a dataset or the report."""

    PAYLOAD = "published"
    stage: Literal["publish"] = "publish"
    name: str
    """What it is called where nobody names it."""
    project_name: str
    language: Literal["en", "ko"] = "en"
    terms: Terms
    runs: dict[str, PublishedRun] = {}
    """The runs of an experiment of which one is published, by name: more than one where the best is looked for."""
    base: dict[str, PayloadPath] = {}
    """What was measured of the untouched model, by evaluation."""
    dataset: PayloadPath | None = None
    report: PayloadPath | None = None
    licenses: dict[str, str] = {}
    """Artifact of a mirrored source -> its licence, where the person says it."""
    config: dict[str, Any] = {}
    """The config as far as it decides what is published and what was measured of it."""


SPECS: dict[str, type[Spec]] = {
    spec.model_fields["stage"].default: spec
    for spec in (
        *(MirrorSpec, ConvertSpec, PrepareSpec, MixSpec, ExpectSpec, OverlapSpec, DecontaminateSpec),
        *(TokenizeSpec, RankSpec, TrainSpec, EvaluateSpec, HarnessSpec, CompareSpec, ReportSpec, PublishSpec),
    )
}


def freeze(spec: Spec) -> bytes:
    """`spec` as the bytes of spec.json: sorted keys, and of an experiment only what its stage may see."""
    data = spec.model_dump(mode="json")
    if isinstance(spec, ExperimentSpec):
        seen = visible(type(spec.experiment), spec.stage)
        data["experiment"] = {name: value for name, value in data["experiment"].items() if name in seen}
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def visible(method: type[Frozen], stage: str) -> set[str]:
    """The fields of an experiment that a stage may see."""

    def sees(name: str, field: Any) -> bool:
        slices = [marker for marker in field.metadata if isinstance(marker, Slice)]
        if slices:
            return slices[0].train if stage == "train" else stage in slices[0].stages
        return stage == "train" or name == "method"

    return {name for name, field in method.model_fields.items() if sees(name, field)}


def sliced(experiment: Experiment, stage: str) -> Experiment:
    """`experiment` with what a stage may not see as it is by default."""
    fields = type(experiment).model_fields
    unseen = {name: fields[name].default for name in fields.keys() - visible(type(experiment), stage)}
    return experiment.model_copy(update=unseen)


def thaw(data: bytes, origin: str) -> Spec:
    """The spec in the bytes of a spec.json; raises UserError where they are none."""
    try:
        raw = json.loads(data)
        return SPECS[raw["stage"]].model_validate(raw)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise UserError(
            f"{origin} is not a spec that this version can read ({type(error).__name__}); `snakemake -n` writes it anew"
        ) from error


def same(older: Any, spec: dict[str, Any]) -> bool:
    """Whether what a record tells of a spec asks for what `spec` does: fields that didn't exist then are at their defaults now."""
    if older == spec:
        return True
    try:
        return bool(json.loads(freeze(thaw(json.dumps(older).encode(), "record.json"))) == spec)
    except UserError:
        return False
