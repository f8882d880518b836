"""What is measured, and how a model writes meanwhile: the config's `evaluations`."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, StringConstraints, model_validator

from polar_tools.discovery import OneOf
from polar_tools.fields import Frozen, PreparedRef
from polar_tools.metrics import base as metrics

Metric = Annotated[metrics.Options, OneOf("metrics", "Options", "name")]


class Generation(Frozen):
    """How a model writes; names are transformers' own. What isn't given is as the model's own generation_config.json has it, if at all."""

    max_new_tokens: PositiveInt = 64
    """The longest text, in tokens."""
    min_new_tokens: PositiveInt | None = None
    """The shortest text, in tokens."""
    num_beams: PositiveInt = 1
    """Beams of the search; 1 takes the most probable token each time."""
    do_sample: bool = False
    """Draw tokens by their probability rather than take the most probable; seeded, for each row by itself."""
    temperature: PositiveFloat | None = None
    """Divides the logits before a token is drawn. Needs `do_sample`."""
    top_p: Annotated[PositiveFloat, Field(le=1)] | None = None
    """Draw among the most probable tokens that together reach this probability. Needs `do_sample`."""
    top_k: PositiveInt | None = None
    """Draw among this many most probable tokens. Needs `do_sample`."""
    repetition_penalty: PositiveFloat | None = None
    """Above 1 tokens that were there already, in the prompt too, become less probable."""
    no_repeat_ngram_size: PositiveInt | None = None
    """No so many tokens stand in a row more than once."""
    length_penalty: float | None = None
    """Above 0 a search with beams prefers longer texts, below 0 shorter ones. Needs `num_beams` above 1."""
    early_stopping: bool | Literal["never"] | None = None
    """Whether a search ends as soon as `num_beams` texts have ended; `never` goes on until none can become better.

    Needs `num_beams` above 1.
    """
    stop_strings: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    """A text ends before the first of these that it would hold."""

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        needs = {
            ("temperature", "top_p", "top_k"): (self.do_sample, "do_sample: true"),
            ("length_penalty", "early_stopping"): (self.num_beams > 1, "num_beams: 2"),
        }
        for names, (there, need) in needs.items():
            unread = [name for name in names if getattr(self, name) is not None]
            if unread and not there:
                raise ValueError(f"{', '.join(unread)} would be ignored without `{need}`")
        if self.min_new_tokens is not None and self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens: {self.min_new_tokens} is more than max_new_tokens {self.max_new_tokens}")
        return self

    def told(self, seed: int) -> dict[str, Any]:
        """What inference.generate is told: what was given, and the seed of sampling."""
        given = {name: value for name, value in self.model_dump(exclude_none=True).items() if value != ()}
        return {**given, "seed": seed}


class Evaluation(Frozen):
    """A measurement of every model that names it: of the untouched one and of each trained one, by the same code."""

    dataset: PreparedRef | None = None
    """A name from `datasets` or `mixtures`; its test rows are measured. Needed where there are no `tasks`."""
    metrics: tuple[Metric, ...] = ()
    """Metrics in order; empty takes those of the experiment's method."""
    generation: Generation = Generation()
    """How the model writes, for methods that write."""
    seed: NonNegativeInt = 0
    """Seed of sampling, and of the examples that are shown."""
    references: tuple[str, ...] = ()
    """What the experiments are compared with besides one another, on the same rows: other models, and files of predictions.

    A name from `models` is measured untouched, as each experiment measures its own; a file is a predictions.jsonl of these rows that was
    made elsewhere (docs/compare.md).
    """
    tasks: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    """Names of tasks of lm-evaluation-harness in place of a dataset, for methods that train language models."""
    include_path: str | None = None
    """A folder with tasks of one's own, YAML files and their rows, all of which are part of what is measured. Needs `tasks`."""
    num_fewshot: NonNegativeInt | None = None
    """Examples that are shown before each question, where it isn't the task's own number. Needs `tasks`."""
    limit: PositiveInt | None = None
    """Only so many of the first rows of each task. Needs `tasks`."""
    apply_chat_template: bool = False
    """Ask in the model's chat template. Needs `tasks`."""

    @model_validator(mode="after")
    def _measures_one_thing(self) -> Self:
        if (self.dataset is None) == (not self.tasks):
            raise ValueError("name the `dataset` whose test rows are measured, or `tasks` of lm-evaluation-harness, and not both")
        needs = ("metrics", "generation") if self.tasks else ("include_path", "num_fewshot", "limit", "apply_chat_template")
        given = [name for name in needs if getattr(self, name) != type(self).model_fields[name].default]
        if given:
            why = "tasks say themselves how they are asked and measured" if self.tasks else "they belong to `tasks`"
            raise ValueError(f"{', '.join(given)} would be ignored: {why}")
        return self
