"""Look on a few rows, before a long training, whether data, model and trainer do what they should."""

from __future__ import annotations

import gc
import hashlib
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import discovery, modeling
from polar_tools.artifact import Records, canonical, read_json
from polar_tools.checks.base import BY_METHOD, Outcome, not_applicable
from polar_tools.errors import PolarError, PreflightError, first_line
from polar_tools.specs import TrainSpec, freeze
from polar_tools.training.trial import Trial
from polar_tools.version import __version__

if TYPE_CHECKING:
    from types import ModuleType

NAME = "preflight.json"
"""The file of a training that remembers what passed."""
BROKEN = "the check came to no end; what ended it would end the training too, unless it is only too little memory for 8 rows at once"
LIBRARIES = (*modeling.LIBRARIES, "accelerate", "peft", "trl")

Findings = Mapping[str, Outcome]
"""Check -> how it came out."""


def before_training(spec: TrainSpec, folder: Path) -> None:
    """Look, unless this training passed before, and remember it; raises PreflightError where something isn't as it should be."""
    file = folder / NAME
    made_from = _made_from(spec)
    if (read_json(file) or {}).get("made_from") == made_from:
        return print("preflight: passed before", flush=True)
    findings = look(spec)
    print(f"preflight, on {Path(spec.experiment.dataset)}{_apart(spec)}:\n{table(findings)}", flush=True)
    refuse(findings)
    file.write_bytes(canonical({"made_from": made_from, "checks": as_dict(findings)}))
    return None


def _apart(spec: TrainSpec) -> str:
    """What of a training that has several processes isn't looked at: a few rows need one."""
    config = spec.experiment
    without = {"deepspeed": ", without DeepSpeed", "fsdp": ", without FSDP"}.get(config.engine or "", "")
    return f", in one process for the {config.world_size} that will train{without}" if config.is_distributed else ""


def look(spec: TrainSpec) -> Findings:
    """Make every check, and leave nothing of it in memory."""
    held = discovery.load("methods", spec.experiment.method).CHECKS
    with tempfile.TemporaryDirectory() as folder, _quiet():
        trial = Trial(spec, Path(folder))
        findings = {
            name: not_applicable(f"`{spec.experiment.method}` is not held to it")
            if name in BY_METHOD and name not in held
            else _made(check, trial)
            for name, check in discovery.modules("checks").items()
        }
        del trial
    _forget()
    return findings


@contextmanager
def _quiet() -> Iterator[None]:
    """What transformers says of a model that it loads it will say again, for the training."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _made(check: ModuleType, trial: Trial) -> Outcome:
    """The outcome of a check. What ends it in an error would have ended the training too."""
    try:
        outcome: Outcome = check.run(trial)
    except PolarError:
        raise
    except Exception as error:
        return Outcome("failed", f"{type(error).__name__}: {first_line(error)}", BROKEN)
    return outcome


def _forget() -> None:
    """Free what was used, also in libraries that remember what they have seen."""
    gc.collect()
    if "torch" in sys.modules:
        import torch

        torch.cuda.empty_cache()
    if "bitsandbytes" in sys.modules:
        from bitsandbytes.optim.optimizer import GlobalOptimManager

        GlobalOptimManager.get_instance().initialize()  # type: ignore[no-untyped-call]


def table(findings: Findings) -> str:
    """The outcomes for people, a line a check."""
    rows = [(name, outcome.result, discovery.load("checks", name).TITLE, outcome.figure) for name, outcome in findings.items()]
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[-1]]) for row in rows)


def as_dict(findings: Findings) -> dict[str, Any]:
    """The outcomes for programs."""
    return {
        name: {"result": outcome.result, "figure": outcome.figure, "title": discovery.load("checks", name).TITLE}
        for name, outcome in findings.items()
    }


def refuse(findings: Findings) -> None:
    """Raise PreflightError for what failed."""
    failed = {name: outcome for name, outcome in findings.items() if outcome.result == "failed"}
    told = [
        f"{name}: {outcome.figure}\n  which means: {outcome.means or discovery.load('checks', name).MEANS}"
        for name, outcome in failed.items()
    ]
    if failed:
        raise PreflightError(
            "\n".join(["the preflight failed, and nothing is trained:", *told, "docs/preflight.md says more; `preflight: off` goes on"])
        )


def _made_from(spec: TrainSpec) -> str:
    """All that what was seen depends on: the spec, what it reads, and the versions of code."""
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return hashlib.sha256(
        canonical({**Records().origin(spec, freeze(spec)), "versions": {**versions, "polar-tools": __version__}})
    ).hexdigest()
