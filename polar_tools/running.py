"""A model with all that decides what it makes of rows: loaded once, asked as often as one likes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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


def load(
    config: base.Config,
    model: str,
    tokenizer: str,
    columns: Collection[str],
    seeds: tuple[int, int],
    features: base.Features | None = None,
) -> Running:
    """The model in the folder `model`, for rows with `columns`, by what the stage tokenize left in the folder `tokenizer`.

    `seeds` are those of a new head, and of what is drawn afterwards; `features` those of a model that knows its labels itself.
    """
    method = discovery.load("methods", config.method)
    base.check_columns(config, method.COLUMNS, list(columns))
    modeling.seed_everything(seeds[0], config.threads, config.gpus)
    features = modeling.load_features(tokenizer) if features is None else features
    loaded = modeling.load_model(model, method, config, features).eval()
    modeling.seed_everything(seeds[1], config.threads, config.gpus)
    return Running(config, method, loaded, modeling.load_processor(tokenizer, method, config, list(columns)), features)
