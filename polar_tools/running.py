"""A model with all that decides what it makes of rows: loaded once, asked as often as one likes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polar_tools import discovery, modeling
from polar_tools.methods import base
from polar_tools.metrics.base import Prediction


@dataclass(frozen=True)
class Running:
    """A model in memory, and how rows become what it is given."""

    config: base.Config
    method: Any
    model: Any
    processor: Any
    features: base.Features

    def predict(self, rows: Sequence[base.Row], generation: dict[str, Any]) -> list[Prediction]:
        """What the model makes of `rows`, in their order; raises RowError for one that it can't be given."""
        found: list[Prediction] = self.method.predict(self.config, self.model, self.processor, self.features, rows, generation)
        return found


def load(config: base.Config, model: str, tokenizer: str, rows: Sequence[base.Row], seeds: tuple[int, int]) -> Running:
    """The model in the folder `model`, for rows like these, by what the stage tokenize left in the folder `tokenizer`.

    `seeds` are those of a new head, and of what is drawn afterwards.
    """
    method = discovery.load("methods", config.method)
    base.check_columns(config, method.COLUMNS, list(rows[0]))
    processor = modeling.load_processor(tokenizer, method, config, list(rows[0]))
    return _loaded(config, method, model, processor, modeling.load_features(tokenizer), seeds)


def load_alone(
    config: base.Config, model: str, rows: Sequence[base.Row], seeds: tuple[int, int], features: base.Features | None = None
) -> Running:
    """The model in a folder that no training of ours left, with its own tokenizer, as the stage tokenize would set it up for these rows.

    `features` are those of a model that knows its labels; without them they are those of the rows.
    """
    method = discovery.load("methods", config.method)
    base.check_columns(config, method.COLUMNS, list(rows[0]))
    processor = method.set_up(config, modeling.load_processor(model, method, config, list(rows[0])))
    return _loaded(config, method, model, processor, method.features(config, rows) if features is None else features, seeds)


def _loaded(config: base.Config, method: Any, model: str, processor: Any, features: base.Features, seeds: tuple[int, int]) -> Running:
    modeling.seed_everything(seeds[0], config.threads, config.gpus)
    loaded = modeling.load_model(model, method, config, features).eval()
    modeling.seed_everything(seeds[1], config.threads, config.gpus)
    return Running(config, method, loaded, processor, features)
