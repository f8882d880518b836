"""`pull-push` beside what people use instead, on the same files in one run: `make bench`. Prints ratios and the commands; never a test.

Two Hubs and an S3 store run as processes of their own and keep their files in memory where there is room, so that the clients are what
is measured; the clients' own folders are on the disk. Every copy goes to a new place, and what arrived is compared with what was sent.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests import s3_server
from tests.hub_git import git_id
from tests.watched import Cost, watched

REPOSITORY = Path(__file__).parent.parent
POLAR = str(Path(sys.executable).parent / "polar-tools")
RIVAL = "hf-s3-mirror==0.4.1"
QUIET = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1", "NO_PROXY": "127.0.0.1"}

DOWN_AND_UP = """
import sys
from huggingface_hub import HfApi, snapshot_download
source, target, token, repo, folder, again = sys.argv[1:]
if again != "again":
    snapshot_download("org/name", local_dir=folder, endpoint=source, token=token)
api = HfApi(target, token=token)
api.create_repo(repo, exist_ok=True)
api.upload_folder(repo_id=repo, folder_path=folder)
"""


# What its command `hf-s3 upload` does, but for the line that spoils its own address: 0.4.1 makes "s3:/bucket" of "s3://bucket", for
# which botocore knows no bucket. It is given one without "s3://".
ITS_UPLOAD = """
import sys, tempfile
from pathlib import Path
from huggingface_hub import snapshot_download
from hf_s3_mirror.s3_client import get_s3_client, upload_to_s3
with tempfile.TemporaryDirectory() as folder:
    snapshot_download(repo_id="org/name", local_dir=folder)
    upload_to_s3(Path(folder), sys.argv[1], get_s3_client())
"""


class Bench:
    """The servers, the files, and what each way of copying took."""

    def __init__(self, stack: ExitStack, large: tuple[int, int], small: tuple[int, int]) -> None:
        needed = 8 * large[0] * large[1]
        roomy = Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > needed  # noqa: S108 (that is where memory is)
        self.fast = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="polar-bench-", dir="/dev/shm" if roomy else None)))  # noqa: S108
        self.disk = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="polar-bench-")))
        self.files = make(self.fast / "source/models/org/name", large, small)
        self.source, self.target = (stack.enter_context(hub(self.fast / name)) for name in ("source", "target"))
        self.rival = rival(self.disk / "rival")
        self.costs: dict[str, list[Cost]] = defaultdict(list)

    def take(self, what: str, *command: str, folder: str, **environment: str) -> None:
        """Run one way of copying, in a folder of its own on the disk."""
        os.sync()  # lest it waits for what another one wrote
        place = self.disk / folder
        place.mkdir(exist_ok=True)
        cost = watched(*command, cwd=place, folder=place, HF_TOKEN=self.source["token"], **{**QUIET, **environment})
        if cost.status:
            raise SystemExit(f"{what} failed:\n{cost.said}")
        self.costs[what].append(cost)
        print(f"  {what:44} {cost.wall:6.2f} s", file=sys.stderr, flush=True)

    def hub_to_hub(self, number: int) -> None:
        """A first copy and one with nothing to do, both ways."""
        theirs, ours, folder = f"org/theirs{number}", f"org/ours{number}", f"down-and-up{number}"
        both = self.source["endpoint"], self.target["endpoint"], self.source["token"]
        python = [sys.executable, "-c", DOWN_AND_UP, *both, theirs, str(self.disk / folder / "files")]
        polar = [POLAR, "pull-push", "--source", "org/name", "--target", ours, "--target-endpoint", self.target["endpoint"]]
        at = {"HF_ENDPOINT": self.source["endpoint"]}
        self.take("snapshot_download + upload_folder", *python, "", folder=folder)
        self.take("pull-push, Hub to Hub", *polar, folder=f"ours{number}", **at)
        self.take("upload_folder, nothing changed", *python, "again", folder=folder)
        self.take("pull-push, nothing changed", *polar, folder=f"again{number}", **at)
        for repo in (theirs, ours):
            compare(f"{self.target['endpoint']}: {repo}", self.files, on_hub(self.target, repo))
        shutil.rmtree(self.disk / folder)

    def hub_to_s3(self, number: int) -> None:
        """A first copy into a store that was empty, each way."""
        at = {"HF_ENDPOINT": self.source["endpoint"]}
        with s3_server.running(self.fast / "s3") as s3:
            keys, bucket = s3.environment(), s3.bucket()
            polar = [POLAR, "pull-push", "--source", "org/name", "--target", f"s3://{bucket}/copy"]
            self.take("pull-push, Hub to S3", *polar, folder=f"s3-{number}", **at, **keys)
            self.take("pull-push, Hub to S3, nothing changed", *polar, folder=f"s3-again{number}", **at, **keys)
            compare("pull-push to S3", self.files, in_bucket(s3, bucket, "copy/"))
        shutil.rmtree(self.fast / "s3")
        with s3_server.running(self.fast / "s3") as s3:
            bucket, (key, secret) = s3.bucket(), s3_server.KEYS["admin"]
            login = {"S3_ENDPOINT_URL": s3.endpoint, "S3_ACCESS_KEY": key, "S3_SECRET_KEY": secret, "S3_REGION": "us-east-1"}
            self.take(RIVAL.replace("==", " "), self.rival, "-c", ITS_UPLOAD, f"{bucket}/copy", folder=f"theirs-s3-{number}", **at, **login)
            compare(RIVAL, self.files, in_bucket(s3, bucket, "copy/"))
        shutil.rmtree(self.fast / "s3")


def make(folder: Path, large: tuple[int, int], small: tuple[int, int]) -> dict[str, tuple[str, str]]:
    """Files of random bytes, so many of such a size; sha256 and git's id by path."""
    digests = {}
    for (count, size), pattern in ((large, "model-{:05}.safetensors"), (small, "texts/{:05}.txt")):
        for number in range(count):
            path = folder / pattern.format(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            content = os.urandom(size)
            path.write_bytes(content)
            digests[path.relative_to(folder).as_posix()] = (hashlib.sha256(content).hexdigest(), git_id("blob", content))
    return digests


@contextmanager
def hub(folder: Path) -> Iterator[dict[str, str]]:
    """A Hub of the tests as a process of its own: endpoint and token."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.hub_server", str(folder)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def rival(folder: Path) -> str:
    """The Python of an environment that has hf-s3-mirror and what it needs."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin/pip"), "install", "--disable-pip-version-check", RIVAL]
    if (done := subprocess.run(install, capture_output=True, text=True, check=False)).returncode:
        raise SystemExit(done.stderr)
    return str(folder / "bin/python")


