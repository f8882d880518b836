"""Measure one model on tasks of lm-evaluation-harness: the untouched model and every trained one by this same code."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from polar_tools import discovery, measuring, modeling, prompting
from polar_tools.artifact import Facts, canonical
from polar_tools.comparing import bootstrap
from polar_tools.errors import ConfigError, WorldError, first_line
from polar_tools.fields import did_you_mean
from polar_tools.metrics.base import Prediction
from polar_tools.metrics.task import BETWEEN
from polar_tools.records import write_whole
from polar_tools.specs import HarnessSpec

OPTIONAL = ("lm-eval",) if importlib.util.find_spec("lm_eval") else ()
LIBRARIES = (*modeling.LIBRARIES, "datasets", "peft", *OPTIONAL)
BATCH = 8
"""Rows that the model reads together."""
ITERATIONS = 1000
"""Draws by which the standard error of a figure is found that is no mean."""
ROUNDING = 1e-9

Scores = dict[str, float]


def run(spec: HarnessSpec, folder: Path) -> Facts:
    """Write predictions.jsonl, a line a row of each task, and report.json with what the tasks measured."""
    if not OPTIONAL:
        raise ConfigError("tasks: lm-evaluation-harness is not installed: pip install 'polar-tools[harness]'")
    prompts = prompting.of(spec.experiment, Path(spec.tokenizer)) if spec.apply_chat_template else {}
    if spec.trained is not None and prompts:
        prompting.check(Path(spec.trained), prompts)
    manager = _manager(spec)
    found = _asked(spec, manager)
    figures = _figures(spec, found)
    predictions = list(_predictions(found, figures["given_by"]))
    drawn = bootstrap.recorded(measuring.counted(predictions, spec.metrics))
    report = {"rows": len(predictions), **figures, **drawn, "settings": {"tasks": _settings(found)}}
    lines = (json.dumps(asdict(row), ensure_ascii=False, sort_keys=True) + "\n" for row in predictions)
    write_whole(folder / "predictions.jsonl", "".join(lines).encode())
    write_whole(folder / spec.PAYLOAD, canonical(report))
    return Facts(recorded={**report, **({"prompts": prompts} if prompts else {})})


def _manager(spec: HarnessSpec) -> Any:
    """What finds the tasks by name; raises ConfigError for one that there isn't. Those of one's own are all that is read where they do."""
    from lm_eval.tasks import TaskManager

    own = None if spec.include_path is None else TaskManager(include_path=spec.include_path, include_defaults=False)
    if own is not None and set(spec.tasks) <= set(own.all_tasks):
        return own
    manager = TaskManager(include_path=spec.include_path)
    known = sorted(map(str, manager.all_tasks))
    for name in spec.tasks:
        if name not in known:
            raise ConfigError(
                f"tasks: there is no `{name}` in lm-evaluation-harness{did_you_mean(name, known)}; `lm_eval --tasks list` shows all"
            )
    return manager


def _asked(spec: HarnessSpec, manager: Any) -> dict[str, Any]:
    """What lm-evaluation-harness finds; raises WorldError where the rows of a task can't be had."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    config = spec.experiment
    method = discovery.load("methods", config.method)
    modeling.seed_everything(spec.head_seed, config.threads, config.gpus)
    model = modeling.load_model(spec.trained or config.model, method, config, modeling.load_features(spec.tokenizer)).eval()
    asked = HFLM(pretrained=model, tokenizer=modeling.load_processor(spec.tokenizer, method, config), batch_size=BATCH)
    modeling.seed_everything(spec.seed, config.threads, config.gpus)
    seeds = dict.fromkeys(("random_seed", "numpy_random_seed", "torch_random_seed", "fewshot_random_seed"), spec.seed)
    same = {name: getattr(spec, name) for name in ("num_fewshot", "limit", "apply_chat_template")}
    try:
        found: dict[str, Any] = simple_evaluate(
            asked, tasks=list(spec.tasks), task_manager=manager, bootstrap_iters=ITERATIONS, log_samples=True, **same, **seeds
        )
    except (OSError, ConnectionError) as error:
        raise WorldError(
            f"the rows of {', '.join(spec.tasks)} can't be had: {first_line(error)}. Run them once where there is a network, "
            "or keep their rows in `include_path`"
        ) from error
    return found


