"""One contract for every pair of stores: a copy is exact, sends nothing twice, and deletes nothing that nobody asked it to."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hub_git import Blob
from tests.pulls import hashes, outcome, pull, refused
from tests.stores import CLASSES, SMALL, TREE, Store, Stores, environment
from tests.tiny import run

SOURCES = [name for name in CLASSES if name != "other"]
TARGETS = [name for name in SOURCES if "receive" in CLASSES[name].can]
PAIRS = [*((source, target) for source in SOURCES for target in TARGETS), ("hub", "other")]


@dataclass
class Pair:
    """A source and a target, with the command that copies the one into the other."""

    source: Store
    target: Store
    folder: Path
    named: list[str] = field(default_factory=list)

    def publish(self, files: dict[str, bytes]) -> None:
        self.named = self.source.publish(files)

    def copy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return pull(self.folder, *self.named, *self.target.target(), *arguments, **environment(self.source, self.target))

    def verify(self, manifest: str) -> subprocess.CompletedProcess[str]:
        environ = environment(self.source, self.target)
        return run("polar-tools", "verify", manifest, *self.target.access(), cwd=self.folder, **environ)

    def forget(self) -> None:
        self.source.forget()
        self.target.forget()

    def holds(self, files: dict[str, bytes]) -> None:
        assert hashes(self.target.received()) == hashes(files)


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def pair(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> Iterator[Pair]:
    source, target = request.param
    return Pair(stores[source], stores[target], tmp_path)


@pytest.fixture(params=[*TARGETS, "other"])
def from_hub(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> Pair:
    return Pair(stores["hub"], stores[request.param], tmp_path)


def test_a_copy_is_exact_and_sends_nothing_twice(pair: Pair, tmp_path: Path) -> None:
    pair.publish(TREE)
    planned = outcome(pair.copy("--dry-run", "--json"))["copied"]
    pair.holds({})
    first = outcome(pair.copy("--json", "--manifest", "copy.json"))
    pair.holds(TREE)
    assert first["copied"] == planned
    assert planned == {"files": len(TREE), "bytes": sum(map(len, TREE.values())), "paths": sorted(TREE)}

    written = (tmp_path / "copy.json").read_bytes()
    described(json.loads(written)["files"], TREE)
    pair.forget()
    assert outcome(pair.copy("--json", "--manifest", "copy.json"))["copied"]["files"] == 0
    assert (pair.target.sent(), pair.source.read()) == ([], [])
    assert (tmp_path / "copy.json").read_bytes() == written

    changed = {**TREE, "README.md": b"# Another one\n"}
    pair.publish(changed)
    pair.forget()
    assert outcome(pair.copy("--json"))["copied"]["paths"] == ["README.md"]
    assert len(pair.target.sent()) == 1, "one file, or one commit"
    pair.holds(changed)


def test_what_only_the_target_has_goes_when_that_is_asked_for(pair: Pair, tmp_path: Path) -> None:
    files = {**SMALL, "notes/first.md": b"1", "notes/draft.tmp": b"not to be copied"}
    wanted = {path: content for path, content in files.items() if path != "notes/draft.tmp"}
    pair.publish(files)
    told = outcome(pair.copy("--json", "--ignore", "*.tmp"))
    assert told["left_out"] == {"notes/draft.tmp": "*.tmp"}
    pair.holds(wanted)

    mine = {"extra/deep.txt": b"someone's", "mine.tmp": b"what the patterns leave out"}
    for path, content in mine.items():
        pair.target.change(path, content)
    assert outcome(pair.copy("--json", "--ignore", "*.tmp"))["deleted"] == []
    pair.holds(wanted | mine)
    assert outcome(pair.copy("--json", "--ignore", "*.tmp", "--delete-extra"))["deleted"] == ["extra/deep.txt"]
    pair.holds(wanted | {"mine.tmp": mine["mine.tmp"]})

    turned = {**SMALL, "notes": b"a file where the folder was"}
    turned["config.json/inside.json"] = turned.pop("config.json")
    pair.publish(turned)
    refused(pair.copy(), 2, "in the way", "--delete-extra")
    pair.holds(wanted | {"mine.tmp": mine["mine.tmp"]})
    assert outcome(pair.copy("--json", "--delete-extra"))["deleted"] == ["config.json", "mine.tmp", "notes/first.md"]
    pair.holds(turned)


def test_verify_names_what_someone_changed(from_hub: Pair, tmp_path: Path) -> None:
    from_hub.publish(SMALL)
    for name in ("one.json", "two.json"):
        assert from_hub.copy("--manifest", name).returncode == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    done = from_hub.verify("one.json")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr

    changes = {"config.json": b"{" + SMALL["config.json"][1:-2] + b" \n", "README.md": None, "new.txt": b"x"}
    assert len(changes["config.json"] or b"") == len(SMALL["config.json"]), "a change that no size betrays"
    for path, content in changes.items():
        from_hub.target.change(path, content)
    refused(from_hub.verify("one.json"), 1, "3 differences", "config.json: changed", "README.md: missing", "new.txt: added")


def test_patterns_choose_what_is_copied_and_the_manifest_tells(from_hub: Pair, tmp_path: Path) -> None:
    from_hub.publish({**SMALL, "onnx/a.bin": b"a", "onnx/b.txt": b"b", "onnx/c.log": b"c"})
    patterns = ["--allow", "onnx/", "--allow", "*.json", "--ignore", "*.log", "--ignore", "onnx/a*"]
    dry = from_hub.copy(*patterns, "--dry-run", "--delete-extra")
    assert dry.returncode == 0 and "copy onnx/b.txt\n" in dry.stdout and "a.bin" not in dry.stdout
    assert from_hub.copy(*patterns, "--manifest", "copy.json").returncode == 0
    received = from_hub.target.received()
    received.pop(".gitattributes", None)  # which a new repository of a Hub has without being asked
    assert received == {"config.json": SMALL["config.json"], "onnx/b.txt": b"b"}
    manifest = json.loads((tmp_path / "copy.json").read_bytes())
    assert manifest["left_out"] == {
        **dict.fromkeys([".gitattributes", "README.md", "folder/model.safetensors"], "--allow"),
        "onnx/a.bin": "onnx/a*",
        "onnx/c.log": "*.log",
    }
    assert list(manifest["files"]) == ["config.json", "onnx/b.txt"]
    refused(from_hub.copy("--allow", "*.gguf"), 2, "patterns leave none", str(len(SMALL) + 3))


def described(files: dict[str, dict[str, object]], wanted: dict[str, bytes]) -> None:
    """A manifest tells every file's size, sha256 and blob id: that of the content, or of the pointer where LFS keeps it."""
    assert {path: (about["size"], about["sha256"]) for path, about in files.items()} == {
        path: (len(wanted[path]), sha256) for path, sha256 in hashes(wanted).items()
    }
    for path, about in files.items():
        pointer, content = Blob.large(str(about["sha256"]), len(wanted[path])), Blob.regular(wanted[path])
        assert about["blob_id"] == (pointer if about["lfs"] or len(wanted[path]) > 10_000_000 else content).oid, path
