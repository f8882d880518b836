"""Copying a snapshot: names, bytes, what is left when something goes wrong, what need not be read again."""

import hashlib
from pathlib import Path

import pytest

from polar_tools.errors import IntegrityError, PolarError, StorageError
from polar_tools.stages import mirror
from polar_tools.storage.base import Entry, Snapshot


def snapshot(files: dict[str, bytes], **sent: bytes) -> Snapshot:
    """A source that promises `files` and sends, for a name without its suffix in `sent`, other bytes."""
    entries = tuple(Entry(name, len(body), hashlib.sha256(body).hexdigest()) for name, body in files.items())
    return Snapshot({}, entries, lambda entry: iter([sent.get(Path(entry.path).stem, files[entry.path])]))


def found(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "names",
    [
        ["/etc/passwd"],
        ["../over"],
        ["a/../../over"],
        ["..\\over"],
        ["./a"],
        ["a//b"],
        ["a/"],
        ["line\nbreak"],
        ["not-text-\udcff"],
        ["README.md", "readme.md"],
        ["Data/a", "data/b"],
        ["a", "a/b"],
        ["\uac00.txt", "\u1100\u1161.txt"],  # one Korean letter, written in two ways
    ],
)
def test_names_that_some_disk_would_take_for_something_else_are_refused(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(IntegrityError) as caught:
        mirror.copy(snapshot(dict.fromkeys(names, b"x")), tmp_path / "copy")
    str(caught.value).encode()  # can be printed
    assert not (tmp_path / "copy").exists()


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    files = {"한" * 85: b"255 bytes", ".part": b"a name like that of an unfinished file"}
    mirror.copy(snapshot(files), tmp_path / "copy")
    assert found(tmp_path / "copy") == files


def test_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        mirror.copy(snapshot({}), tmp_path)


@pytest.mark.parametrize("sent", [b"", b"long enougH", b"long enough and more"])
def test_wrong_bytes_get_no_name_and_older_ones_keep_theirs(sent: bytes, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "b").write_bytes(b"from before")
    with pytest.raises(IntegrityError, match="b: the source sent"):
        mirror.copy(snapshot({"a": b"whole", "b": b"long enough"}, b=sent), tmp_path / "copy")
    assert found(tmp_path / "copy") == {"a": b"whole", "b": b"from before"}


def test_what_is_there_is_not_read_again_and_what_was_damaged_is(tmp_path: Path) -> None:
    files = {"same": b"same", "damaged": b"as it should be", "missing": b"new"}
    mirror.copy(snapshot({name: files[name] for name in ("same", "damaged")}), tmp_path)
    (tmp_path / "damaged").write_bytes(b"as it shoulD be")
    mirror.copy(snapshot(files, same=b"would be refused"), tmp_path)
    assert found(tmp_path) == files


def test_the_stage_leaves_nothing_of_an_older_state(tmp_path: Path) -> None:
    def run(source: str) -> None:
        mirror.run(mirror.MirrorSpec(source=f"file://{tmp_path / source}"), tmp_path / "artifact")

    for name in ("old/folder/file", "old/stays", "new/folder", "new/stays"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    run("old")
    (tmp_path / "artifact" / "snapshot" / ".123.part").write_text("a kill leaves this")
    run("new")
    assert found(tmp_path / "artifact" / "snapshot") == {"folder": b"new/folder", "stays": b"new/stays"}


def test_a_link_that_leads_nowhere_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("here")
    (tmp_path / "source" / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(PolarError, match="link"):
        mirror.run(mirror.MirrorSpec(source=f"file://{tmp_path / 'source'}"), tmp_path / "artifact")
