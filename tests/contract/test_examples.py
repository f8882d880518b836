"""The programs in examples/ do what they say, as a person runs them."""

import json
from collections.abc import Iterator

import pytest

from tests import hub_server
from tests.hub_server import Hub
from tests.tiny import REPOSITORY, run

WEIGHTS = b"\x02\0\0\0\0\0\0\0{}" + bytes(1000)
README = b"---\nsdk: static\n---\n# A demo\n"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server.running() as hub:
        yield hub


def example(hub: Hub, folder, name: str, *arguments: str):
    return run("python", str(REPOSITORY / "examples" / name), *arguments, cwd=folder, **hub.environment("hf_user"))


def test_model(hub, tmp_path):
    hub.commit("org/name", {"config.json": b"{}", "model.safetensors": WEIGHTS, "tf_model.h5": b"h5", "pytorch_model.bin": b"pickle"})
    done = example(hub, tmp_path, "mirror_model.py", "org/name", "user/copy")
    assert (done.returncode, done.stdout.strip()) == (0, f"{hub.endpoint}/user/copy"), done.stderr
    copied = hub.files("user/copy")
    assert copied["model.safetensors"] == WEIGHTS and {*copied} - {".gitattributes"} == {"config.json", "model.safetensors"}


def test_dataset(hub, tmp_path):
    files = {"data/train.csv": b"a,b\n1,2\n", "README.md": b"# Reviews\n"}
    hub.commit("org/reviews", files, kind="datasets", readers={"hf_user"})
    done = example(hub, tmp_path, "mirror_dataset.py", "org/reviews", "user/reviews", "reviews.json")
    assert done.returncode == 0, done.stderr
    assert files.items() <= hub.files("user/reviews", kind="datasets").items()
    assert hub.repositories["datasets/user/reviews"].readers == {"hf_user"}
    assert {*files} <= {*json.loads((tmp_path / "reviews.json").read_text())["files"]}
    verified = run("polar-tools", "verify", "reviews.json", cwd=tmp_path, **hub.environment("hf_user"))
    assert verified.returncode == 0, verified.stderr


def test_space(hub, tmp_path):
    for files in ({"README.md": README, "old.html": b"old"}, {"README.md": README, "index.html": b"<p>new</p>"}):
        hub.commit("org/demo", files, kind="spaces")
        done = example(hub, tmp_path, "mirror_space.py", "org/demo", "user/demo")
        assert done.returncode == 0, done.stderr
        copied = hub.files("user/demo", kind="spaces")
        assert {path: content for path, content in copied.items() if path != ".gitattributes"} == files


@pytest.mark.parametrize("name", ["mirror_model.py", "mirror_dataset.py", "mirror_space.py"])
def test_without_arguments_each_says_how_it_is_run(name, hub, tmp_path):
    done = example(hub, tmp_path, name)
    assert done.returncode == 1 and f"python examples/{name}" in done.stderr


def test_what_fails_is_said_in_words(hub, tmp_path):
    done = example(hub, tmp_path, "mirror_space.py", "org/nothing", "user/demo")
    assert done.returncode == 1 and "org/nothing" in done.stderr and "Traceback" not in done.stderr
