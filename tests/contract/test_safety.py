"""What a copy refuses before it writes anything: names that lead elsewhere, pickles where they aren't wanted; and its brakes."""

import json
import time
from pathlib import Path

import pytest

from tests.pulls import TOKEN, contents, found, hashes, outcome, pull, refused, write
from tests.stores import CLASSES, SMALL, Stores, environment
from tests.tiny import run

LEAVING = ("../over.txt", "folder/../../over.txt", "/tmp/over.txt", "./config.json", "folder//x.txt")
BAD_NAMES = (*LEAVING, "a\\b.txt", "bell\a.txt", "line\nbreak")
TARGETS = [name for name, store in CLASSES.items() if "receive" in store.can]
PICKLES = ("model.BIN", "weights.pt", "folder/data.pkl")


@pytest.mark.parametrize("target", TARGETS)
def test_names_that_are_no_plain_path_are_refused_for_every_target(stores: Stores, target: str, tmp_path: Path) -> None:
    """Also where a copy of the good names is there already."""
    source, place = stores["hub"], stores[target]
    good = pull(tmp_path, *source.publish(SMALL), *place.target(), **environment(source, place))
    assert good.returncode == 0, good.stderr
    place.forget()
    for name in BAD_NAMES:
        named = source.publish({**SMALL, "README.md": b"changed", name: b"x"})
        refused(pull(tmp_path, *named, *place.target(), **environment(source, place)), 1, repr(name))
    assert place.sent() == [] and hashes(place.received()) == hashes(SMALL)


@pytest.mark.parametrize("link", ["folder", "the file"])
def test_a_link_in_the_folder_leads_nothing_out_of_it(stores: Stores, link: str, tmp_path: Path) -> None:
    source = stores["hub"].publish(SMALL)
    outside = write(tmp_path / "outside", {"config.json": b"mine"})
    (tmp_path / "copy").mkdir()
    if link == "folder":
        (tmp_path / "copy" / "folder").symlink_to(outside)
        refused(pull(tmp_path, *source, **environment(stores["hub"])), 1, "copy/folder", "link")
        assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["folder"]
    else:
        (tmp_path / "copy" / "config.json").symlink_to(outside / "config.json")
        assert pull(tmp_path, *source, **environment(stores["hub"])).returncode == 0
        assert found(tmp_path / "copy") == hashes(SMALL) and not (tmp_path / "copy" / "config.json").is_symlink()
    assert contents(outside) == {"config.json": b"mine"}


def test_pickles_are_reported_and_refused_where_only_safetensors_are_wanted(stores: Stores, tmp_path: Path) -> None:
    hub = stores["hub"]
    source = hub.publish({**SMALL, **dict.fromkeys(PICKLES, b"pickled")})
    refused(pull(tmp_path, *source, "--safetensors-only", **hub.environment), 2, *PICKLES, "--ignore")
    assert not (tmp_path / "copy").exists()
    ignored = [word for pattern in ("*.BIN", "*.pt", "*.pkl") for word in ("--ignore", pattern)]
    done = pull(tmp_path, *source, "--safetensors-only", *ignored, **hub.environment)
    assert (done.returncode, done.stderr, found(tmp_path / "copy")) == (0, "", hashes(SMALL))
    done = pull(tmp_path, *source, "--manifest", "copy.json", **hub.environment)
    assert done.returncode == 0 and done.stderr.startswith("warning: pickle files") and len(done.stderr.splitlines()) == 1
    assert all(name in done.stderr for name in PICKLES)
    assert json.loads((tmp_path / "copy.json").read_bytes())["pickles"] == sorted(PICKLES)


@pytest.mark.parametrize("content", [b"", b"PK\3\4" * 9, b"\x80\4" * 9, b"\xff\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0"], ids=repr)
def test_what_only_calls_itself_safetensors_is_refused(stores: Stores, content: bytes, tmp_path: Path) -> None:
    source = stores["local"].publish({**SMALL, "fake.safetensors": content})
    refused(pull(tmp_path, *source, "--safetensors-only"), 2, "fake.safetensors")
    assert not (tmp_path / "copy").exists()


# Brakes


def test_the_bandwidth_is_kept_by_all_jobs_together(stores: Stores, tmp_path: Path) -> None:
    hub = stores["hub"]
    source = hub.publish({**SMALL, **{f"{number}.safetensors": bytes([number]) * 500_000 for number in range(6)}})
    began = time.monotonic()
    told = outcome(pull(tmp_path, *source, "--bandwidth", "1MB", "--jobs", "3", "--json", **hub.environment))
    assert told["copied"]["bytes"] > 3_000_000 and time.monotonic() - began > 2.5
    refused_option = pull(tmp_path, *source, "--bandwidth", "fast", **hub.environment)
    assert refused_option.returncode == 2 and "10MB" in refused_option.stderr


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_files_are_on_the_way_than_jobs(stores: Stores, jobs: int, tmp_path: Path) -> None:
    hub = stores.hub
    hub.commit("org/name", {f"{number}.txt": bytes([number]) * 1000 for number in range(6)})
    hub.slow_seconds = 0.4
    hub.fault("slow", "/resolve/", times=6)
    began = time.monotonic()
    told = outcome(pull(tmp_path, "--source", "org/name", "--jobs", str(jobs), "--json", **hub.environment(TOKEN)))
    assert told["copied"]["files"] == 6 and time.monotonic() - began > 0.4 * 6 / jobs


def test_nothing_is_drawn_where_no_terminal_is_and_bars_are_where_one_is(stores: Stores, tmp_path: Path) -> None:
    hub = stores["hub"]
    source = hub.publish({**SMALL, **{f"{number}.txt": b"x" * 1000 for number in range(5)}})
    done = pull(tmp_path, *source, **hub.environment)
    assert (done.returncode, done.stderr) == (0, "")
    command = " ".join(["stty cols 100 rows 30; polar-tools pull-push", *source, "--target ./again"])
    program = f"import os, pty; os._exit(os.waitstatus_to_exitcode(pty.spawn(['sh', '-c', {command!r}])))"
    shown = run("python", "-c", program, cwd=tmp_path, **hub.environment)
    assert shown.returncode == 0 and "files: 100%" in shown.stdout and "bytes: 100%" in shown.stdout, shown.stdout
