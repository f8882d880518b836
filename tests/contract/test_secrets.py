"""No token reaches what a copy writes: what it prints, its files, the target with its history; nor the list of processes for long."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pulls import OTHER_TOKEN, SECRETS, TOKEN, leaked, pull, refused
from tests.s3_server import KEYS
from tests.stores import SMALL, OtherHubStore, S3Store, Stores, environment

MODEL = {**SMALL, "folder/large.safetensors": b"x" * 2_000_000}


def test_nothing_that_a_copy_writes_holds_a_token(stores: Stores, tmp_path: Path) -> None:
    """Every kind of store, with a token in the environment and with one for each side (`pull` looks at output and files)."""
    hub, other, s3 = stores["hub"], stores["other"], stores["s3"]
    source = hub.publish(MODEL)
    for target in (hub, other, s3):
        for more in (["--json"], ["--dry-run"], ["--message", "Mirrored", "--delete-extra"]):
            assert pull(tmp_path, *source, *target.target(), *more, "--manifest", "copy.json", **environment(hub, target)).returncode == 0
    assert isinstance(other, OtherHubStore) and isinstance(s3, S3Store)
    history = [f"{commit.title}\n{commit.message}" for commit in other.hub.repositories["models/me/copy"].commits.values()]
    assert len(history) >= 3 and not leaked("\n".join(history), other.received().values())
    about = [s3.s3.client().head_object(Bucket=s3.bucket, Key=key) for key in s3.s3.objects(s3.bucket, "a/")]
    assert about and not leaked(str([(object["Metadata"], object["ContentType"]) for object in about]), s3.received().values())


def test_each_side_gets_its_own_token_and_no_other(stores: Stores, tmp_path: Path) -> None:
    hub, other = stores.hub, stores.other
    hub.commit("org/name", MODEL, readers={TOKEN})
    sides = ["--source-token", TOKEN, "--target-token", OTHER_TOKEN, "--source-endpoint", hub.endpoint, "--target-endpoint", other.endpoint]
    hub.users, other.users = {TOKEN}, {OTHER_TOKEN}
    nowhere = {**hub.environment(""), "HF_ENDPOINT": "http://127.0.0.1:1"}
    done = pull(tmp_path, "--source", "org/name", "--target", "me/copy", *sides, **nowhere)
    assert done.returncode == 0 and "HF_TOKEN instead" in done.stderr, done.stderr
    for server, token in ((hub, TOKEN), (other, OTHER_TOKEN)):
        assert {request.headers.get("authorization", "") for request in server.requests} <= {"", f"Bearer {token}"}


@pytest.mark.parametrize("way", ["environment", "option", "option="])
def test_failures_say_no_token(stores: Stores, way: str, tmp_path: Path) -> None:
    """Also where the Hub itself repeats it."""
    hub = stores.hub
    source = ["--source", "org/name", "--target", "me/copy"]
    settings = hub.environment(TOKEN)
    if way != "environment":
        source += [f"--token={TOKEN}"] if way == "option=" else ["--token", TOKEN]
        settings["HF_TOKEN"] = ""
    hub.commit("org/name", MODEL)
    repeated = {"X-Error-Message": f"the token {TOKEN} may not do this"}
    for where, status in [("/models/org/name", 2), ("/repos/create", 2), ("/batch", 2), ("/preupload/", 2), ("/commit/", 2)]:
        hub.fault(403, where, headers=repeated)
        refused(pull(tmp_path, *source, **settings), status, "forbids")
    hub.users.clear()
    refused(pull(tmp_path, *source, **settings), 1, "401")
    refused(pull(tmp_path, *source, **{**settings, "HF_ENDPOINT": "http://127.0.0.1:1", "HF_HUB_OFFLINE": "1"}), 1, "HF_HUB_OFFLINE")
    refused(pull(tmp_path, *source, **{**settings, "HF_ENDPOINT": hub.endpoint.replace("://", f"://me:{TOKEN}@")}), 2, "endpoint")


def test_a_refused_key_of_s3_is_not_shown(stores: Stores, tmp_path: Path) -> None:
    s3 = stores["s3"]
    source = s3.publish(SMALL)
    done = pull(tmp_path, *source, **{**s3.environment, **stores.s3.environment("wrong")})
    refused(done, 2, "SignatureDoesNotMatch")
    assert not leaked(done.stderr, [], [KEYS["wrong"][1], *KEYS["admin"]])


@pytest.mark.parametrize("way", ["environment", "option"])
def test_a_message_that_holds_a_token_is_refused(stores: Stores, way: str, tmp_path: Path) -> None:
    hub = stores.hub
    hub.commit("org/name", SMALL)
    settings = hub.environment(TOKEN) | ({"HF_TOKEN": ""} if way == "option" else {})
    given = ["--token", TOKEN] if way == "option" else []
    done = pull(tmp_path, "--source", "org/name", "--target", "me/copy", "--message", f"with {TOKEN}", *given, **settings)
    assert done.returncode == 2 and "the message holds a token" in done.stderr
    assert "models/me/copy" not in hub.repositories


def test_the_list_of_processes_loses_the_token_and_no_child_gets_it(stores: Stores, tmp_path: Path) -> None:
    hub = stores.hub
    hub.commit("org/name", MODEL)
    hub.slow_seconds = 3
    hub.fault("slow", "large.safetensors", method="GET")
    hub.fault("slow", "/models/org/name/", method="GET")
    command = [str(Path(sys.executable).parent / "polar-tools"), "pull-push", "--source", "org/name", "--target", "me/copy"]
    settings = {**os.environ, **hub.environment(TOKEN), "HF_TOKEN": ""}
    with subprocess.Popen([*command, "--token", TOKEN], cwd=tmp_path, env=settings, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 10
        while process.poll() is None and "--token ***" not in shown(process.pid) and time.monotonic() < end:
            time.sleep(0.02)
        assert process.poll() is None, "it has to be seen while it runs"
        assert "--token ***" in shown(process.pid) and TOKEN not in shown(process.pid)
        assert not any(TOKEN in shown(child) for child in children(process.pid))
        assert "list of processes showed the token" in process.communicate()[1]
    assert process.returncode == 0 and hub.files("me/copy") == MODEL


def shown(pid: int) -> str:
    """What everyone on this machine may see of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def test_the_search_would_find_one() -> None:
    assert all(leaked(f"error: {secret}", []) == [secret] == leaked("", [b"\xff" + secret.encode()]) for secret in SECRETS)
