"""Which model a person means: an experiment of the config, what a training left, an adapter, a model's folder, a repository.

Of a training of ours its record tells everything; of any other model the method is given, or told from what it is and what the rows have.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from polar_tools import architectures, discovery, labels, pictures, prompting
from polar_tools import config as configs
from polar_tools.artifact import read_json
from polar_tools.errors import ConfigError, UserError
from polar_tools.evaluation_config import Generation
from polar_tools.fields import did_you_mean
from polar_tools.methods import base
from polar_tools.plan import Plan
from polar_tools.records import canonical
from polar_tools.running import Running, load, load_alone
from polar_tools.specs import EvaluateSpec, TrainSpec, sliced, thaw

ORDER = (
    *("multimodal", "causal_lm", "masked_lm", "sft", "seq2seq", "classification", "sentence_transformer", "cross_encoder"),
    *("dpo", "reward", "kto"),
)
"""Methods that are told from a model and rows; of two that would do, the first."""
HEADED = "ForSequenceClassification"
WRITING = Generation()


@dataclass(frozen=True)
class Found:
    """A model, and all that decides what it makes of rows. Its paths are below the folder `root`."""

    config: base.Config
    model: str
    tokenizer: str | None
    """What the stage tokenize left; None where it is to be set up from the model's own."""
    features: base.Features | None
    root: Path
    generation: Generation = WRITING
    seed: int = 0
    head_seed: int = 0
    notes: tuple[str, ...] = ()
    """What was told from the model or the rows, for people."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What the columns of the rows that it was trained on are called in the data, where its dataset says so."""

    def load(self, rows: Sequence[base.Row]) -> Running:
        """Itself in memory, for rows like these. The working directory must be `root`."""
        seeds = (self.head_seed, self.seed)
        if self.tokenizer is not None:
            return load(self.config, self.model, self.tokenizer, rows, seeds)
        return load_alone(self.config, self.model, rows, seeds, self.features)

    def with_fields(self, fields: Mapping[str, Any]) -> Found:
        """The same with some fields of the experiment changed; raises ConfigError for one that there isn't."""
        if not fields:
            return self
        known = list(type(self.config).model_fields)
        if unknown := sorted(set(fields) - set(known)):
            raise ConfigError(
                "\n".join(f"method {self.config.method} has no field `{name}`{did_you_mean(name, known)}" for name in unknown)
            )
        told = {name: getattr(self.config, name) for name in self.config.model_fields_set} | dict(fields)
        return replace(self, config=configs.parse(told, "--set", type(self.config)))


def experiment(file: Path, name: str, run: str | None, evaluation: str | None) -> Found:
    """An experiment of a config, below the working directory: its training `run` (`seed0`, ...; the first without it), or `base`.

    How it writes is as in the named evaluation, or in its first. Raises UserError for one that isn't made yet.
    """
    plan = Plan(configs.load(file))
    if name not in plan.config.experiments:
        known = list(plan.config.experiments)
        raise UserError(f"{file} has no experiment `{name}`{did_you_mean(name, known) or '; it has ' + (', '.join(known) or 'none')}")
    asked = plan.config.experiments[name]
    runs = {"base": None, **{f"seed{seed}": seed for seed in asked.seeds}}
    chosen = run or f"seed{asked.seeds[0]}"
    if chosen not in runs:
        raise UserError(f"experiment `{name}` has no run `{chosen}`{did_you_mean(chosen, list(runs)) or '; it has ' + ', '.join(runs)}")
    seed = runs[chosen] if runs[chosen] is not None else asked.seeds[0]
    train = plan.artifacts[f"results/{name}/seed{seed}/train"].spec
    assert isinstance(train, TrainSpec)
    measured = _evaluation(plan, name, evaluation)
    needed = [train.tokenizer, *([train.experiment.model] if chosen == "base" else [f"results/{name}/{chosen}/train/{TrainSpec.PAYLOAD}"])]
    if missing := [path for path in needed if not (Path(path).parent / "manifest.json").is_file()]:
        targets = " ".join(f"{Path(path).parent}/manifest.json" for path in missing)
        raise UserError(f"{Path(missing[0]).parent} isn't made yet: run `snakemake --configfile {file} {targets}`")
    columns = _columns(Path(), train.experiment.dataset)
    found = Found(sliced(train.experiment, "evaluate"), needed[1], train.tokenizer, None, Path.cwd(), head_seed=train.seed, columns=columns)
    if chosen != "base":
        prompting.check(Path(needed[1]), prompting.of(found.config, Path(train.tokenizer)))
    return found if measured is None else replace(found, generation=measured.generation, seed=measured.seed)


def _evaluation(plan: Plan, name: str, evaluation: str | None) -> EvaluateSpec | None:
    """What an evaluation of an experiment is told; raises UserError for one that it hasn't."""
    known = plan.config.experiments[name].evaluations
    if evaluation is not None and evaluation not in known:
        hint = did_you_mean(evaluation, known) or f"; it has {', '.join(known) or 'none'}"
        raise UserError(f"experiment `{name}` has no evaluation `{evaluation}`{hint}")
    if not known:
        return None
    spec = plan.artifacts[f"results/{name}/base/evaluate/{evaluation or known[0]}"].spec
    assert isinstance(spec, EvaluateSpec)
    return spec


