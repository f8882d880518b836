"""What W&B wrote offline: its files are LevelDB logs of protocol buffers, for which the library has no reader of its own."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, HEADER, FIRST_HEADER = 32 * 1024, 7, 7
WHOLE, LAST = 1, 4


class Offline:
    """All offline runs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def records(self, run: str) -> Iterator[Any]:
        """Everything that was written of a run, in order, over all its files."""
        from wandb.proto.wandb_internal_pb2 import Record

        for file in sorted(self.folder.glob(f"offline-run-*-{run}/*.wandb")):
            for data in _records(file.read_bytes()):
                record = Record()
                record.ParseFromString(data)
                yield record

    def figures(self, run: str, names: list[str]) -> dict[str, list[tuple[int, float]]]:
        """The points of these figures."""
        found: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
        for record in self.records(run):
            if record.WhichOneof("record_type") == "history":
                values = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
                for name in names:
                    if name in values:
                        found[name].append((int(values["_step"]), values[name]))
        return found

    def header(self, run: str) -> tuple[str, str, list[str]]:
        """Project, name and tags."""
        told = next(record.run for record in self.records(run) if record.WhichOneof("record_type") == "run")
        return told.project, told.display_name, list(told.tags)

    def summary(self, run: str) -> dict[str, Any]:
        """The last word on each figure."""
        found = {}
        for record in self.records(run):
            if record.WhichOneof("record_type") == "summary":
                found |= {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.summary.update}
        return found


def _records(data: bytes) -> Iterator[bytes]:
    """https://github.com/google/leveldb/blob/main/doc/log_format.md, behind seven bytes of W&B's own."""
    at, parts = FIRST_HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + HEADER])
        parts += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""
