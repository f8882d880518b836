"""What a copy from Hub to Hub keeps besides files: branches and tags, types, privacy, history; and how kindly it treats the Hub."""

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.hub_server import Hub, Request
from tests.pulls import TOKEN, hashes, outcome, pull, refused
from tests.stores import ATTRIBUTES, SMALL, HubStore, Stores
from tests.tiny import run


@pytest.fixture
def hub(stores: Stores) -> Hub:
    return stores.hub


def copy(folder: Path, hub: Hub, *arguments: str, source: str = "org/name", target: str = "me/copy") -> CompletedProcess[str]:
    return pull(folder, "--source", source, "--target", target, *arguments, **hub.environment(TOKEN))


def sent(stores: Stores) -> list[str]:
    """What wrote to the Hub since the last look."""
    store = HubStore.__new__(HubStore)
    store.stores = stores
    written = store.sent()
    store.forget()
    return written


# How it treats the Hub


def test_two_thousand_files_come_in_commits_of_a_hundred_after_the_attributes(hub: Hub, tmp_path: Path) -> None:
    files = {".gitattributes": ATTRIBUTES, **{f"{number % 7}/{number:04}.txt": b"%d\n" % number for number in range(2000)}}
    hub.commit("org/name", files)
    assert outcome(copy(tmp_path, hub, "--json"))["copied"]["files"] == 2001
    assert hashes(hub.files("me/copy")) == hashes(files)
    changes = [changed for changed in commits(hub, "models/me/copy") if changed]
    assert changes[1] == {".gitattributes"}, "after the one that the Hub makes itself"
    assert max(map(len, changes)) == 100 and sum(map(len, changes[2:])) == 2000


def commits(hub: Hub, repository: str) -> list[set[str]]:
    """The files that each commit changes, the oldest first."""
    kept = hub.repositories[repository]
    history = [*kept.history(kept.at("main"))][::-1]
    pairs = zip(history, [{}, *(commit.files for commit in history)], strict=False)
    return [{path for path, _ in commit.files.items() ^ before.items()} for commit, before in pairs]


def test_within_one_account_the_hub_makes_the_copy_with_its_history(hub: Hub, stores: Stores, tmp_path: Path) -> None:
    hub.commit("me/name", {"old.txt": b"old"})
    hub.commit("me/name", SMALL)
    hub.tag("me/name", "v1")
    assert copy(tmp_path, hub, source="me/name").returncode == 0
    assert sent(stores) == ["POST /api/models/me/name/duplicate"]
    assert hashes(hub.files("me/copy")) == hashes(SMALL)
    assert len(commits(hub, "models/me/copy")) == 2 and hub.files("me/copy", "v1")


def test_the_commit_that_was_there_at_the_beginning_arrives(hub: Hub, tmp_path: Path) -> None:
    pinned = hub.commit("org/name", SMALL)

    def gain(request: Request) -> None:
        if "/tree/" in request.where and "org/name" in request.where:
            hub.before.clear()
            hub.commit("org/name", {"config.json": b"{}", "new.txt": b"too late"})

    hub.before.append(gain)
    told = outcome(copy(tmp_path, hub, "--json"))
    assert not hub.before and told["source"]["commit"] == pinned
    assert hashes(hub.files("me/copy")) == hashes(SMALL)


def test_an_empty_repository_arrives_as_one(hub: Hub, tmp_path: Path) -> None:
    hub.commit("org/name", {})
    for _ in range(2):
        assert outcome(copy(tmp_path, hub, "--json"))["copied"] == {"files": 0, "bytes": 0, "paths": []}
        assert hub.files("me/copy").keys() <= {".gitattributes"}


