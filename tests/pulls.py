"""`polar-tools pull-push` as a person runs it, and what must be true of every run: no secret in what it wrote, nothing temporary left."""

import hashlib
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests import hub_server
from tests.s3_server import KEYS
from tests.tiny import run

TOKEN, OTHER_TOKEN, PASSWORD = "hf_topsecrettoken", "hf_another-topsecret", "pa55word-of-the-index"
SECRETS = (TOKEN, OTHER_TOKEN, PASSWORD, KEYS["admin"][1], hub_server.SIGNATURE)


def pull(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`pull-push`, into folder/copy unless `arguments` say otherwise; a secret or anything temporary that is left is a failure."""
    temporary = Path(environment.setdefault("TMPDIR", str(folder / "tmp")))
    temporary.mkdir(exist_ok=True)
    target = ("--target", "./copy") if "--source" in arguments and "--target" not in arguments else ()
    done = run("polar-tools", "pull-push", *arguments, *target, cwd=folder, **environment)
    assert not list(temporary.iterdir())
    assert not [path for path in folder.rglob("*") if path.name.endswith(".part") or path.name.startswith(".polar-part-")]
    assert not leaked(done.stdout + done.stderr, contents(folder).values())
    return done


def outcome(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a run with --json says that it did."""
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refused(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    """The command ended with `status` and one message that holds `words`."""
    assert done.returncode == status, done.stderr or done.stdout
    before, said, message = done.stderr.partition("error: ")
    assert all(line.startswith("warning: ") or line.endswith("s to go") for line in before.splitlines())
    said += message
    assert said and "Traceback" not in said and "looks like a bug" not in said
    for word in words:
        assert word in said


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Let the folder hold these files too."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def replace_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Let the folder hold these files and no others."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    write(folder, files)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def hashes(files: dict[str, bytes]) -> dict[str, str]:
    """The sha256 of each file: what a failing test is to show instead of megabytes."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def leaked(text: str, places: Iterable[bytes], secrets: Iterable[str] = SECRETS) -> list[str]:
    """The secrets that stand in what was printed or written."""
    written = b"\0".join([text.encode(), *places])
    return [secret for secret in secrets if secret.encode() in written]


def found(folder: Path) -> dict[str, str]:
    """The sha256 of every file below a folder."""
    return hashes(contents(folder))
