"""What `polar-tools publish` leaves at a place: all of it, once, with a card and a claim that anyone can check."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCard

from tests import published, tiny
from tests.hub_server import Hub
from tests.pulls import TOKEN, leaked
from tests.s3_server import KEYS, S3
from tests.stores import Stores

SAYING = {"experiment": "say", "require": {"sayings.loss": {"at_most": 9.0}}}


@pytest.fixture
def hub(stores: Stores) -> Hub:
    return stores.hub


def card(text: bytes) -> dict:
    """The metadata at the head of a README.md."""
    return yaml.safe_load(text.decode().split("---\n")[1])


def test_a_model_goes_to_hub_bucket_and_folder_and_is_what_it_claims(project: Path, hub: Hub, seaweed: S3, tmp_path: Path) -> None:
    bucket = seaweed.bucket()
    places = {"push_to_hub": True, "private": True, "push_to_minio": True, "minio_model_save_bucket": bucket, "folder": "out/saying"}
    at = published.settle(project, saying={**SAYING, **places})
    environment = {**hub.environment("hf_alice"), **seaweed.environment()}
    done = published.publish(project, "saying", **environment)
    assert done.returncode == 0, done.stderr
    wanted = published.files(at / "saying" / "published")
    on_hub = hub.files("alice/tiny-saying")
    assert {name: data for name, data in on_hub.items() if name != ".gitattributes"} == wanted
    assert {name.removeprefix("tiny-saying/"): data for name, data in seaweed.objects(bucket).items()} == wanted
    assert published.files(project / "out" / "saying") == wanted
    assert hub.repositories["models/alice/tiny-saying"].readers == {"hf_alice"}
    assert wanted["adapter_model.safetensors"] == (project / "results/say/seed0/train/model/adapter_model.safetensors").read_bytes()

    record, manifest = (json.loads((at / "saying" / f"{name}.json").read_bytes()) for name in ("record", "manifest"))
    head = hub.repositories["models/alice/tiny-saying"].at("main")
    assert head is not None and manifest["measured"]["targets"]["hub"]["commit"] == head.id
    assert {gate: one["result"] for gate, one in record["facts"]["gates"].items()} == {
        **dict.fromkeys(("licenses", "manifest", "required", "safetensors", "secrets", "tokenizer"), "passed"),
        "merged": "not applicable",
    }
    asked = len(hub.requests)
    assert published.publish(project, "saying", **environment).stdout.strip().endswith("up to date") and len(hub.requests) == asked

    shutil.move(project / "out" / "saying", tmp_path / "elsewhere")
    found = tiny.inside("verify", str(tmp_path / "elsewhere"), cwd=tmp_path)
    assert found.returncode == 0 and "all as recorded" in found.stdout, found.stderr
    copy = tiny.run("polar-tools", "verify", str(at / "saying/copies/hub.json"), cwd=project, **environment)
    assert copy.returncode == 0, copy.stderr


def test_a_dataset_and_the_report_become_repositories_of_their_kind(project: Path, hub: Hub) -> None:
    both = {"push_to_hub": True, "message": "As it was prepared"}
    at = published.settle(project, rows={"dataset": "sayings", **both, "hub_model_id": "bob/rows"}, pages={"report": True, **both})
    for name in ("rows", "pages"):
        done = published.publish(project, name, **hub.environment("hf_alice"))
        assert done.returncode == 0, done.stderr
    rows, pages = hub.files("bob/rows", kind="datasets"), hub.files("alice/tiny-pages", kind="spaces")
    assert rows["data/train-00000.parquet"] == (project / "results/datasets/sayings/data/train-00000.parquet").read_bytes()
    assert card(rows["README.md"])["configs"][0]["data_files"][0] == {"split": "train", "path": "data/train-*"}
    assert DatasetCard(rows["README.md"].decode()).data.license == "cc-by-4.0"
    assert card(pages["README.md"])["sdk"] == "static" and pages["index.html"] == (project / "results/report/index.html").read_bytes()
    commits = hub.repositories["datasets/bob/rows"].commits.values()
    assert "As it was prepared" in {commit.title for commit in commits}
    assert json.loads((at / "rows" / "spec.json").read_bytes())["config"].keys() == {"project_name", "datasets"}


def test_what_an_earlier_publication_left_goes_and_what_others_put_there_stays(project: Path, hub: Hub) -> None:
    hub.commit("bob/rows", {"theirs.txt": b"not ours", "data/[a]*.txt": b"nor this"}, kind="datasets")
    there = {"push_to_hub": True, "hub_model_id": "bob/rows"}
    left = "polar/records/results/datasets/sayings/record.json"
    for dataset in ("sayings", "kinds"):
        at = published.settle(project, rows={"dataset": dataset, **there})
        done = published.publish(project, "rows", **hub.environment("hf_alice"))
        assert done.returncode == 0, done.stderr
        files = hub.files("bob/rows", kind="datasets")
        wanted = published.files(at / "rows" / "published")
        assert files.keys() - {".gitattributes"} == {"theirs.txt", "data/[a]*.txt", *wanted} and (left in files) == (dataset == "sayings")
        assert {name: files[name] for name in wanted} == wanted


def rows_of(project: Path, count: int, seed: int) -> None:
    """Give the tiny project's rows so many more bytes, which nothing compresses, that a copy of them takes some requests."""
    chance = random.Random(seed)
    with (project / "assets" / "rows.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{chance.randbytes(3000).hex()},answer {number},cat\n" for number in range(count))


