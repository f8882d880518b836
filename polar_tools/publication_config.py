"""The part of the config that says what is published: of what, where to, and what must hold before."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import NonNegativeInt, StringConstraints, model_validator

from polar_tools.discovery import NameOf
from polar_tools.experiment.names import NEVER_MERGED
from polar_tools.fields import Frozen, PreparedRef, Ref, did_you_mean

if TYPE_CHECKING:
    from polar_tools.config import Config

Text = Annotated[str, StringConstraints(min_length=1)]
Gate = Annotated[str, NameOf("gates")]
ExperimentRef = Annotated[str, Ref(("experiments",))]


class Requirement(Frozen):
    """What a figure must reach."""

    at_least: float | None = None
    """No less."""
    at_most: float | None = None
    """No more."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("say `at_least` or `at_most`")
        return self

    def met(self, value: float) -> bool:
        """Whether `value` is as it must be; what is no number never is."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    @property
    def lower_is_better(self) -> bool:
        """Which way is towards it."""
        return self.at_least is None


class Terms(Frozen):
    """Where to, what must hold before, and how it is signed."""

    what: Literal["model", "adapter", "merged"] = "model"
    """Of an experiment: `model`, what its training left; `adapter`, the same, which must be one; `merged`, its base with it merged in."""
    push_to_hub: bool = False
    """Publish on the Hub."""
    hub_model_id: Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)?$")] | None = None
    """ORG/NAME there, or NAME in the token's own account; PROJECT_NAME-NAME without it, NAME being the publication's."""
    hub_strategy: Literal["end", "every_save", "checkpoint", "all_checkpoints"] = "end"
    """What is published of checkpoints: nothing; the newest as the model while training goes on; it also in last-checkpoint; all."""
    private: bool = False
    """Make a private repository."""
    message: Text | None = None
    """Message of the commits."""
    push_to_minio: bool = False
    """Publish in a bucket of MinIO, or of any S3 store; AWS_ENDPOINT_URL says where."""
    minio_model_save_bucket: Text | None = None
    """BUCKET, or BUCKET/PREFIX; without it a bucket of the project's name. Without PREFIX it is PROJECT_NAME-NAME."""
    folder: Text | None = None
    """Publish in a folder of this machine."""
    require: dict[str, Requirement] = {}
    """EVALUATION.FIGURE -> what it must reach, such as `descriptions.rougeL: {at_least: 0.4}`."""
    waive: dict[Gate, Text] = {}
    """Gate -> why its finding doesn't keep this from being published; the reason stands on the card."""
    license: Text | None = None
    """Licence under which it is published; without it the strictest of those that it is made from."""
    licenses: dict[str, Text] = {}
    """Model or dataset -> its licence, where its own files don't say it."""
    language: Literal["en", "ko"] | None = None
    """Language of the card; that of the report, or English, without it."""
    sign: Text | None = None
    """File with the private key (PEM, of an elliptic curve) by which it is signed."""


class Publication(Terms):
    """One thing that is published: of an experiment, of a dataset, or the report."""

    experiment: ExperimentRef | None = None
    """The experiment whose trained model it is."""
    seed: NonNegativeInt | Literal["best"] | None = None
    """Which of its runs: the first without it; `best`, by the figure of `require`."""
    dataset: PreparedRef | None = None
    """The dataset or mixture that it is, as it was prepared."""
    report: bool = False
    """The report, as a static page."""

    @model_validator(mode="after")
    def _of_one_thing(self) -> Self:
        if [self.experiment is not None, self.dataset is not None, self.report].count(True) != 1:
            raise ValueError("name one thing that is published: an `experiment`, a `dataset`, or `report: true`")
        if not (self.push_to_hub or self.push_to_minio or self.folder):
            raise ValueError("say where to: `push_to_hub: true`, `push_to_minio: true` or `folder`")
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> Self:
        needs = {
            ("hub_model_id", "hub_strategy", "private"): (self.push_to_hub, "`push_to_hub: true`"),
            ("minio_model_save_bucket",): (self.push_to_minio, "`push_to_minio: true`"),
            ("seed", "what", "require", "hub_strategy"): (self.experiment is not None, "`experiment`"),
        }
        for names, (there, need) in needs.items():
            given = [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
            if given and not there:
                raise ValueError(f"{', '.join(given)} would be ignored without {need}")
        if self.seed == "best" and len(self.require) != 1:
            raise ValueError(f"`seed: best` is the best by the figure of `require`: name one, it has {len(self.require)}")
        return self

    def terms(self) -> Terms:
        """It without what it is of."""
        return Terms.model_validate(self.model_dump(include=set(Terms.model_fields)))


def problems(config: "Config") -> list[str]:
    """What of the publications doesn't go with the rest of a config."""
    found = []
    for name, one in config.publish.items():
        found += [f"publish.{name}.{line}" for line in (*_of_experiment(config, one), *_of_licenses(config, one))]
        if one.report and not config.experiments:
            found.append(f"publish.{name}.report: without `experiments` there is none")
    return found


def _of_experiment(config: "Config", one: Publication) -> list[str]:
    experiment = config.experiments.get(one.experiment or "")
    if experiment is None:
        return []
    found = []
    if isinstance(one.seed, int) and one.seed not in experiment.seeds:
        found.append(f"seed: {one.seed} is not a seed of `{one.experiment}` (it has {list(experiment.seeds)})")
    if one.what != "model" and (not experiment.use_peft or experiment.merge_adapter):
        why = "whose adapter is merged already" if experiment.use_peft else "which trains no adapter"
        found.append(f"what: {one.what} is for what trained an adapter; leave it out for `{one.experiment}`, {why}")
    elif one.what == "merged" and experiment.peft_type in NEVER_MERGED:
        found.append(f"what: an adapter of the type {experiment.peft_type} can't be merged; publish it as `adapter`")
    for figure in one.require:
        if not any(figure.startswith(f"{evaluation}.") for evaluation in experiment.evaluations):
            known = ", ".join(experiment.evaluations) or "none"
            found.append(f"require.{figure}: name EVALUATION.FIGURE, with an evaluation of `{one.experiment}` (it has {known})")
    return found


def _of_licenses(config: "Config", one: Publication) -> list[str]:
    known = [*config.models, *config.datasets]
    return [
        f"licenses.{name}: is neither in `models` nor in `datasets`{did_you_mean(name, known)}"
        for name in one.licenses
        if name not in known
    ]
