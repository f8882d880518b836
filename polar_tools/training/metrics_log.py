"""metrics.jsonl: what the trainer logs, line by line as it happens, without clock times."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from polar_tools.training import progress

logger = logging.getLogger(__name__)


class MetricsLog(TrainerCallback):
    """Writes each logged step as a line; a resumed training begins with the lines of its checkpoint."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin anew, or with what the checkpoint remembers."""
        if not state.is_world_process_zero:
            return
        self.file.write_text("".join(map(_line, state.log_history)), encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The trainer has just logged; its final summary holds only speeds and is left out."""
        entry = state.log_history[-1]
        if "train_runtime" not in entry and state.is_world_process_zero:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(_line(entry))
            said = "  ".join(f"{name} {entry[name]:.4f}" for name in sorted(entry) if name == "loss" or name.endswith("_loss"))
            progress.say(line := f"step {entry['step']}/{state.max_steps}  {said}")
            logger.info(line)


def steady(entry: dict[str, Any]) -> dict[str, Any]:
    """`entry` without what differs from run to run."""
    return {key: value for key, value in entry.items() if not key.endswith(("_runtime", "_per_second"))}


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(steady(entry), sort_keys=True) + "\n"
