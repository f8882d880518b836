"""POLAR Trainer's flat arguments: a `.env` file, `key = value` lines of a Python script, or command-line flags.

What they become stands in four rooms: `methods` (training_method and trainer), `material` (model and rows), `training`, `publishing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polar_tools.conversions.base import Draft, trainer_arguments
from polar_tools.conversions.polar_trainer import material, methods, publishing, training

TITLE = "POLAR Trainer"
OWN = (
    *("project_name", "mlflow_url", *methods.NAMES, *material.NAMES, *training.NAMES, *publishing.NAMES),
    *("output_dir", "overwrite_output_dir"),
)
ALIASES = {
    "model_name": "project_name",
    "model_train_method": "training_method",
    "dataset_main_colunm": "dataset_main_column",
    "dataset_sub_colunm": "dataset_sub_column",
    "dataset_minor_colunm": "dataset_minor_column",
    **dict.fromkeys(("nproc_per_node", "num_gpus"), "number_gpu"),
    **trainer_arguments.OLD_NAMES,
}
"""What its train.py, and what starts it, call the arguments that its scripts have under other names."""
NAMES = {**{name: name for name in (*OWN, *trainer_arguments.NAMES)}, **ALIASES}
NOTHING = ("", None)
"""What its scripts write where they say nothing."""


def convert(arguments: Mapping[str, Any], draft: Draft) -> None:
    """Fill the draft; raises UserError for what goes with nothing else that is said."""
    draft.drop(arguments, [name for name in arguments if arguments[name] in NOTHING], "is empty, and says nothing")
    said = {name: value for name, value in arguments.items() if value not in NOTHING}
    _project(said, draft)
    method = methods.chosen(said, draft)
    material.model(said, draft)
    test_rows = material.data(said, draft, method)
    training.apply(said, draft, method, test_rows)
    methods.settings(said, draft, method)
    if test_rows:
        trainer_arguments.measure(draft)
    publishing.publish(said, draft)
    publishing.secrets(arguments, draft)


def _project(said: Mapping[str, Any], draft: Draft) -> None:
    from polar_tools.conversions.base import places

    if "project_name" in said:
        draft.put("project_name", str(said["project_name"]), "project_name")
    if "mlflow_url" in said:
        places.tracked(draft, "mlflow_url", str(said["mlflow_url"]))
