"""TensorBoard: event files in a folder below the project."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from polar_tools.trackers import base

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

LIBRARIES = ("tensorboard",)
SHOWN = (".json", ".md", ".csv", ".txt")
"""Files that are shown as text; others have no place there."""
LONGEST = 200_000


class Options(base.Options):
    """Where the event files are."""

    tracker: Literal["tensorboard"] = "tensorboard"
    log_dir: str = "tensorboard"
    """The folder, below the project, that `tensorboard --logdir` is given."""


def destination(options: Options, root: Path) -> str:
    """The folder."""
    return options.log_dir


def token(options: Options) -> str | None:
    """Files need none."""
    return None


def door(options: Options) -> base.Door | None:
    """Files have no server."""
    return None


def open(options: Options, run: base.Run, root: Path) -> base.Session:
    """A folder a run; another training of the same name has another."""
    name = f"{run.filled(options.name)}/{run.id[:8]}"
    return _Session(root / options.log_dir / name, name)


class _Session(base.Session):
    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.run_id = folder, name
        self._writer: EventFileWriter | None = None

    def last(self) -> Mapping[str, tuple[int, float]]:
        """As the event files have it."""
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

        found: dict[str, tuple[int, float]] = {}
        for file in sorted(self.folder.glob("events.out.tfevents.*")):
            for event in LegacyEventFileLoader(str(file)).Load():
                for value in event.summary.value:
                    if value.HasField("simple_value"):
                        found[value.tag] = max(found.get(value.tag, (-1, 0.0)), (event.step, value.simple_value))
        return found

    def about(self, config: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Two tables."""
        for title, told in (("config", config), ("tags", tags)):
            if told:
                self._text(title, "\n".join(["| | |", "|---|---|", *(f"| `{key}` | `{value}` |" for key, value in told.items())]))

    def rows(self, rows: Sequence[base.Row]) -> None:
        """Scalars by step."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for row in rows:
            values = [Summary.Value(tag=name, simple_value=value) for name, value in row.values.items()]
            self._add(Event(step=row.step, wall_time=row.time, summary=Summary(value=values)))

    def file(self, name: str, content: bytes) -> None:
        """Text, where it is text."""
        if name.endswith(SHOWN):
            self._text(name, f"```\n{content[:LONGEST].decode(errors='replace')}\n```")

    def close(self, state: base.State) -> None:
        """Onto the disk."""
        if self._writer is not None:
            self._writer.close()

    def _text(self, tag: str, text: str) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.plugins.text.metadata import create_summary_metadata

        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=shape)
        value = Summary.Value(tag=tag, metadata=create_summary_metadata(tag, ""), tensor=tensor)
        self._add(Event(wall_time=time.time(), summary=Summary(value=[value])))

    def _add(self, event: object) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if self._writer is None:
            self._writer = EventFileWriter(str(self.folder))
        self._writer.add_event(event)
