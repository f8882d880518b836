"""What every file in methods/, filters/ and metrics/ promises, over all that there are."""

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import polar_tools
from polar_tools import discovery
from polar_tools.experiment import distributing
from polar_tools.methods import base as method_base

PACKAGE = Path(polar_tools.__file__).parent
METHOD_NAMES = [
    "ALIASES",
    "Config",
    "COLUMNS",
    "MODEL_CLASS",
    "TASK_TYPE",
    "METRICS",
    "CHECKS",
    "TRAINS_ON",
    "features",
    "set_up",
    "render",
    "fit",
    "check",
    "wrap",
    "build_trainer",
    "predict",
]
HEAVY = {
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "sklearn",
    "rouge_score",
    "sacrebleu",
    "kiwipiepy",
    "pyarrow",
    "numpy",
    "sentence_transformers",
    "scipy",
}


def public_names(path: Path) -> list[str]:
    """The names that a module defines at its top, in order."""
    names = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
    return [name for name in names if not name.startswith("_")]


def imported_at_top(path: Path) -> set[str]:
    nodes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0] for node in nodes}


@pytest.mark.parametrize("name", discovery.names("methods"))
def test_method_has_all_names_in_order(name: str) -> None:
    assert public_names(PACKAGE / "methods" / f"{name}.py") == METHOD_NAMES


@pytest.mark.parametrize("name", discovery.names("methods"))
def test_method_keeps_the_contract(name: str) -> None:
    import transformers

    method = discovery.load("methods", name)
    assert issubclass(method.Config, method_base.Config)
    assert method.Config.model_fields["method"].default == name
    assert hasattr(transformers, method.MODEL_CLASS)
    assert set(method.METRICS) <= set(discovery.names("metrics"))
    assert all(isinstance(column, str) for columns in method.COLUMNS for column in columns)
    assert set(method.CHECKS) <= {"packing", "accumulation", "save_load", "same_ids", "mask"}
    assert method.TRAINS_ON in ("tokens", "rows")
    assert list(inspect.signature(method.wrap).parameters) == ["config", "model", "path"]
    assert list(inspect.signature(method.set_up).parameters) == ["config", "processor"]
    assert list(inspect.signature(method.check).parameters) == ["config", "processor", "row", "example"]
    assert list(inspect.signature(method.render).parameters) == ["config", "processor", "features", "rows"]
    assert list(inspect.signature(method.build_trainer).parameters) == [
        *("config", "model", "processor", "train", "evaluation", "callbacks", "run")
    ]
    assert list(inspect.signature(method.predict).parameters) == ["config", "model", "processor", "features", "rows", "generation"]


@pytest.mark.parametrize(("package", "ways"), [("filters", [["apply"]]), ("metrics", [["compute"], ["parts", "whole"], ["chosen"]])])
def test_small_pieces_keep_the_contract(package: str, ways: list[list[str]]) -> None:
    for name, module in discovery.modules(package).items():
        assert module.Options.model_fields["name"].default == name, name
        assert issubclass(module.Options, importlib.import_module(f"polar_tools.{package}.base").Options), name
        (way,) = [way for way in ways if set(way) <= set(vars(module))]
        for function in way:
            assert len(inspect.signature(getattr(module, function)).parameters) == 2, name


@pytest.mark.parametrize("package", ["methods", "losses", "filters", "metrics", "segmentation", "storage"])
def test_listing_a_package_imports_nothing_heavy(package: str) -> None:
    for path in sorted((PACKAGE / package).glob("*.py")):
        assert not imported_at_top(path) & HEAVY, path.name


def test_aliases_belong_to_one_method() -> None:
    spellings = [alias for name, method in discovery.modules("methods").items() for alias in (name, *method.ALIASES)]
    assert len(spellings) == len(set(spellings))


def test_train_knows_no_method() -> None:
    source = (PACKAGE / "stages" / "train.py").read_text(encoding="utf-8")
    assert not [name for name in discovery.aliases("methods") if f'"{name}"' in source]


@pytest.mark.parametrize("name", discovery.names("methods"))
def test_every_field_is_read_by_somebody(name: str) -> None:
    """By our code, or by the arguments of a trainer; tests/unit/test_options.py and those of the methods see that it is done right."""
    from transformers import TrainingArguments

    source = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    arguments = set(TrainingArguments.__dataclass_fields__).union(*(kind.__dataclass_fields__ for kind in trainer_arguments()))
    by_name = {*distributing.SIZES, "offload_optimizer", "offload_param", "preset"}  # seen in test_distributed and test_long_context
    fields = set(discovery.load("methods", name).Config.model_fields) - arguments - by_name
    assert [field for field in sorted(fields) if not re.search(rf"\.{field}\b", source)] == []


@cache
def trainer_arguments() -> list[Any]:
    """The classes of arguments that methods fill."""
    import trl
    from transformers import Seq2SeqTrainingArguments

    named = [getattr(trl, name) for name in ("SFTConfig", "DPOConfig", "KTOConfig", "RewardConfig", "GRPOConfig", "RLOOConfig")]
    return [*named, Seq2SeqTrainingArguments]
