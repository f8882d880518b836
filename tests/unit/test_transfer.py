"""Copying a snapshot into a folder: names, bytes, what is left when something goes wrong, what need not be read again."""

import hashlib
from pathlib import Path

import pytest

from polar_tools.errors import IntegrityError, PolarError
from polar_tools.stages import mirror
from polar_tools.storage.base import Entry, Snapshot
from polar_tools.storage.local import UNFINISHED, Folder, refuse_clashes
from polar_tools.transfer.copying import Copy, Outcome, Wishes
from polar_tools.transfer.progress import Progress


def snapshot(files: dict[str, bytes], **sent: bytes) -> Snapshot:
    """A source that promises `files` and sends, for a name without its suffix in `sent`, other bytes."""
    entries = tuple(Entry(name, len(body), hashlib.sha256(body).hexdigest()) for name, body in files.items())
    return Snapshot({}, entries, lambda entry, start: iter([sent.get(Path(entry.path).stem, files[entry.path])[start:]]))


def copy(source: Snapshot, target: Path, **wishes: bool) -> Outcome:
    return Copy(source, Folder(target), Wishes(**wishes), Progress()).run()


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
        ["a", "a/b"],
    ],
)
def test_names_that_would_lead_elsewhere_are_refused(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(IntegrityError) as caught:
        copy(snapshot(dict.fromkeys(names, b"x")), tmp_path / "copy")
    str(caught.value).encode()  # can be printed
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("blind", "names"),
    [
        ("case", ["README.md", "readme.md"]),
        ("case", ["Data/a", "data/b"]),
        ("form", ["\uac00.txt", "\u1100\u1161.txt"]),  # one Korean letter, written in two ways
    ],
)
def test_names_are_two_only_where_the_disk_tells_them_apart(blind: str, names: list[str], tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="can't tell apart"):
        refuse_clashes(names, {blind})
    copy(snapshot(dict.fromkeys(names, b"x")), tmp_path)  # this one does
    assert found(tmp_path).keys() == set(names)


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    files = {"한" * 85: b"255 bytes", ".part": b"a name like any other"}
    copy(snapshot(files), tmp_path / "copy")
    assert found(tmp_path / "copy") == files


def test_an_empty_source_is_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(PolarError, match="no files"):
        mirror.run(mirror.MirrorSpec(source=f"file://{tmp_path / 'source'}"), tmp_path / "artifact")


@pytest.mark.parametrize("sent", [b"", b"long enougH", b"long enough and more"])
def test_wrong_bytes_get_no_name_and_older_ones_keep_theirs(sent: bytes, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "b").write_bytes(b"from before")
    with pytest.raises(IntegrityError, match="b: the source sent"):
        copy(snapshot({"a": b"whole", "b": b"long enough"}, b=sent), tmp_path / "copy")
    assert found(tmp_path / "copy") == {"b": b"from before"} | ({"a": b"whole"} if (tmp_path / "copy" / "a").exists() else {})


def test_what_is_there_is_not_read_again_and_what_was_damaged_is(tmp_path: Path) -> None:
    files = {"same": b"same", "damaged": b"as it should be", "missing": b"new"}
    copy(snapshot({name: files[name] for name in ("same", "damaged")}), tmp_path)
    (tmp_path / "damaged").write_bytes(b"as it shoulD be")
    copy(snapshot(files, same=b"would be refused"), tmp_path)
    assert found(tmp_path) == files


def test_the_stage_leaves_nothing_of_an_older_state(tmp_path: Path) -> None:
    def run(source: str) -> None:
        mirror.run(mirror.MirrorSpec(source=f"file://{tmp_path / source}"), tmp_path / "artifact")

    for name in ("old/folder/file", "old/stays", "new/folder", "new/stays"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    run("old")
    (tmp_path / "artifact" / "snapshot" / f"{UNFINISHED}123").write_text("a kill leaves this")
    run("new")
    assert found(tmp_path / "artifact" / "snapshot") == {"folder": b"new/folder", "stays": b"new/stays"}


def test_a_link_that_leads_nowhere_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("here")
    (tmp_path / "source" / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(PolarError, match="link"):
        mirror.run(mirror.MirrorSpec(source=f"file://{tmp_path / 'source'}"), tmp_path / "artifact")


def test_a_folder_that_is_a_link_leads_nothing_out_of_the_target(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "copy" / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="link"):
        copy(snapshot({"data/a": b"x"}), tmp_path / "copy")
    assert found(tmp_path / "elsewhere") == {}


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "copy" / "a").symlink_to(tmp_path / "mine")
    copy(snapshot({"a": b"mine"}), tmp_path / "copy")
    assert not (tmp_path / "copy" / "a").is_symlink()
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_a_file_in_the_way_of_a_folder_goes_only_when_told_so(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(PolarError, match="--delete-extra"):
        copy(snapshot({"a/b": b"x"}), tmp_path)
    assert found(tmp_path) == {"a": b"mine"}
    assert copy(snapshot({"a/b": b"x"}), tmp_path, delete_extra=True).deleted == {"a"}
    copy(snapshot({"a": b"x"}), tmp_path, delete_extra=True)
    assert found(tmp_path) == {"a": b"x"}
