"""metrics.jsonl: what the trainer logs, line by line as it happens, without clock times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback


class MetricsLog(TrainerCallback):
    """Writes each logged step as a line; a resumed training begins with the lines of its checkpoint."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin anew, or with what the checkpoint remembers."""
        self.file.write_text("".join(map(_line, state.log_history)), encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The trainer has just logged; its final summary holds only speeds and is left out."""
        entry = state.log_history[-1]
        if "train_runtime" not in entry:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(_line(entry))
            print(f"step {entry['step']}/{state.max_steps}  loss {entry.get('loss', float('nan')):.4f}", flush=True)


def _line(entry: dict[str, Any]) -> str:
    steady = {key: value for key, value in entry.items() if not key.endswith(("_runtime", "_per_second"))}
    return json.dumps(steady, sort_keys=True) + "\n"
