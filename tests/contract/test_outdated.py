"""`polar-tools outdated` against a Hub, a package index, an S3 server and this disk: what moved on is named, and nothing else."""

import json
from pathlib import Path

import pytest

from tests.package_index import wheel
from tests.pulls import TOKEN
from tests.stores import Stores, environment
from tests.tiny import run

CONFIG = """\
models:
  moving: {{source: hf://org/moving@main}}
  pinned: {{source: hf://org/moving@{commit}}}
datasets:
  packed: {{source: pypi://thing==1.0/thing, sha256: {sha256}, columns: {{text: a}}}}
  stored: {{source: s3://{bucket}/source, columns: {{text: a}}}}
  here: {{source: file://rows.csv, columns: {{text: a}}}}
"""
ROWS = {"rows.csv": b"a,b\n1,2\n3,4\n"}


def test_what_moved_on_is_named(stores: Stores, tmp_path: Path) -> None:
    hub, index, s3 = stores.hub, stores["pypi"], stores["s3"]
    commit = hub.commit("org/moving", {"config.json": b"{}", "README.md": b"one"}, readers={TOKEN})
    sha256 = stores.index.add(*wheel("thing", "1.0", {"thing/rows.csv": ROWS["rows.csv"]}))
    s3.publish(ROWS)
    (tmp_path / "rows.csv").write_bytes(ROWS["rows.csv"])
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(CONFIG.format(commit=commit, sha256=sha256, bucket=s3.bucket), encoding="utf-8")
    surroundings = {**environment(stores["hub"], index, s3), "HF_HUB_OFFLINE": "0"}
    mirror(tmp_path, surroundings)
    status, states = outdated(tmp_path, surroundings)
    assert (status, set(states.values())) == (0, {"current"})
    hub.commit("org/moving", {"config.json": b"{}", "README.md": b"two"}, readers={TOKEN})
    stores.index.add(*wheel("thing", "1.1", {"thing/rows.csv": b"a,b\n9,9\n"}))
    s3.publish({"rows.csv": b"a,b\n1,2\n3,5\n"})
    (tmp_path / "rows.csv").write_bytes(b"a,b\n1,2\n3,6\n")
    status, states = outdated(tmp_path, surroundings)
    assert status == 1
    assert states == {
        "models/moving": "moved",
        "models/pinned": "newer",
        "datasets/packed": "newer",
        "datasets/stored": "moved",
        "datasets/here": "moved",
    }
    shown = run("polar-tools", "outdated", cwd=tmp_path, **surroundings).stdout
    assert "changed: README.md" in shown
    assert "1.0 -> 1.1" in shown


def outdated(folder: Path, surroundings: dict[str, str]) -> tuple[int, dict[str, str]]:
    """The exit status, and how each source stands."""
    done = run("polar-tools", "outdated", "--json", cwd=folder, **surroundings)
    return done.returncode, {one["path"].removeprefix("resources/"): one["state"] for one in json.loads(done.stdout)}


def mirror(folder: Path, surroundings: dict[str, str]) -> None:
    from polar_tools import config
    from polar_tools.plan import Plan

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        plan = Plan(config.load(Path("config/config.yaml")))
        plan.settle()
    for path, made in plan.artifacts.items():
        if made.spec.stage == "mirror":
            done = run("polar-tools", "pull-push", path, cwd=folder, **surroundings)
            assert done.returncode == 0, done.stderr
