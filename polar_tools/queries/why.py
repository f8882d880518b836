"""What would run, and what caused it: which key, which byte, down to where it begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polar_tools import aside
from polar_tools.artifact import Records, read_json, sha256_of
from polar_tools.errors import UserError
from polar_tools.fields import did_you_mean
from polar_tools.layout.sources import Artifact
from polar_tools.plan import Plan
from polar_tools.queries.keys import Change, changes, shown
from polar_tools.records import canonical
from polar_tools.specs import Spec, freeze, same, thaw
from polar_tools.storage.base import CHUNK


@dataclass
class Reason:
    """Why one artifact would be made: what is different about itself, and the inputs that would be made before it."""

    path: str
    stage: str
    causes: list[dict[str, Any]] = field(default_factory=list)
    through: list[str] = field(default_factory=list)

    @property
    def runs(self) -> bool:
        """Whether it would be made at all."""
        return bool(self.causes or self.through)

    def as_dict(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "path": self.path,
            "stage": self.stage,
            "would_run": self.runs,
            "causes": self.causes,
            "inputs_that_would_run": self.through,
        }


def of(plan: Plan, root: Path) -> dict[str, Reason]:
    """Of each artifact of a plan why it would be made, in the order of the work. Nothing is written."""
    records, found = Records(root), dict[str, Reason]()
    for path, made in plan.artifacts.items():
        reason = Reason(path, made.spec.stage, list(_causes(root, made, records)))
        reason.through = [name for name in made.spec.inputs() if found[name].runs]
        if reason.through:  # whether their records will differ, nobody knows before they are made
            reason.causes = [cause for cause in reason.causes if cause.get("input") not in reason.through]
        found[path] = reason
    return found


def asked(reasons: dict[str, Reason], path: str) -> list[Reason]:
    """An artifact and all of its inputs that would be made, itself first; raises UserError for one that isn't planned."""
    if path not in reasons:
        raise UserError(f"the config makes no {path}{did_you_mean(path, list(reasons))}")
    found: dict[str, Reason] = {}
    waiting = [path]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = reasons[name]
            waiting += reasons[name].through
    return list(found.values())


def in_words(cause: dict[str, Any]) -> str:
    """A cause for people."""
    if "key" in cause:
        return str(Change(cause["key"], *(cause.get(name, _nothing()) for name in ("old", "new"))))
    moved = f": {shown(cause['old'])[:20]} -> {shown(cause['new'])[:20]}" if "old" in cause and "new" in cause else ""
    return f"{cause['what']}{moved}" + "".join(f"\n  {line}" for line in cause.get("where", ()))


def _nothing() -> Any:
    from polar_tools.queries.keys import ABSENT

    return ABSENT


def _causes(root: Path, made: Artifact, records: Records) -> Iterator[dict[str, Any]]:
    """What about an artifact itself isn't as it was when it was made."""
    folder = root / made.path
    record = read_json(folder / "record.json")
    if record is None:
        yield from _never(folder)
        return
    frozen = json_of(made.frozen)
    if not same(record["spec"], frozen):
        yield from (change.as_dict() for change in changes(as_today(record["spec"], made.spec), frozen))
    yield from _inputs(made, record, records)
    yield from _local_files(root, made, record)
    yield from _missing(folder, record)


def _never(folder: Path) -> Iterator[dict[str, Any]]:
    begun = (folder / aside.MADE_FROM).is_file()
    yield {"what": "begun and not finished: it would go on" if begun else "not made yet"}


def json_of(frozen: bytes) -> dict[str, Any]:
    """The object in the bytes of a spec.json."""
    import json

    told: dict[str, Any] = json.loads(frozen)
    return told


def as_today(recorded: dict[str, Any], spec: Spec | None = None) -> dict[str, Any]:
    """A recorded spec with the defaults of fields that are newer than it.

    One that this version can't read has those of `spec`, as far as they are at their defaults there; it is as it is without.
    """
    try:
        return json_of(freeze(thaw(canonical(recorded), "record.json")))
    except UserError:
        return recorded if spec is None else _filled(recorded, json_of(freeze(spec)), spec.model_dump(mode="json", exclude_defaults=True))


