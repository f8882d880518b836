"""file://PATH: a file or folder of this machine; a path without a leading slash is below the working directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polar_tools.errors import ConfigError
from polar_tools.storage.base import CHUNK, Entry, Snapshot

SCHEME = "file"


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
def open(source: str, sha256: str | None) -> Iterator[Snapshot]:
    """The files as they are now."""
    check(source, sha256)
    root = _path(source) if _path(source).is_dir() else _path(source).parent
    entries = tuple(Entry(file.relative_to(root).as_posix(), file.stat().st_size) for file in local_files(source))

    def read(entry: Entry) -> Iterator[bytes]:
        with (root / entry.path).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    yield Snapshot({"source": source}, entries, read)


def _path(source: str) -> Path:
    path = source.removeprefix("file://")
    if not path:
        raise ConfigError(f"`{source}` is not of the form file://PATH")
    return Path(path)
