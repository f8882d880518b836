"""What a Hub keeps of a repository: files, commits, branches and tags, with git's own ids of blobs and trees, and `.gitattributes`."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache

LFS_SUFFIXES = """
7z arrow bin bz2 ckpt ftz gz h5 joblib lfs.* mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt pth rar safetensors
tar tar.* tflite tgz wasm xz zip zst
"""
MEDIA_SUFFIXES = "lz4 mds pcm sam raw aac flac mp3 ogg wav bmp gif png tiff jpg jpeg webp mp4 webm"
TRACKED = "filter=lfs diff=lfs merge=lfs -text\n"
_number = itertools.count()


def attributes(kind: str) -> bytes:
    """The `.gitattributes` that a new repository is given."""
    suffixes = f"{LFS_SUFFIXES} {MEDIA_SUFFIXES if kind == 'datasets' else ''}"
    patterns = [*(f"*.{suffix}" for suffix in suffixes.split()), "saved_model/**/*", "*tfevents*"]
    return "".join(f"{pattern} {TRACKED}" for pattern in patterns).encode()


def tracks(text: bytes, path: str) -> bool:
    """Whether a `.gitattributes` gives the file to LFS: the last line that speaks of it does."""
    return next((lfs for pattern, lfs in reversed(_rules(text)) if pattern.fullmatch(path)), False)


def tracking(text: bytes, path: str) -> bytes:
    """The `.gitattributes` with one more line, which gives the file to LFS."""
    escaped = re.sub(r"([*?\[\\])", r"\\\1", path).replace(" ", "[[:space:]]")
    return text + b"\n" * (not text.endswith(b"\n") and text != b"") + f"{escaped} {TRACKED}".encode()


def ignores(text: str, path: str) -> bool:
    """Whether a `.gitignore` hides the file, or a folder that it is in."""
    parents = ["/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 2)]
    ignored = False
    for line in text.splitlines():
        pattern = line.strip().removeprefix("!").rstrip("/")
        if pattern and not line.startswith("#") and any(_glob(pattern).fullmatch(parent) for parent in parents):
            ignored = not line.startswith("!")
    return ignored


@lru_cache(maxsize=64)
def _rules(text: bytes) -> list[tuple[re.Pattern[str], bool]]:
    rules = []
    for line in text.decode("utf-8", "replace").splitlines():
        pattern, *settings = line.split() or [""]
        filters = [setting for setting in settings if "filter" in setting]
        if filters and not pattern.startswith("#"):
            rules.append((_glob(pattern), filters[-1] == "filter=lfs"))
    return rules


def _glob(pattern: str) -> re.Pattern[str]:
    """A pattern of git: one without a slash holds in each folder."""
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    text = "" if "/" in pattern else "(?:.*/)?"
    for token in re.findall(r"\*\*/|\*\*|\[[!^]?\]?(?:\[:\w+:\]|[^\]])*\]|\\.|.", pattern.removeprefix("/")):
        if token.startswith("[") and len(token) > 1:
            text += "[" + re.sub("^!", "^", token[1:-1]).replace("[:space:]", r"\s") + "]"
        else:
            text += special.get(token) or re.escape(token.removeprefix("\\") if len(token) > 1 else token)
    return re.compile(text, re.DOTALL)


@dataclass(frozen=True)
class Blob:
    """A file in a commit. That of an LFS file is a pointer in git, and its content lies in the store of large files."""

    oid: str
    size: int
    content: bytes = field(default=b"", repr=False)
    sha256: str = ""
    pointer_size: int = 0

    @classmethod
    def regular(cls, content: bytes) -> "Blob":
        return cls(git_id("blob", content), len(content), content)

    @classmethod
    def large(cls, sha256: str, size: int) -> "Blob":
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return cls(git_id("blob", pointer), size, sha256=sha256, pointer_size=len(pointer))


def git_id(what: str, content: bytes) -> str:
    """The id that git gives an object."""
    return hashlib.sha1(f"{what} {len(content)}\0".encode() + content).hexdigest()


@dataclass
class Commit:
    """All files of a moment, and how it came to it."""

    files: dict[str, Blob]
    parent: str | None = None
    title: str = "Upload"
    message: str = ""
    author: str = "system"
    date: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def id(self) -> str:
        about = [self.parent, self.title, self.message, self.author, self.when, next(_number)]
        return git_id("commit", json.dumps([about, [(path, blob.oid) for path, blob in self.files.items()]]).encode())

    @property
    def when(self) -> str:
        return self.date.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @cached_property
    def folders(self) -> dict[str, str]:
        """Each folder with its id, in order; "" is the top."""
        inside: dict[str, dict[str, tuple[str, str]]] = {"": {}}
        for path, blob in self.files.items():
            folder, _, name = path.rpartition("/")
            inside.setdefault(folder, {})[name] = ("100644", blob.oid)
            while folder and folder.rpartition("/")[0] not in inside:
                folder = folder.rpartition("/")[0]
                inside[folder] = {}
        ids = {}
        for path in sorted(inside, key=lambda path: (path != "", path.count("/")), reverse=True):
            entries = inside[path].items()
            ordered = sorted(entries, key=lambda entry: (entry[0] + "/" * (entry[1][0] == "40000")).encode())
            ids[path] = git_id("tree", b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(oid) for name, (mode, oid) in ordered))
            if path:
                folder, _, name = path.rpartition("/")
                inside[folder][name] = ("40000", ids[path])
        return {path: ids[path] for path in sorted(ids)}

    @cached_property
    def paths(self) -> list[str]:
        """Folders, then files."""
        return [*(path for path in self.folders if path), *sorted(self.files)]


@dataclass
class Repository:
    """Commits by id, and commits by branch or tag.

    `readers` are the tokens that may see it (None: everyone), `accepted` those that may read its files where it is gated,
    `lfs` the large objects that it knows, with their sizes.
    """

    kind: str = "models"
    id: str = ""
    readers: set[str] | None = None
    gated: bool | str = False
    accepted: set[str] = field(default_factory=set)
    sdk: str = "static"
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    lfs: dict[str, int] = field(default_factory=dict)

    def at(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag, or an id of seven characters or more means."""
        short = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        named = self.refs.get(short) or self.tags.get(short) or revision
        if re.fullmatch("[0-9a-f]{7,39}", named):
            named = next((commit for commit in self.commits if commit.startswith(named)), named)
        return self.commits.get(named)

    def add(self, ref: str, commit: Commit) -> Commit:
        """Make it the newest commit of a branch."""
        self.commits[commit.id] = commit
        self.refs[ref] = commit.id
        return commit

    def history(self, commit: Commit | None) -> Iterator[Commit]:
        """The commit and those before it."""
        while commit is not None:
            yield commit
            commit = self.commits.get(commit.parent or "")

    def last_change(self, commit: Commit, path: str) -> Commit:
        """The commit that made the file or folder what it is."""
        now = _id_at(commit, path)
        history = itertools.takewhile(lambda past: _id_at(past, path) == now, self.history(commit))
        return list(history)[-1]


def _id_at(commit: Commit, path: str) -> str | None:
    return commit.files[path].oid if path in commit.files else commit.folders.get(path)
