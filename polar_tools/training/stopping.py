"""What ends a training early, in a way that an interrupted one ends too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import EarlyStoppingCallback

from polar_tools.errors import ConfigError
from polar_tools.fields import did_you_mean
from polar_tools.training.resuming import AlreadyFinishedError


class EarlyStopping(EarlyStoppingCallback):
    """transformers' callback, which counts on where a checkpoint stopped counting, and looks at the one evaluation set that decides."""

    @property
    def stopped(self) -> bool:
        """Whether the training was long enough without getting better."""
        return bool(self.early_stopping_patience_counter >= self.early_stopping_patience)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """`state` is a checkpoint's, or new; transformers itself would count from zero again."""
        remembered = state.stateful_callbacks.get(type(self).__name__, self.state())
        self.early_stopping_patience_counter = remembered["attributes"]["early_stopping_patience_counter"]
        if self.stopped:
            raise AlreadyFinishedError

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **kwargs: Any) -> None:
        """One evaluation set was measured."""
        if args.metric_for_best_model in metrics:
            super().on_evaluate(args, state, control, metrics, **kwargs)


def refuse_unknown_metric(trainer: Any, error: KeyError) -> None:
    """Raise ConfigError where `error` is transformers' word for a `metric_for_best_model` that no evaluation gives."""
    if "metric_for_best_model" not in str(error):
        return
    logged = {name for entry in trainer.state.log_history for name in entry if name.startswith("eval_")}
    known = sorted(name for name in logged if not name.endswith(("_runtime", "_per_second")))
    wanted = trainer.args.metric_for_best_model
    raise ConfigError(
        f"metric_for_best_model: no evaluation gives `{wanted}`{did_you_mean(wanted, known)}; there are {', '.join(known)}"
    ) from error