def on_hub(hub: dict[str, str], repo: str) -> dict[str, str]:
    """What a Hub says it holds, which it hashed itself when it came: sha256 of large files, git's id of the others."""
    from huggingface_hub import HfApi

    rows = HfApi(hub["endpoint"], token=hub["token"]).list_repo_tree(repo, recursive=True)
    return {row.path: row.lfs.sha256 if row.lfs else row.blob_id for row in rows if hasattr(row, "blob_id")}


def in_bucket(s3: s3_server.S3, bucket: str, prefix: str) -> dict[str, str]:
    """The sha256 of every object, read back."""
    client: Any = s3.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [about["Key"] for page in pages for about in page.get("Contents", [])]
    return {key.removeprefix(prefix): _sha256(client.get_object(Bucket=bucket, Key=key)["Body"]) for key in keys}


def _sha256(body: Any) -> str:
    state = hashlib.sha256()
    for chunk in body.iter_chunks(1 << 20):
        state.update(chunk)
    return state.hexdigest()


def compare(where: str, wanted: dict[str, tuple[str, str]], there: dict[str, str]) -> None:
    """End the bench where something didn't arrive as it was; what a tool adds of its own is its own affair."""
    if wrong := [path for path, digests in wanted.items() if there.get(path) not in digests]:
        raise SystemExit(f"{where}: {len(wrong)} of {len(wanted)} files differ, such as {wrong[0]}")


def table(costs: dict[str, list[Cost]]) -> None:
    """Medians, each way beside the one that it is measured by."""
    middle = {what: [statistics.median(getattr(cost, part) for cost in some) for part in ("wall", "cpu", "memory", "disk")]
              for what, some in costs.items()}  # fmt: skip
    ours, theirs = "pull-push, Hub to Hub", "snapshot_download + upload_folder"
    wanted = {
        ours: (theirs, "at least 1.7 times faster, disk under 20 MB, memory under 150 MB"),
        "pull-push, nothing changed": (ours, "at least 5 times faster than the first copy"),
        "pull-push, Hub to S3": (RIVAL.replace("==", " "), "faster than hf-s3-mirror"),
        "upload_folder, nothing changed": (theirs, "-"),
        "pull-push, Hub to S3, nothing changed": ("pull-push, Hub to S3", "-"),
    }
    print("| what | wall s | CPU s | memory MB | disk MB | | wanted |\n|---|---|---|---|---|---|---|")
    for what, (wall, cpu, memory, disk) in middle.items():
        other, wish = wanted.get(what, ("", ""))
        ratio = f"{middle[other][0] / wall:.1f} times faster than {other}" if other else ""
        print(f"| {what} | {wall:.2f} | {cpu:.2f} | {memory / 1e6:.0f} | {disk / 1e6:.0f} | {ratio} | {wish} |")


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--large", type=int, nargs=2, default=(4, 250_000_000), metavar=("COUNT", "BYTES"))
    parser.add_argument("--small", type=int, nargs=2, default=(200, 20_000), metavar=("COUNT", "BYTES"))
    options = parser.parse_args()
    with ExitStack() as stack:
        bench = Bench(stack, tuple(options.large), tuple(options.small))
        for number in range(options.runs + 1):
            print("warming up" if not number else f"run {number} of {options.runs}", file=sys.stderr)
            bench.hub_to_hub(number)
            bench.hub_to_s3(number)
            if not number:
                bench.costs.clear()  # what reads files and memory for the first time isn't counted
        table(bench.costs)


if __name__ == "__main__":
    main()
