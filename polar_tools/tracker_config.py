"""Where runs are to be seen: the config's `run.trackers`, and the file that tells the tools, for specs hold nothing of it."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from polar_tools.discovery import OneOf
from polar_tools.fields import Frozen
from polar_tools.records import canonical, read_json, write_whole
from polar_tools.trackers import base

FILE = "results/.trackers.json"
"""Below the project; it changes no result, so nothing is made from it."""

Tracker = Annotated[base.Options, OneOf("trackers", "Options", "tracker")]


def _each_once(trackers: tuple[base.Options, ...]) -> tuple[base.Options, ...]:
    names = [one.tracker for one in trackers]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(f'`{name}`' for name in twice)} stands twice; each tracker may stand once")
    return trackers


Trackers = Annotated[tuple[Tracker, ...], AfterValidator(_each_once)]


class Settings(Frozen):
    """What a sender is told."""

    project_name: str
    trackers: Trackers = ()


def settle(settings: Settings, root: Path) -> None:
    """Have FILE below `root` say what the config says now; without trackers there is none."""
    file = root / FILE
    data = canonical(settings.model_dump(mode="json"))
    if not settings.trackers:
        file.unlink(missing_ok=True)
    elif not file.is_file() or file.read_bytes() != data:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, data)


def read(root: Path) -> Settings | None:
    """What FILE below `root` says; None where there are no trackers."""
    data = read_json(root / FILE)
    return None if data is None else Settings.model_validate(data)
