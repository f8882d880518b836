"""AutoTrain's `llm` command line, and its YAML: those of autotrain-advanced 0.8.36, its last release, and spellings of earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polar_tools.conversions.autotrain import backends, llm, names, tasks
from polar_tools.conversions.base import Draft
from polar_tools.errors import UserError

TITLE = "AutoTrain"
NAMES = names.spellings()
SECTIONS = ("project_name", "models", "datasets", "evaluations", "experiments", "publish", "run")
"""The order in which a person reads a config."""


def convert(arguments: Mapping[str, Any], draft: Draft) -> None:
    """Fill the draft with the training that AutoTrain would run; raises UserError for what it, or nothing here, can do."""
    backends.settle(arguments, draft)
    task = str(arguments.get("task", "llm"))
    of_llm = task.replace("_", "-").split("-")[0] == "llm" or task == "lm_training"
    parameters = names.LLM if of_llm else names.TASKS.get(tasks.named(task), {})
    if parameters:
        _refuse_others(arguments, parameters, task)
    (llm if of_llm else tasks).convert(arguments, draft)
    ordered = {name: draft.config.pop(name) for name in SECTIONS if name in draft.config}
    draft.config.update(ordered)


def _refuse_others(arguments: Mapping[str, Any], parameters: Mapping[str, Any], task: str) -> None:
    """Raise UserError for parameters of other tasks than the one that is asked for."""
    if others := [name for name in arguments if not names.among(parameters, name)]:
        raise UserError(f"AutoTrain's task {task} has no parameter {', '.join(f'`{name}`' for name in others)}")
