"""An adapter in the weights of its base, for who wants to load one model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import discovery, modeling
from polar_tools.errors import UserError

if TYPE_CHECKING:
    from polar_tools.publishing.publication import Publication
    from polar_tools.specs import TrainSpec

WEIGHTS = ("adapter_config.json", ".safetensors")
"""How the names of those files of an adapter end that a merged model doesn't have."""


def merge(made: Publication, model: Path) -> None:
    """Write the base of the adapter in `model` with it merged in, and what lies beside it, such as the tokenizer, into the publication."""
    spec = told(made)
    whole = modeling.pretrained(str(model), _class(spec), spec.experiment, modeling.load_features(spec.tokenizer))
    modeling.save_model(whole, made.folder)
    for file in sorted(path for path in model.rglob("*") if path.is_file() and not path.name.endswith(WEIGHTS)):
        target = made.folder / file.relative_to(model)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def told(made: Publication) -> TrainSpec:
    """What the training was told; raises UserError where it is none."""
    if made.training is None:
        raise UserError(f"{made.artifact} is no training, so there is no adapter to merge")
    return made.training


def beside(made: Publication, model: str) -> Any:
    """The adapter in the folder `model` on its base, unmerged: what a merged model must agree with."""
    from peft import PeftConfig, PeftModel

    spec = told(made)
    features = modeling.load_features(spec.tokenizer)
    path = json.loads((Path(model) / "adapter_config.json").read_bytes())["base_model_name_or_path"]
    base = modeling.pretrained(path, _class(spec), spec.experiment, features)
    settings = PeftConfig.from_pretrained(model)
    return PeftModel.from_pretrained(base, model, config=settings).eval()


def merged(made: Publication) -> Any:
    """The merged model as it lies in the publication."""
    spec = told(made)
    return modeling.pretrained(str(made.folder), _class(spec), spec.experiment, modeling.load_features(spec.tokenizer)).eval()


def _class(spec: TrainSpec) -> str:
    found: str = discovery.load("methods", spec.experiment.method).MODEL_CLASS
    return found
