"""Copy a snapshot to a target until both listings say the same: nothing twice, in commits of a bounded size, by several threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TypeVar

from polar_tools.errors import IntegrityError, UserError
from polar_tools.storage.base import COMMIT_FILES, INLINE, Entry, Snapshot, Target
from polar_tools.transfer.content import Passage
from polar_tools.transfer.difference import Difference, compare
from polar_tools.transfer.progress import Progress
from polar_tools.transfer.selection import Selection, leaves_out, refuse_pickles, select

T = TypeVar("T")

COMMIT_BYTES = 2 * INLINE
"""Bytes of small files that are held until they are committed."""
ROUNDS = 3
"""How often what the target then lists may still differ before the copy gives up."""
FIRST = ".gitattributes"
"""Committed before all else: it tells a Hub which of the other files are large."""


@dataclass(frozen=True)
class Wishes:
    """What a person asks of a copy; patterns as `--allow` and `--ignore` take them."""

    allow: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    delete_extra: bool = False
    safetensors_only: bool = False
    jobs: int = 4

    def leave_out(self, path: str) -> bool:
        """Whether the patterns keep `path` out of the copy, on either side."""
        return leaves_out(path, self.allow, self.ignore) is not None


@dataclass
class Outcome:
    """What a copy did: every file of the selection with its hashes, and the paths that were sent and deleted."""

    selection: Selection
    source: dict[str, str]
    files: dict[str, Entry]
    target: dict[str, str] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    extra: set[str] = field(default_factory=set)

    @property
    def there(self) -> set[str]:
        """What was there already, and left alone."""
        return self.files.keys() - self.sent - self.taken

    def size(self, paths: Iterable[str]) -> int:
        """Bytes of some of the files."""
        return sum(self.files[path].size for path in paths)


class Copy:
    """One snapshot on its way to one target."""

    def __init__(self, snapshot: Snapshot, target: Target, wishes: Wishes, progress: Progress) -> None:
        self._snapshot, self._target, self._wishes, self._progress = snapshot, target, wishes, progress
        self._delete = wishes.delete_extra
        self._jobs = 1 if snapshot.sequential else wishes.jobs
        selection = select(snapshot, wishes.allow, wishes.ignore)
        if wishes.safetensors_only:
            refuse_pickles(snapshot, selection)
        target.refuse(selection.entries)
        self.outcome = Outcome(selection, snapshot.identity, {entry.path: entry for entry in selection.entries})

    def plan(self) -> Outcome:
        """What `run` would do, without doing any of it."""
        difference = self._compare()
        self._blocking(difference)
        self.outcome.sent = {entry.path for entry in difference.missing}
        self._sort_extra(difference)
        self.outcome.target = self._target.identity
        return self.outcome

    def run(self) -> Outcome:
        """Copy what is missing, list the target again, and end only when nothing differs.

        Raises IntegrityError where the target doesn't come to agree, UserError for what only the person can decide.
        """
        if self._target.create(self._snapshot, whole=not self.outcome.selection.left_out):
            self._delete = True  # nothing of anyone's is there yet, only what the store put there itself
        for _ in range(ROUNDS):
            difference = self._compare()
            if not difference.missing and not (self._delete and difference.extra):
                self.outcome.extra = {entry.path for entry in (*difference.extra, *difference.kept)}
                self.outcome.target = self._target.identity
                return self.outcome
            self._work(difference)
        raise IntegrityError(
            f"{self._target.url} still differs after {ROUNDS} rounds ({_some(difference)}); does someone else write there?"
        )

    def _compare(self) -> Difference:
        return compare(self.outcome.files.values(), self._target.entries(), self._protected, self._read, self._target.hashed, self._jobs)

    def _protected(self, path: str) -> bool:
        return path in self._target.own_files or self._wishes.leave_out(path)

    def _work(self, difference: Difference) -> None:
        if blocking := self._blocking(difference):
            self._target.commit([], blocking)
        self._send([entry for entry in difference.missing if entry.path == FIRST])
        taken = {entry.path: entry for entry in self._target.take(self._snapshot, difference.missing)}
        self.outcome.taken |= taken.keys()
        self._send([entry for entry in difference.missing if entry.path != FIRST and entry.path not in taken])
        self._sort_extra(difference)
        for some in _lots(sorted(self.outcome.deleted - set(blocking))):
            self._target.commit([], some)

    def _blocking(self, difference: Difference) -> list[str]:
        """Files that must go before others can come; raises UserError where they may not go."""
        blocking = [entry.path for entry in difference.in_the_way]
        if blocking and not self._delete:
            raise UserError(f"{self._target.url} has {blocking[0]}, which is in the way; --delete-extra removes it")
        return blocking

    def _sort_extra(self, difference: Difference) -> None:
        paths = {entry.path for entry in difference.extra}
        if self._delete:
            self.outcome.deleted |= paths
        else:
            self.outcome.extra = paths

    def _send(self, entries: Sequence[Entry]) -> None:
        """Put files by several threads; commit whenever enough of them are through, while the others go on."""
        if not entries:
            return
        self._progress.start(len(entries), sum(entry.size for entry in entries))
        self._target.expect(entries)
        waiting, running = deque(entries), set[Future[Entry]]()
        done: list[Entry] = []
        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < self._jobs:
                        running.add(pool.submit(self._put, waiting.popleft()))
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    done += [future.result() for future in finished]
                    while len(done) >= COMMIT_FILES or sum(entry.size for entry in done if not entry.lfs) >= COMMIT_BYTES:
                        self._commit(done[:COMMIT_FILES])
                        done = done[COMMIT_FILES:]
            except BaseException:
                self._progress.stop()
                raise
        if done:
            self._commit(done)

    def _put(self, entry: Entry) -> Entry:
        if self._target.named_by_content and entry.sha256 is None and entry.size > INLINE:
            entry = self._read(entry)
        seen = self._target.put(Passage(self._snapshot, entry, self._progress))
        self._progress.finished()
        return seen

    def _commit(self, entries: list[Entry]) -> None:
        self._target.commit(entries)
        self._learn(entries)
        self.outcome.sent |= {entry.path for entry in entries}

    def _learn(self, entries: Iterable[Entry]) -> None:
        """Keep the hashes of `entries`; whether git LFS has a file stays what the source says, for a second run asks only there."""
        for entry in entries:
            own = self.outcome.files[entry.path]
            git_sha1 = own.git_sha1 or (entry.git_sha1 if own.in_git else None)
            self.outcome.files[entry.path] = replace(own, sha256=own.sha256 or entry.sha256, git_sha1=git_sha1)

    def fill(self, known: Mapping[str, Entry]) -> None:
        """Let every file of the outcome have its hashes: what isn't known (see `known`) is read."""
        self._learn([known[path] for path, entry in self.outcome.files.items() if path in known and entry.agrees(known[path])])
        missing = [entry for entry in self.outcome.files.values() if not entry.sha256 or (entry.in_git and not entry.git_sha1)]
        with ThreadPoolExecutor(self._jobs) as pool:
            list(pool.map(self._read, missing))

    def _read(self, entry: Entry) -> Entry:
        """The entry with its hashes, for which all of it has to come by."""
        passage = Passage(self._snapshot, entry, Progress())
        for _ in passage.read():
            self._progress.moved(0)
        self.outcome.files[entry.path] = passage.seen
        return passage.seen


def _lots(things: Sequence[T]) -> Iterator[Sequence[T]]:
    return (things[start : start + COMMIT_FILES] for start in range(0, len(things), COMMIT_FILES))


def _some(difference: Difference) -> str:
    return ", ".join(entry.path for entry in (*difference.missing, *difference.extra)[:3])
