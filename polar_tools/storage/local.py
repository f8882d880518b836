"""file://PATH: a file or folder of this machine; a path without a leading slash is below the working directory."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from threading import get_ident

from polar_tools.errors import ConfigError, IntegrityError
from polar_tools.storage.base import CHUNK, Access, Content, Entry, Hashes, Placement, Snapshot, Target, refuse_full_disk

SCHEME = "file"
UNFINISHED = ".polar-part-"
"""How the names of files begin that are being written where the disk knows no nameless ones."""


def check(source: str, sha256: str | None) -> None:
    """Raise ConfigError where there is no such file or folder, or nothing in it."""
    if sha256 is not None:
        raise ConfigError(f"`{source}`: sha256 is for pypi:// sources; a local file is hashed whenever it is read")
    if not local_files(source):
        what = "no files in the folder" if _path(source).is_dir() else "no file"
        raise ConfigError(f"`{source}`: there is {what} {_path(source)} (looked for in {Path.cwd()})")


def local_files(source: str) -> list[Path]:
    """The file itself, or every file below the folder except git's own. Links to files count as files.

    Raises ConfigError for a link to a folder or to nothing, rather than leave out what it stands for.
    """
    path = _path(source)
    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob("*") if ".git" not in file.relative_to(path).parts)
    if lost := [file for file in found if file.is_symlink() and not file.is_file()]:
        raise ConfigError(f"`{source}`: {lost[0]} is a link that leads to no file; put what it stands for in its place")
    return [file for file in found if file.is_file()]


@contextmanager
def open(source: str, sha256: str | None, access: Access) -> Iterator[Snapshot]:
    """The files as they are now."""
    check(source, sha256)
    root = _path(source) if _path(source).is_dir() else _path(source).parent
    entries = tuple(Entry(file.relative_to(root).as_posix(), file.stat().st_size) for file in local_files(source))
    yield Snapshot({"source": source}, entries, lambda entry, start: _read(root / entry.path, start))


@contextmanager
def receive(target: str, access: Access, placement: Placement) -> Iterator[Target]:
    """The folder, made when the first file comes."""
    if placement.private:
        raise ConfigError(f"`{target}`: --private is for repositories of a Hub; who may read a folder, its rights say")
    if _path(target).exists() and not _path(target).is_dir():
        raise ConfigError(f"`{target}` is a file; a copy needs a folder")
    yield Folder(_path(target))


class Folder(Target):
    """A folder of this machine. A file has no name in it before it is whole."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.url = f"file://{root}"
        self._known: dict[str, tuple[tuple[int, ...], Entry]] = {}

    def entries(self) -> tuple[Entry, ...]:
        """Every file except git's own; what an earlier run left unfinished goes."""
        found = sorted(path for path in self._root.rglob("*") if ".git" not in path.relative_to(self._root).parts)
        for path in found:
            if path.name.startswith(UNFINISHED):
                path.unlink(missing_ok=True)
        return tuple(
            self._entry(path) for path in found if not path.name.startswith(UNFINISHED) and (path.is_symlink() or not path.is_dir())
        )

    def hashed(self, entry: Entry) -> Entry | None:
        """The entry with its hashes, read anew only where the file has changed since."""
        path = self._root / entry.path
        hashes = Hashes(entry)
        for chunk in _read(path, 0):
            hashes.update(chunk)
        return hashes.known(entry)

    def refuse(self, entries: Sequence[Entry]) -> None:
        """Raise IntegrityError for names that this disk takes for one, and for a way that leads out of the folder through a link."""
        refuse_clashes((entry.path for entry in entries), blind_to(self._root))
        folders = {folder for entry in entries for folder in PurePosixPath(entry.path).parents}
        if links := sorted(folder for folder in folders if (self._root / folder).is_symlink() and folder != PurePosixPath()):
            raise IntegrityError(f"{self._root / links[0]} is a link, and would lead what belongs below it elsewhere; remove it")

    def expect(self, entries: Sequence[Entry]) -> None:
        """Raise WorldError where the disk is too small."""
        self._root.mkdir(parents=True, exist_ok=True)
        refuse_full_disk(self._root, sum(entry.size for entry in entries))

    def put(self, content: Content) -> Entry:
        """Write a file that gets its name when it is whole."""
        path = self._root / content.entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _write_nameless(path, content):
            _write_hidden(path, content)
        self._known[content.entry.path] = (_signature(path), content.seen)
        return content.seen

    def commit(self, added: Sequence[Entry], removed: Sequence[str] = ()) -> None:
        """Remove files, and the folders that they leave empty."""
        for name in removed:
            path = self._root / name
            path.unlink(missing_ok=True)
            with suppress(OSError):  # the first folder that isn't empty ends it
                for folder in list(path.parents)[: name.count("/")]:
                    folder.rmdir()

    def _entry(self, path: Path) -> Entry:
        name = path.relative_to(self._root).as_posix()
        signature, known = self._known.get(name, ((), None))
        if path.is_symlink():
            return Entry(name, -1)  # never the same as anything: a copy holds files
        return known if known is not None and signature == _signature(path) else Entry(name, path.stat().st_size)


def _read(path: Path, start: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while chunk := file.read(CHUNK):
            yield chunk


def _write_nameless(path: Path, content: Content) -> bool:
    """Write into a file without a name, which is gone when its writer is killed; False where the disk knows no such thing."""
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except (OSError, AttributeError):
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(content.read())
        file.flush()
        unnamed = f"/proc/self/fd/{descriptor}"
        try:
            os.link(unnamed, path, src_dir_fd=descriptor)  # only with a dir_fd does Python follow the link
        except FileExistsError:  # a link can't take the place of a file, only a renamed file can
            other = path.with_name(f"{UNFINISHED}{os.getpid()}-{descriptor}")
            os.link(unnamed, other, src_dir_fd=descriptor)
            other.replace(path)
    return True


def _write_hidden(path: Path, content: Content) -> None:
    # Not named after the file, whose name may be as long as a name can be.
    hidden = path.with_name(f"{UNFINISHED}{os.getpid()}-{get_ident()}")
    try:
        with hidden.open("wb") as file:
            file.writelines(content.read())
        hidden.replace(path)
    finally:
        hidden.unlink(missing_ok=True)


def blind_to(folder: Path) -> set[str]:
    """What the disk of `folder` doesn't see in a name: "case" of letters, "form" of composed ones (é is one letter or two)."""
    while not folder.is_dir():
        folder = folder.parent
    descriptor, name = tempfile.mkstemp(prefix=f"{UNFINISHED}Aé", dir=folder)
    os.close(descriptor)
    try:
        others = {"case": Path(name).with_name(Path(name).name.swapcase()), "form": Path(unicodedata.normalize("NFD", name))}
        return {what for what, other in others.items() if other.exists()}
    finally:
        Path(name).unlink()


def refuse_clashes(names: Iterable[str], blind: set[str]) -> None:
    """Raise IntegrityError for two names that are one where letters aren't told apart, and for a file in the place of a folder."""
    seen: dict[str, str] = {}
    for path in map(PurePosixPath, names):
        for name in (str(path), *(f"{folder}/" for folder in list(path.parents)[:-1])):
            key = unicodedata.normalize("NFC", name) if "form" in blind else name
            other = seen.setdefault((key.lower() if "case" in blind else key).rstrip("/"), name)
            if other != name:
                raise IntegrityError(f"the source names both {other!r} and {name!r}, which this disk can't tell apart")


def _signature(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _path(source: str) -> Path:
    path = source.removeprefix("file://")
    if not path:
        raise ConfigError(f"`{source}` is not of the form file://PATH")
    return Path(path)
