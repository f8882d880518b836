"""What every tracker is: options with the tracker's name, and a session in which one run is told what lies on disk.

A tracker file has Options, and these four:

- destination(options, root) -> where it goes, in one line without secrets: what was sent there counts as sent only there.
- token(options) -> the environment's name for the token that `token_file` holds, or None where there is no such thing.
- door(options) -> how `polar-tools doctor` asks the server whether it is there and takes the key, or None where no server is needed.
- open(options, run, root) -> a Session on the run `run.id`, which is made where it isn't there yet.
- LIBRARIES, the packages that it needs, for the message where one isn't there.

It is told everything redacted, and in the order in which it happened; it may raise whatever its library raises. Being asked twice to keep
the same thing, it keeps it once, as far as `last` can tell. Nothing heavy is imported at the top, for the config reads this too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import field_validator

from polar_tools import lock
from polar_tools.fields import Frozen

NOTES = f"{lock.NAME}-track"
"""The folder in an artifact's own where senders keep what they know; names that begin as the lock's are no content."""
State = Literal["running", "finished", "killed"]
NAMED = ("project", "experiment", "run")
"""What `name` may hold in braces."""


class Door(NamedTuple):
    """A request that changes nothing, made as a run would make it."""

    shown: str
    """The server, without secrets."""
    address: str
    who: tuple[str, str] | None
    """User and password; None where none are known."""
    headers: Mapping[str, str]
    keys: str
    """Where the key belongs that the server may refuse, or miss."""


class Options(Frozen):
    """Base of a tracker's options; `tracker` is the tracker's file."""

    tracker: str
    """The tracker: the name of a file in polar_tools/trackers."""
    name: str = "{experiment}/{run}"
    """What a run is called; {project}, {experiment} and {run} (seed0, seed1, ...) stand for those of the training."""

    @field_validator("name")
    @classmethod
    def _names_what_there_is(cls, name: str) -> str:
        try:
            name.format(**dict.fromkeys(NAMED, ""))
        except (KeyError, ValueError, IndexError) as error:
            raise ValueError(f"in braces may stand {', '.join(NAMED)}, but it has {error}") from error
        return name

    @field_validator("tracking_uri", "base_url", check_fields=False)
    @classmethod
    def _holds_no_password(cls, address: str | None) -> str | None:
        if address is not None and "@" in address.partition("://")[2].partition("/")[0]:
            raise ValueError("it names a user or a password, and a config is no place for those; put them into the environment")
        return address

    def seconds(self) -> float:
        """How long the end of a training may wait for the rest to be sent, before it is left to `polar-tools track --replay`."""
        return 20.0


@dataclass(frozen=True)
class Run:
    """What a tracker has one run for: a training with all that was measured on its model, or a measurement of an untouched model."""

    id: str
    """32 hexadecimal digits, drawn when the training began; it stands in the manifests of all that belongs to the run."""
    path: str
    """The artifact that the run is of, such as results/describe/seed0/train."""
    project: str
    experiment: str
    run: str
    """seed0, seed1, ..., or where nothing was trained what else tells one run of an experiment from another."""
    began: float | None = None
    """Unix seconds; of what is finished already."""
    ended: float | None = None

    def filled(self, text: str) -> str:
        """`text` with what stands in braces filled in."""
        return text.format(project=self.project, experiment=self.experiment, run=self.run)


@dataclass(frozen=True)
class Row:
    """Numbers by name of one moment: what a training logged at `step`, or what the machine did at its `step`-th look at it."""

    step: int
    values: Mapping[str, float]
    time: float
    """Unix seconds."""
    at: int
    """The step of the training, for trackers that have one counter for all."""
    is_result: bool = False
    """Whether it was measured of the finished model."""


@dataclass(frozen=True)
class Model:
    """A finished model: where it came from, by tags; its files, and those that tell of it, by their names."""

    tags: Mapping[str, str]
    about: Mapping[str, bytes]
    folder: Path


class Session:
    """One run of one tracker, while it is being told something. What a tracker has no place for, it leaves as it is here."""

    run_id: str
    """What the tracker itself calls the run."""

    def last(self) -> Mapping[str, tuple[int, float]]:
        """The last step that the tracker has of each figure, and its value; asked where a sender died before it noted what it had sent."""
        return {}

    def about(self, config: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """What the run is of: fields of the config by path, and tags."""

    def rows(self, rows: Sequence[Row]) -> None:
        """Numbers, in order."""
        raise NotImplementedError

    def file(self, name: str, content: bytes) -> None:
        """A file, in place of the one that had its name."""

    def model(self, model: Model) -> None:
        """Register the model, once."""

    def close(self, state: State) -> None:
        """All is told for now; the run is in this state."""
