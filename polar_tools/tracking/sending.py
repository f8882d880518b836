"""One artifact to one tracker: all that the tracker doesn't have yet, once."""

from __future__ import annotations

import hashlib
import math
import os
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polar_tools import artifact, discovery, lock, secrets
from polar_tools.errors import UserError, first_line
from polar_tools.trackers.base import NOTES, Options, Row, Session
from polar_tools.tracking import cursor, runs, telling, usage
from polar_tools.tracking.tail import Tail

_AMENDING = threading.Lock()
"""Of the threads of this process, which share its lock of an artifact."""


@dataclass(frozen=True)
class Sent:
    """What became of it."""

    points: int = 0
    files: int = 0
    complete: bool = False
    """Whether the artifact is finished and nothing of it is missing there."""


class Sender:
    """Sends one artifact, by its path below `root`, to one tracker, as often as it is asked to."""

    def __init__(self, root: Path, path: str, project: str, options: Options) -> None:
        self.root, self.path, self.project, self.folder = root, path, project, root / path
        self.options = options
        self.tracker = discovery.load("trackers", options.tracker)
        self._tails = {"metrics": Tail(self.folder / "metrics.jsonl"), "usage": Tail(self.folder / NOTES / usage.FILE)}
        self._waiting: list[Row] = []
        self._session: Session | None = None
        self._held = ExitStack()
        self._begin()

    def _begin(self) -> None:
        self._run = runs.of(self.root, self.path, self.project)
        goes = self.tracker.destination(self.options, self.root)
        self._cursor = cursor.read(self.folder, self.options.tracker, self._run.id, goes, runs.fingerprint(self.folder))

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing, as far as is noted."""
        file = self.folder / "record.json"
        return bool(self._cursor.finished) and file.is_file() and self._cursor.finished == artifact.sha256_of(file)

    def send(self, ended: bool) -> Sent:
        """Send what is new; where the work has `ended`, also what is known only then. Raises what the tracker's library raises."""
        if self._session is None:
            self._begin()
        if self.is_complete:
            return Sent(complete=True)
        rows = self._new()
        if not rows and not ended and self._session is not None:
            return Sent()
        session = self._opened()
        told = telling.Told(self.root, self.path, self._run)
        points = self._numbers(session, rows if not told.is_finished else [*rows, *self._results(told)])
        if not ended:
            return Sent(points)
        files = self._finish(session, told) if told.is_finished else 0
        self._session = None
        session.close("finished" if told.is_finished else "killed")
        if told.is_finished:
            self._cursor.finished = artifact.sha256_of(self.folder / "record.json")
            self._note()
        self._held.close()
        return Sent(points, files, told.is_finished)

    def drop(self) -> None:
        """Forget the connection, after it failed; what is noted stands, and another process may try."""
        session, self._session = self._session, None
        try:
            if session is not None:
                session.close("running")
        except Exception:  # it failed already, and what it was told is sent again
            return
        finally:
            self._held.close()

    def _opened(self) -> Session:
        """The session, made on the first call: what the run is of is told then. While it lasts nobody else sends the same."""
        if self._session is None:
            notes = self.folder / NOTES / self.options.tracker
            notes.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(lock.held(notes))
            _set_up(self.options, self.root)
            self.options = _clean(self.options)
            self._begin()
            self._session = self.tracker.open(self.options, self._run, self.root)
            self._cursor.run_id = self._session.run_id
            if not self._cursor.settled:
                self._cursor.steps |= {name: step for name, (step, _) in self._session.last().items()}
            told = telling.Told(self.root, self.path, self._run)
            self._session.about(told.config(), told.tags())
        return self._session

    def _new(self) -> list[Row]:
        """What was logged and used since the last call, and what could not be sent then, in the order of its steps."""
        now = time.time()
        self._waiting += [telling.logged(entry, now) for entry in self._tails["metrics"].read() if self.path == self._run.path]
        self._waiting += [telling.used(entry) for entry in self._tails["usage"].read()]
        self._waiting.sort(key=lambda row: row.at)
        return list(self._waiting)

    def _results(self, told: telling.Told) -> list[Row]:
        """What was measured, where the tracker has no such figure yet, or another one from before it was measured anew."""
        if self._session is None or self._cursor.settled:
            return []
        there = self._session.last()

        def differs(name: str, value: float, step: int) -> bool:
            return name not in there or there[name][0] != step or not math.isclose(there[name][1], value, rel_tol=1e-6)

        found = [replace(row, values={name: v for name, v in row.values.items() if differs(name, v, row.step)}) for row in told.results()]
        for row in found:
            for name in row.values:
                self._cursor.steps.pop(name, None)
        return found

    def _numbers(self, session: Session, rows: Iterable[Row]) -> int:
        """Send figures of steps that the tracker doesn't have, and note it. Before that it is noted that something may be on its way."""
        steps = dict(self._cursor.steps)
        new = []
        for row in rows:
            values = {name: value for name, value in row.values.items() if row.step > steps.get(name, -1)}
            steps |= dict.fromkeys(values, row.step)
            new += [replace(row, values=values)] if values else []
        if new:
            self._cursor.settled = False
            self._note()
            session.rows(new)
        self._cursor.steps, self._cursor.settled = steps, True
        self._note()
        self._waiting = []
        return sum(len(row.values) for row in new)

    def _finish(self, session: Session, told: telling.Told) -> int:
        """Tags, files and the model of a finished artifact, whose manifest says from then on where it is to be seen."""
        with _AMENDING:
            artifact.amend(self.folder, "trackers", {self.options.tracker: {"run": self._run.id, "run_id": session.run_id}})
        session.about({}, told.tags())
        count = 0
        for name, content in told.files():
            digest = hashlib.sha256(content).hexdigest()
            if self._cursor.files.get(name) != digest:
                session.file(secrets.redacted(name), content)
                self._cursor.files[name] = digest
                count += 1
        model = None if self._cursor.model else told.model()
        if model is not None:
            session.model(model)
            self._cursor.model = True
        self._note()
        return count

    def _note(self) -> None:
        cursor.write(self.folder, self.options.tracker, self._cursor)


def _clean(options: Options) -> Options:
    """Options without secrets: names and tags are sent too."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {secrets.redacted(key): clean(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return tuple(map(clean, value))
        return secrets.redacted(value) if isinstance(value, str) else value

    return options.model_copy(update=clean(options.model_dump()))


def _set_up(options: Options, root: Path) -> None:
    """Have the token where the tracker's library looks for it."""
    module = discovery.load("trackers", options.tracker)
    name, file = module.token(options), getattr(options, "token_file", None)
    if name and file:
        try:
            os.environ[name] = secrets.read(root / Path(file).expanduser())
        except OSError as error:
            raise UserError(f"run.trackers: token_file: {file} can't be read: {error.strerror}") from error


def why(options: Options, error: Exception) -> str:
    """What a person should read of a tracker's failure, without secrets."""
    if isinstance(error, ModuleNotFoundError):
        return f"{options.tracker}: the package `{error.name}` is not installed: pip install 'polar-tools[track]'"
    return secrets.redacted(f"{options.tracker}: {type(error).__name__}: {first_line(error)}")[:300]