def _figures(spec: HarnessSpec, found: Mapping[str, Any]) -> dict[str, Any]:
    """`metrics` by TASK/METRIC, of the tasks and groups that were named; `given_by`; and of each its standard error and shots."""
    inner = {name for names in found["group_subtasks"].values() for name in names} - set(spec.tasks)
    figures, lines = dict[str, float](), []
    for task, measured in sorted(found["results"].items()):
        for key, value in sorted(measured.items()):
            metric, _, filtered = key.partition(",")
            if not filtered or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = measured.get(f"{metric}_stderr,{filtered}")
            told = {"task": task, "metric": metric, "filter": filtered, "value": float(value), "shots": found["n-shot"].get(task)}
            lines.append(
                {**told, "stderr": float(error) if isinstance(error, int | float) else None, "version": found["versions"].get(task)}
            )
            if task not in inner:
                figures[_name(task, metric, filtered)] = float(value)
    means = _means(found)
    given_by = {
        name: "task" if math.isclose(means.get(name, math.nan), value, abs_tol=ROUNDING) else "tasks" for name, value in figures.items()
    }
    return {"metrics": figures, "given_by": given_by, "tables": {"tasks": lines}}


def _name(task: str, metric: str, filtered: str) -> str:
    return f"{task}{BETWEEN}{metric}" + ("" if filtered == "none" else f",{filtered}")


def _means(found: Mapping[str, Any]) -> Scores:
    """The mean over its rows of each score that is one between 0 and 1, and the better the higher."""
    means: Scores = {}
    for task, samples in found["samples"].items():
        better = found["higher_is_better"].get(task, {})
        for filtered in sorted({sample["filter"] for sample in samples}):
            rows = [sample for sample in samples if sample["filter"] == filtered]
            for metric in (name for name in rows[0]["metrics"] if better.get(name)):
                values = [row.get(metric) for row in rows]
                if all(isinstance(value, int | float) and 0 <= value <= 1 for value in values):
                    means[_name(task, metric, filtered)] = math.fsum(values) / len(values)
    return means


def _predictions(found: Mapping[str, Any], given_by: Mapping[str, str]) -> Iterator[Prediction]:
    """Each row of each task, with those of its scores that are means over rows."""
    for task, samples in sorted(found["samples"].items()):
        rows: dict[int, list[Mapping[str, Any]]] = {}
        for sample in samples:
            rows.setdefault(sample["doc_id"], []).append(sample)
        for _, filtered in sorted(rows.items()):
            names = [(_name(task, metric, one["filter"]), one[metric]) for one in filtered for metric in one["metrics"]]
            scores = {name: float(value) for name, value in names if given_by.get(name) == "task"}
            first = filtered[0]
            asked = str(first["arguments"][0][0])
            yield Prediction(asked, _wanted(first), _said(first), None, 0, scores, row=_row(task, first))


def _row(task: str, sample: Mapping[str, Any]) -> str:
    """What tells a row of a task, in any evaluation of it."""
    return hashlib.sha256(f"{task}\n{sample['doc_hash']}".encode()).hexdigest()[:32]


def _wanted(sample: Mapping[str, Any]) -> str:
    """The right answer: the text, or, where one of several is chosen, that one's."""
    target = sample["target"]
    if isinstance(target, int) and not isinstance(sample["filtered_resps"][0], str) and target < len(sample["arguments"]):
        return str(sample["arguments"][target][1]).strip()
    return str(target)


def _said(sample: Mapping[str, Any]) -> str | None:
    """What was written, or the most probable of several answers; None where there was nothing to choose."""
    answers: Sequence[Any] = sample["filtered_resps"]
    if isinstance(answers[0], str):
        return str(answers[0])
    if len(answers) < 2:
        return None
    best = max(range(len(answers)), key=lambda place: float(answers[place][0]))
    return str(sample["arguments"][best][1]).strip()


def _settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """What each task is, by its version and the number of examples that were shown."""
    return {task: {"version": version, "num_fewshot": found["n-shot"].get(task)} for task, version in sorted(found["versions"].items())}