def _filled(recorded: Any, frozen: Any, chosen: Any) -> Any:
    """`recorded` with what only `frozen` has and nobody chose."""
    if not (isinstance(recorded, dict) and isinstance(frozen, dict) and isinstance(chosen, dict)):
        return recorded
    known = {name: _filled(value, frozen.get(name), chosen.get(name, {})) for name, value in recorded.items()}
    return {name: value for name, value in frozen.items() if name not in chosen} | known


def _inputs(made: Artifact, record: dict[str, Any], records: Records) -> Iterator[dict[str, Any]]:
    before, now = record["inputs"], {path: records.hash(path) for path in made.spec.inputs()}
    for path in sorted(before.keys() | now.keys()):
        if path not in now:
            yield {"what": f"{path} is no input any more", "input": path}
        elif path not in before:
            yield {"what": f"{path} is a new input", "input": path}
        elif now[path] is not None and before[path] != now[path]:
            yield {"what": f"{path} has another record", "input": path, "old": before[path], "new": now[path]}


def _local_files(root: Path, made: Artifact, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    before, now = record["local_files"], made.spec.local_files()
    for path in sorted({*before, *now}):
        if path not in now:
            yield {"what": f"{path} is gone", "file": path, "old": before[path]}
        elif path not in before:
            yield {"what": f"{path} is new", "file": path, "new": sha256_of(root / path)}
        elif (digest := sha256_of(root / path)) != before[path]:
            where = list(_first_difference(root, made, path))
            yield {"what": f"{path} changed", "file": path, "old": before[path], "new": digest, "where": where}


def _first_difference(root: Path, made: Artifact, path: str) -> Iterator[str]:
    """Where a local file first differs from what was mirrored of it, if that is still there."""
    if made.spec.stage != "mirror":
        return
    copies = [copy for copy in (root / made.path / made.spec.PAYLOAD).rglob("*") if copy.is_file() and path.endswith(copy.name)]
    whole = (copy for copy in copies if f"/{path}".endswith(f"/{copy.relative_to(root / made.path / made.spec.PAYLOAD)}"))
    if (copy := next(whole, None)) is None:
        return
    byte = _first_byte(copy, root / path)
    lines = [_line_at(file, byte) for file in (copy, root / path)]
    if any("\0" in text for _, text in lines):
        yield f"from byte {byte} on"
        return
    yield f"from byte {byte} on, line {lines[0][0]}:"
    yield from (f"{sign} {shown(text)}" for sign, (_, text) in zip("-+", lines, strict=True))


def _first_byte(old: Path, new: Path) -> int:
    """The place of the first byte that differs; where one file goes on behind the other, that is its first byte there."""
    with old.open("rb") as before, new.open("rb") as after:
        place = 0
        while (one := before.read(CHUNK)) == (other := after.read(CHUNK)):
            place += len(one)
        pairs = enumerate(zip(one, other, strict=False))
        return place + next((number for number, (left, right) in pairs if left != right), min(len(one), len(other)))


def _line_at(file: Path, byte: int) -> tuple[int, str]:
    """The number of the line in which a byte lies, and its text."""
    with file.open("rb") as lines:
        seen = 0
        number = 0
        for number, line in enumerate(lines, 1):
            seen += len(line)
            if seen > byte:
                return number, line.decode("utf-8", "replace").rstrip()
    return number + 1, ""


def _missing(folder: Path, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    manifest = read_json(folder / "manifest.json")
    if manifest is None:
        yield {"what": "manifest.json is not there; where nothing else changed it is only written again", "file": "manifest.json"}
    elif manifest.get("record") != sha256_of(folder / "record.json"):
        yield {"what": "record.json is not the one that the manifest vouches for", "file": "record.json"}
    for name, entry in record["files"].items():
        file = folder / name
        if not file.is_file():
            yield {"what": f"{name} is not there any more", "file": name}
        elif file.stat().st_size != entry["size"]:
            yield {"what": f"{name} has another size", "file": name, "old": entry["size"], "new": file.stat().st_size}