def killed(command: list[str], project: Path, environment: dict[str, str], moment: Callable[[], bool]) -> int:
    """Run a command and kill it at a moment; its status."""
    with subprocess.Popen(command, cwd=project, env={**os.environ, **environment}, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not moment():
            time.sleep(0.002)
        process.kill()
        return process.wait()


@pytest.mark.parametrize(("where", "kills"), [("hub", 4), pytest.param("hub", 20, marks=pytest.mark.slow), ("minio", 4)])
def test_killed_at_random_moments_the_same_command_goes_on(where: str, kills: int, fresh: Path, hub: Hub, seaweed: S3) -> None:
    bucket = seaweed.bucket() if where == "minio" else ""
    places = {
        "hub": {"push_to_hub": True, "hub_model_id": "alice/rows"},
        "minio": {"push_to_minio": True, "minio_model_save_bucket": bucket},
    }
    rows_of(fresh, 300, 0)
    at = published.settle(fresh, rows={"dataset": "sayings", **places[where]})
    for stage, folder in (("pull-push", "resources/datasets/sayings"), ("prepare", "results/datasets/sayings")):
        assert tiny.inside(stage, f"{folder}/spec.json", cwd=fresh).returncode == 0
    environment = {**hub.environment("hf_alice"), **(seaweed.environment(proxy=True) if bucket else {})}
    command = [str(Path(sys.executable).parent / "polar-tools"), "publish", "results/publish/rows/spec.json"]
    requests = seaweed.requests if bucket else hub.requests
    chance, hits = random.Random(1), 0
    for _ in range(kills):
        begun, after = len(requests), chance.randint(1, 12)
        hits += killed(command, fresh, environment, lambda begun=begun, after=after: len(requests) >= begun + after) == -signal.SIGKILL
    assert hits >= 2, "it has to be killed at work"
    done = published.publish(fresh, "rows", **environment)
    assert done.returncode == 0, done.stderr
    there = seaweed.objects(bucket) if bucket else hub.files("alice/rows", kind="datasets")
    there = {name.removeprefix("tiny-rows/"): data for name, data in there.items() if name != ".gitattributes"}
    assert there == published.files(at / "rows" / "published") and len(there["data/train-00000.parquet"]) > 500_000
    whole = (at / "rows" / "record.json").read_bytes()
    (at / "rows" / "record.json").unlink()
    sent = len([request for request in requests if request.method in ("PUT", "POST")])
    assert published.publish(fresh, "rows", **environment).returncode == 0
    assert (at / "rows" / "record.json").read_bytes() == whole
    new = [request.where for request in requests if request.method in ("PUT", "POST")][sent:]
    assert not [path for path in new if "parquet" in path or "commit" in path], "what was there was sent again"


def said(process: subprocess.Popen[str], words: str) -> None:
    """Read what a process prints until it has said so."""
    assert process.stdout is not None
    lines = []
    while words not in (line := process.stdout.readline()):
        assert line, "".join(lines)
        lines.append(line)


def test_checkpoints_follow_a_training_and_the_finished_model_takes_their_place(project: Path, hub: Hub) -> None:
    at = published.settle(project, saying={"experiment": "say", "push_to_hub": True, "hub_strategy": "all_checkpoints"})
    training = project / "results/say/seed0/train"
    newest, manifest = training / "checkpoints/checkpoint-4", training / "manifest.json"
    finished = manifest.read_bytes()
    manifest.unlink()
    shutil.copytree(newest, training / "checkpoints/checkpoint-2")
    (newest / "complete").rename(training / "complete")
    command = [str(Path(sys.executable).parent / "polar-tools"), "publish", str(at / "saying"), "--follow", "--pause", "0.1"]
    environment = {**os.environ, **hub.environment("hf_alice")}
    with subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            said(process, "step 2 of")
            first = hub.files("alice/tiny-saying")
            (training / "complete").rename(newest / "complete")
            said(process, "step 4 of")
            manifest.write_bytes(finished)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert b"after step 2" in first["README.md"] and "polar/claim.json" not in first
    weights = (newest / "adapter_model.safetensors").read_bytes()
    assert first["adapter_model.safetensors"] == first["checkpoint-2/adapter_model.safetensors"] == weights
    there = hub.files("alice/tiny-saying")
    assert {"checkpoint-2/adapter_model.safetensors", "checkpoint-4/adapter_model.safetensors"} <= there.keys()
    assert not [name for name in there if name.endswith((".pt", ".bin", ".pth"))], "pickles go only where `safetensors` is waived"
    shutil.rmtree(training / "checkpoints/checkpoint-2")
    done = published.publish(project, "saying", **hub.environment("hf_alice"))
    assert done.returncode == 0, done.stderr
    there = hub.files("alice/tiny-saying")
    assert {"polar/claim.json", "checkpoint-2/adapter_model.safetensors", "checkpoint-4/adapter_model.safetensors"} <= there.keys()
    assert "polar/checkpoints.json" not in there and b"after step" not in there["README.md"]


def test_a_canary_in_every_place_where_a_secret_can_stand_is_sent_nowhere(project: Path, hub: Hub, seaweed: S3) -> None:
    canaries = {"WANDB_API_KEY": "canary-of-a-tracker-123", "MLFLOW_TRACKING_PASSWORD": "canary-of-a-server-456", "HF_TOKEN": TOKEN}
    bucket = seaweed.bucket()
    places = {"push_to_hub": True, "push_to_minio": True, "minio_model_save_bucket": bucket, "folder": "out"}
    published.settle(project, saying={"experiment": "say", **places})
    environment = {**hub.environment(TOKEN), **seaweed.environment(), **canaries}
    home = project / "home"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text("[default]\naws_secret_access_key = canary-of-a-bucket-789\n", encoding="utf-8")
    secrets = [*canaries.values(), "canary-of-a-bucket-789", KEYS["admin"][1]]
    done = published.publish(project, "saying", HOME=str(home), **environment)
    assert done.returncode == 0, done.stderr
    written = [path.read_bytes() for path in project.rglob("*") if path.is_file() and home not in path.parents]
    sent = [*hub.files("topsecrettoken/tiny-saying").values(), *seaweed.objects(bucket).values()]
    history = [f"{one.title}\n{one.message}" for one in hub.repositories["models/topsecrettoken/tiny-saying"].commits.values()]
    assert len(sent) > 50 and not leaked(done.stdout + done.stderr + "\n".join(history), [*written, *sent], secrets)
    told = {"dataset": "sayings", **places}
    published.settle(project, told=told | {"waive": {"licenses": f"as agreed: {' '.join(secrets)}"}})
    asked = len(hub.requests)
    done = published.publish(project, "told", HOME=str(home), **environment)
    assert done.returncode == 2 and not leaked(done.stdout + done.stderr, [], secrets), done.stderr
    for owner in (*canaries, "~/.aws/credentials (0)", "AWS_SECRET_ACCESS_KEY"):
        assert f"README.md: the value of {owner}" in done.stderr
    assert not [request for request in hub.requests[asked:] if request.method != "GET"]
    published.settle(project, told=told | {"message": f"with {TOKEN}"})
    done = published.publish(project, "told", HOME=str(home), **environment)
    assert done.returncode == 2 and "message" in done.stderr and TOKEN not in done.stderr
