"""A method's trainer on a few rows and a tiny model, put together as the stages do it."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from polar_tools import discovery, modeling, tokens
from polar_tools.methods import base


def sayings(assets: Path) -> list[dict[str, str]]:
    """The rows of the tiny project: question, answer, kind."""
    with (assets / "assets/rows.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Trial:
    """A method with a config, a model as it is before training, and rows; `folder` is for the trainer."""

    def __init__(self, name: str, model: Path, rows: Sequence[base.Row], folder: Path, **fields: Any) -> None:
        self.method, self.rows, self.folder = discovery.load("methods", name), rows, folder
        told = {"model": str(model), "dataset": "d", "threads": 1, "logging_steps": 1, "save_strategy": "no", **fields}
        self.config = self.method.Config(**told)
        modeling.seed_everything(0, 1)
        self.processor = self.method.set_up(self.config, modeling.load_processor(self.config.model, self.method, self.config))
        self.features = self.method.features(self.config, rows)
        self.model = modeling.load_model(self.config.model, self.method, self.config, self.features, adapter=True)

    def rendered(self) -> list[base.Example]:
        """The rows as examples."""
        examples: list[base.Example] = self.method.render(self.config, self.processor, self.features, self.rows)
        return examples

    def trainer(self, watched: bool = False) -> Any:
        """The trainer on all rows, which are those that are watched too."""
        kept = [self.method.fit(self.config, example) for example in self.rendered()]
        rows = Dataset(tokens.tables(kept, kept)[0])
        run = {"output_dir": str(self.folder), "seed": 0, "use_cpu": True, "report_to": "none", "disable_tqdm": True}
        evaluation = {"same": rows} if watched else None
        return self.method.build_trainer(self.config, self.model, self.processor, rows, evaluation, [], **run)

    def first_step(self) -> dict[str, float]:
        """Loss and norm of the gradient in the first step."""
        trainer = self.trainer()
        trainer.train()
        return {name: trainer.state.log_history[0][name] for name in ("loss", "grad_norm")}

    def predict(self, **generation: Any) -> Any:
        """What the model makes of the rows."""
        return self.method.predict(self.config, self.model.eval(), self.processor, self.features, self.rows, generation)