def test_a_machine_that_was_just_started_sends_large_files_too(hub: Hub, tmp_path: Path) -> None:
    """Clocks that count from the start are close to 0 there."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nreal, start = time.monotonic, time.monotonic()\ntime.monotonic = lambda: real() - start\n"
    )
    hub.commit("org/name", {"config.json": b"{}", "model.safetensors": b"weights"})
    done = pull(tmp_path, "--source", "org/name", "--target", "me/copy", **hub.environment(TOKEN), PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert hub.files("me/copy")["model.safetensors"] == b"weights"


# Branches and tags


def test_all_branches_and_tags_mean_the_same_files(hub: Hub, stores: Stores, tmp_path: Path) -> None:
    states = {ref: {**SMALL, "config.json": ref.encode()} for ref in ("v1", "dev/new", "main")}
    first = hub.commit("org/name", states["v1"])
    for ref in ("dev/new", "main"):
        hub.commit("org/name", states[ref], ref=ref)
    hub.tag("org/name", "v1", first)
    hub.tag("org/name", "latest")

    def arrived() -> None:
        theirs, ours = hub.repositories["models/org/name"], hub.repositories["models/me/copy"]
        assert (ours.refs.keys(), ours.tags.keys()) == (theirs.refs.keys(), theirs.tags.keys())
        for ref in (*theirs.refs, *theirs.tags):
            assert hashes(hub.files("me/copy", ref)) == hashes(hub.files("org/name", ref)), ref

    dry = outcome(copy(tmp_path, hub, "--all-refs", "--json", "--dry-run"))
    assert sent(stores) == [] and dry["refs"].keys() == {"refs/heads/dev/new", "refs/tags/v1", "refs/tags/latest"}
    assert copy(tmp_path, hub, "--all-refs", "--manifest", "copy.json").returncode == 0
    arrived()
    written = (tmp_path / "copy.json").read_bytes()
    sent(stores)
    assert copy(tmp_path, hub, "--all-refs", "--manifest", "copy.json").returncode == 0
    assert sent(stores) == [] and (tmp_path / "copy.json").read_bytes() == written
    hub.tag("org/name", "v1", "dev/new")
    assert copy(tmp_path, hub, "--all-refs").returncode == 0
    arrived()


def test_refs_and_patterns_do_not_go_together_nor_do_refs_and_folders(hub: Hub, tmp_path: Path) -> None:
    hub.commit("org/name", SMALL)
    hub.tag("org/name", "v1")
    refused(copy(tmp_path, hub, "--all-refs", "--ignore", "*.json"), 2, "--all-refs")
    refused(copy(tmp_path, hub, "--all-refs", target="./copy"), 2, "--all-refs")
    assert not (tmp_path / "copy").exists()
    refused(copy(tmp_path, hub, "--all-refs", "--revision", "dev", target="me/other"), 2, "--all-refs")
    assert "models/me/other" not in hub.repositories


# Who may see it, and what it is


def test_private_is_private_and_public_stays_public(hub: Hub, tmp_path: Path) -> None:
    hub.commit("org/name", SMALL, readers={TOKEN})
    hub.commit("me/public", {"a": b"a"})
    assert copy(tmp_path, hub, "--private", target="me/private").stderr == ""
    assert hub.repositories["models/me/private"].readers
    refused(copy(tmp_path, hub, "--private", target="me/public"), 2, "public")
    assert hub.files("me/public") == {"a": b"a"}
    done = copy(tmp_path, hub)
    assert done.returncode == 0 and done.stderr.startswith("warning: the source is private"), "it may be meant, but is said"


def test_a_type_is_kept_unless_another_is_asked_for(hub: Hub, tmp_path: Path) -> None:
    space = {**SMALL, "README.md": b"---\ntitle: Demo\nsdk: gradio\n---\n"}
    hub.commit("squad", SMALL, kind="datasets")
    hub.commit("org/name", space, kind="spaces", sdk="gradio")
    assert copy(tmp_path, hub, "--source-repo-type", "dataset", source="squad").returncode == 0
    assert copy(tmp_path, hub, source="hf://spaces/org/name", target="me/demo").returncode == 0
    assert copy(tmp_path, hub, source="hf://spaces/org/name", target="hf://models/me/model").returncode == 0
    assert hashes(hub.files("me/copy", kind="datasets")) == hashes(SMALL)
    assert hashes(hub.files("me/demo", kind="spaces")) == hashes(hub.files("me/model")) == hashes(space)
    assert hub.repositories["spaces/me/demo"].sdk == "gradio"
    hub.commit("org/name", SMALL, kind="spaces")
    refused(copy(tmp_path, hub, source="hf://spaces/org/name", target="me/nosdk"), 2, "sdk")
    assert "spaces/me/nosdk" not in hub.repositories
    refused(copy(tmp_path, hub, source="hf://datasets/squad", target="copy"), 2, "owner")


# From Python, and what loads it


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_programs_copy_in_one_call(hub: Hub, kind: str, tmp_path: Path) -> None:
    files = {**SMALL, "README.md": b"---\nsdk: static\n---\n", "draft.log": b"left out"}
    hub.commit("org/name", files, kind=f"{kind}s")
    call = f"'org/name', 'me/copy', {TOKEN!r}, True, 'Mirror it', {kind!r}, ignore_patterns='*.log', manifest='copy.json'"
    program = f"from polar_tools import pull_and_push_repo\nprint(pull_and_push_repo({call}))"
    done = run("python", "-c", program, cwd=tmp_path, **{**hub.environment(TOKEN), "HF_TOKEN": ""})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.endpoint}/{'' if kind == 'model' else f'{kind}s/'}me/copy"
    assert hashes(hub.files("me/copy", kind=f"{kind}s")) == hashes({path: files[path] for path in files if path != "draft.log"})
    repository = hub.repositories[f"{kind}s/me/copy"]
    assert repository.readers and repository.at("main").title == "Mirror it"


def test_transformers_and_datasets_load_what_was_pushed(hub: Hub, assets: Path, tmp_path: Path) -> None:
    for source, target in [("bert", "me/bert"), ("rows.csv", "hf://datasets/me/rows")]:
        done = copy(tmp_path, hub, source=f"file://{assets}/assets/{source}", target=target)
        assert done.returncode == 0, done.stderr
    program = (
        "from transformers import AutoModel, AutoTokenizer\nfrom datasets import load_dataset\n"
        "text = AutoTokenizer.from_pretrained('me/bert')('what does the cat do?', return_tensors='pt')\n"
        "print(AutoModel.from_pretrained('me/bert')(text['input_ids']).last_hidden_state.shape[-1])\n"
        "print(load_dataset('me/rows', split='train').num_rows)"
    )
    where = {"HF_HOME": str(tmp_path / "home"), "HF_DATASETS_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}
    done = run("python", "-c", program, cwd=tmp_path, **hub.environment(TOKEN), **where)
    assert done.stdout.split() == ["32", "72"], done.stderr
