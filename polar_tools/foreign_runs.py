"""Another program's training, run here: its arguments as a config, and everything made below one folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polar_tools import hardware, one_folder, secrets
from polar_tools.conversions.base import DATA, DATA_AT, EVALUATION, EXPERIMENT, TRAINING_AT, Draft
from polar_tools.errors import UserError

OF_TEXT = ("loss", "token_accuracy")
"""What can be measured of `sft` on plain text."""


def settle(draft: Draft, hold_out: float | None = None) -> None:
    """Finish a draft for a run on this machine: all its GPUs, as other programs take them, and a share of the rows to be held out."""
    if hold_out is not None:
        _hold_out(draft, hold_out)
    count, experiment = hardware.gpus(), draft.config["experiments"][EXPERIMENT]
    if count or experiment.get("gpus"):
        draft.put(f"{TRAINING_AT}.gpus", count, "", "what this machine shows")
    if count < 2 and experiment.pop("deepspeed", None):
        draft.note("chosen", "", (f"{TRAINING_AT}.deepspeed",), "left out: there are no GPUs to divide anything among")


def run(draft: Draft, root: Path) -> one_folder.Made:
    """Make a converted config below `root`, with what the draft has for the environment; what is done is not made again.

    Raises UserError where another training is finished there, and whatever a stage raises.
    """
    _refuse_within(draft, root)
    with environment(draft):
        return one_folder.make(one_folder.anchored(draft.config, Path.cwd()), root, draft.overwrite)


def write(draft: Draft, root: Path) -> Path:
    """Write only the config that `run` would write."""
    _refuse_within(draft, root)
    return one_folder.write(one_folder.anchored(draft.config, Path.cwd()), root)


@contextmanager
def environment(draft: Draft) -> Iterator[None]:
    """While this lasts, the environment has what the draft has for it."""
    secrets.learn(draft.environment)
    before = dict(os.environ)
    os.environ.update(draft.environment)
    try:
        yield
    finally:
        for name in draft.environment:
            os.environ.pop(name, None)
            os.environ.update({name: before[name]} if name in before else {})


def _hold_out(draft: Draft, share: float) -> None:
    if EVALUATION in draft.config.get("evaluations", {}):
        raise UserError("--hold-out: rows are held out already, by a split of their own")
    draft.put(f"{DATA_AT}.split", {"test_size": share, "seed": 0}, "", "--hold-out")
    draft.put(f"evaluations.{EVALUATION}.dataset", DATA, "", "--hold-out")
    draft.put(f"{TRAINING_AT}.evaluations", [EVALUATION], "", "--hold-out")
    if draft.config["experiments"][EXPERIMENT]["method"] == "sft" and "text" in draft.config["datasets"][DATA].get("columns", {}):
        draft.put(f"evaluations.{EVALUATION}.metrics", [*OF_TEXT], "", "plain text has no question that a model could answer")


def _refuse_within(draft: Draft, root: Path) -> None:
    """Raise UserError where a source is a folder that holds `root` too: it would grow while it is copied."""
    for section in ("models", "datasets"):
        for name, part in draft.config.get(section, {}).items():
            for field in ("source", "test_source"):
                path = Path(str(part.get(field, "")).removeprefix("file://")).resolve()
                if str(part.get(field, "")).startswith("file://") and root.resolve().is_relative_to(path):
                    place = f"{section}.{name}.{field}"
                    raise UserError(f"{place}: {path} holds {root} too, where all is made; put the data into a folder of its own")