def trained(given: Path) -> Found | None:
    """What a training of ours left: the folder of the model, of its artifact, or of a training on its own; None where it is none."""
    places = [given.resolve(), (given / TrainSpec.PAYLOAD).resolve()]
    found = [place.parent for place in places if (read_json(place.parent / "record.json") or {}).get("spec", {}).get("stage") == "train"]
    if not found:
        return None
    record = read_json(found[0] / "record.json") or {}
    spec = thaw(canonical(record["spec"]), str(found[0] / "record.json"))
    assert isinstance(spec, TrainSpec)
    root = next((above for above in found[0].parents if (above / spec.tokenizer).is_dir()), None)
    if root is None:
        raise UserError(
            f"{given} was trained by POLAR, but {spec.tokenizer}, with what it knows of its rows, isn't where it was made; "
            "leave the model in its project, or copy all of it"
        )
    model = str(found[0].relative_to(root) / TrainSpec.PAYLOAD)
    columns = _columns(root, spec.experiment.dataset)
    made = Found(sliced(spec.experiment, "evaluate"), model, spec.tokenizer, None, root, head_seed=spec.seed, columns=columns)
    prompting.check(found[0] / TrainSpec.PAYLOAD, prompting.of(made.config, root / spec.tokenizer))
    return made


def _columns(root: Path, data: str) -> dict[str, str]:
    """What the dataset in `data`, below `root`, calls its columns; nothing where several became one, or they were recognised."""
    told = read_json((root / data).parent / "spec.json") or {}
    if told.get("stage") == "decontaminate":
        return _columns(root, str(told["dataset"]))
    return dict(told.get("columns", {})) if told.get("stage") == "prepare" else {}


def untrained(folder: Path, columns: Collection[str], method: str | None, fields: Mapping[str, Any], work: Path) -> Found:
    """A model's folder, or an adapter's, that no training of ours left, for rows with these columns. What is written goes to `work`."""
    folder = _adapted(folder, work)
    if not (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise UserError(f"{folder} is no model: there is no config.json and no adapter_config.json in it")
    notes = []
    if method is None:
        method, why = told_method(folder, columns)
        notes.append(f"method: {method} ({why}); --method names another")
    known = discovery.aliases("methods")
    if method not in known:
        raise UserError(f"there is no method `{method}`{did_you_mean(method, list(known))}")
    kind = discovery.load("methods", known[method]).Config
    fields = {"method": known[method], "model": str(folder), "dataset": "rows", **fields}
    if "chat_template" in kind.model_fields and "chat_template" not in fields and prompting.template(folder) is None:
        fields["chat_template"] = "none"
        notes.append("chat_template: none (this model has none; prompts are plain text)")
    unknown = sorted(set(fields) - set(kind.model_fields))
    if unknown:
        raise ConfigError(
            "\n".join(f"method {method} has no field `{name}`{did_you_mean(name, list(kind.model_fields))}" for name in unknown)
        )
    return Found(configs.parse(fields, "--set", kind), str(folder), None, _labels(folder), Path.cwd(), notes=tuple(notes))


def told_method(folder: Path, columns: Collection[str]) -> tuple[str, str]:
    """The method that fits a model and rows with these columns, and why; raises UserError where there is none."""
    told = architectures.told(str(folder))
    made = (told.get("architectures") or [str(told.get("model_type"))])[0]
    best: dict[str, int] = {}
    for name in ORDER:
        module = discovery.load("methods", name)
        fitting = [len(wanted) for wanted in module.COLUMNS if pictures.fits(wanted, columns)]
        if fitting and architectures.fits(module, str(folder)) and _has_its_head(module, made, folder):
            best[name] = max(fitting)
    if not best:
        has = ", ".join(f"`{name}`" for name in columns)
        raise UserError(
            f"no method goes with this model, a {made}, and rows with {has}; name one by --method, and columns by "
            "--column prompt=COLUMN --column completion=COLUMN"
        )
    name = max(best, key=lambda one: best[one])
    return name, f"a {made}, rows with {', '.join(f'`{column}`' for column in columns)}"


def _has_its_head(method: Any, made: str, folder: Path) -> bool:
    """Whether a model is what its method would leave, as far as its class tells: one that sorts texts writes none."""
    if (folder / "modules.json").is_file():
        return bool(method.MODEL_CLASS == "AutoModel")
    return bool(method.MODEL_CLASS.endswith(HEADED) == made.endswith(HEADED))


def _adapted(folder: Path, work: Path) -> Path:
    """The folder of an adapter with its base where it is; of any other model itself. Raises UserError where its base isn't here."""
    file = folder / "adapter_config.json"
    if not file.is_file():
        return folder
    told = json.loads(file.read_bytes())
    named = str(told.get("base_model_name_or_path"))
    base_folder = next((path for path in (Path(named), folder / named) if path.is_dir()), None)
    if base_folder is None:
        raise UserError(
            f"{folder} is an adapter of {named}, which isn't here; fetch it (`polar-tools pull-push --source {named} --target FOLDER`), "
            f"and write where it lies into {file.name} as `base_model_name_or_path`"
        )
    shutil.copytree(folder, work / "adapter", dirs_exist_ok=True)
    (work / "adapter" / file.name).write_text(json.dumps({**told, "base_model_name_or_path": str(base_folder.resolve())}), encoding="utf-8")
    return work / "adapter"


def _labels(folder: Path) -> base.Features | None:
    """What a classifier that was trained elsewhere knows of its labels; None for any other model."""
    told = architectures.told(str(folder))
    if not (told.get("architectures") or [""])[0].endswith(HEADED):
        return None
    names = {int(number): str(label) for number, label in told.get("id2label", {0: "LABEL_0", 1: "LABEL_1"}).items()}
    if len(names) == 1:
        return {"problem_type": labels.REGRESSION, "num_labels": 1}
    kind = told.get("problem_type") or labels.SINGLE
    return {
        "problem_type": kind,
        "num_labels": len(names),
        "id2label": names,
        "label2id": {label: number for number, label in names.items()},
    }
