"""examples/controller.py over HTTP: a training started, asked for, cancelled and gone on with; and what it refuses."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.docs import pages, shell
from tests.tiny import REPOSITORY

TOKEN = "a-token-that-nobody-guesses"
TRAIN = {
    **{"method": "sft", "model_name_or_path": "llama", "train_data": "rows.csv", "output_dir": "out", "threads": 1},
    **{"logging_steps": 1, "max_steps": 60, "filters": ["missing"]},
}


class Server:
    """The controller as a process, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(REPOSITORY / "examples/controller.py"), "--folder", str(self.folder), "--port", "0"]
        environment = {**os.environ, "POLAR_CONTROLLER_TOKEN": TOKEN}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rpartition(":")[2])

    def end(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ask(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, sent, {"Authorization": f"Bearer {token}"})
        answered = connection.getresponse()
        return answered.status, json.loads(answered.read())

    def until(self, job: str, *states: str) -> Any:
        ends = time.monotonic() + 120
        while True:
            _, told = self.ask("GET", f"/jobs/{job}")
            if told["state"] in states:
                return told
            assert told["state"] in ("queued", "running") and time.monotonic() < ends, told
            time.sleep(0.2)


@pytest.fixture(scope="module")
def server(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("controlled")
    shutil.copytree(assets / "assets/llama", folder / "llama")
    text = (assets / "assets/rows.csv").read_text(encoding="utf-8")
    (folder / "rows.csv").write_text(text.replace("question,answer", "prompt,completion"), encoding="utf-8")
    made = Server(folder)
    yield made
    made.end()


@pytest.mark.slow
def test_a_training_is_started_and_asked_for_until_it_is_done(server: Server) -> None:
    order = {"tool": "train", "arguments": {**TRAIN, "max_steps": 2, "output_dir": "short"}}
    schema = Draft7Validator(server.ask("GET", "/schema")[1])
    schema.validate(order)
    assert not schema.is_valid({"tool": "publish", "arguments": {"path": "x"}}) and not schema.is_valid(
        {"tool": "prepare", "arguments": {"spec": "x"}}
    )
    status, job = server.ask("POST", "/jobs", order)
    assert status == 201 and job["state"] in ("queued", "running"), job
    waiting = server.ask("POST", "/jobs", {"tool": "prepare", "arguments": {"source": "rows.csv", "output": "never"}})[1]
    assert server.ask("DELETE", f"/jobs/{waiting['id']}")[0] == 200
    assert server.until(waiting["id"], "cancelled")["artifacts"] == {}
    server.end()
    server.start()  # a job outlives the server, and the next one knows it
    done = server.until(job["id"], "done")
    assert done["progress"]["metrics"]["step"] == 2 and done["result"]["final_model_path"] == "short/model"
    assert {one["state"] for one in done["progress"]["artifacts"]} == {"done"}
    assert Path(done["artifacts"]["model"]).resolve().is_relative_to(server.folder)
    assert "step 2/2" in server.ask("GET", f"/jobs/{job['id']}/log")[1]["log"]
    assert {job["id"], waiting["id"]} <= {one["id"] for one in server.ask("GET", "/jobs")[1]}
    assert server.ask("DELETE", f"/jobs/{job['id']}")[1]["state"] == "done"


@pytest.mark.slow
def test_the_commands_of_the_page(here: Path) -> None:
    shutil.copytree(here / "llama", here / "work/org/name")
    shutil.copy(here / "rows.csv", here / "work")
    (here / "examples").symlink_to(REPOSITORY / "examples")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    answers = []
    with shell.opened(here, {}) as bash:
        for command in pages.commands("docs/programs.md"):
            if command.elsewhere:
                line = command.text.replace("8000", port)
                done = bash.type(line.replace("/ID", f"/{answers[0]['id']}") if answers else line)
                assert done.status == 0, f"{line}\n{done.said}"
                if line.endswith("&"):
                    assert bash.type(f"until curl -s localhost:{port}; do sleep 0.2; done").status == 0
                elif line.startswith("curl"):
                    answers.append(json.loads(done.said))
    started, asked, cancelled = answers
    assert started["id"] == asked["id"] == cancelled["id"] and asked["state"] in ("queued", "running")
    assert not (here / "work/out/model").exists()


@pytest.mark.slow
def test_a_training_that_is_cancelled_saves_and_goes_on(server: Server) -> None:
    _, job = server.ask("POST", "/jobs", {"tool": "train", "arguments": TRAIN})
    metrics = server.folder / "out/results/training/seed0/train/metrics.jsonl"
    ends = time.monotonic() + 90
    while not (metrics.is_file() and metrics.read_text().count("\n") > 1):
        assert time.monotonic() < ends
        time.sleep(0.05)
    assert server.ask("POST", f"/jobs/{job['id']}/start")[0] == 409
    assert server.ask("DELETE", f"/jobs/{job['id']}")[0] == 200
    cancelled = server.until(job["id"], "cancelled")
    assert cancelled["exit_status"] == 75 and "is saved; run the same command again" in cancelled["message"]
    saved = int(json.loads(metrics.read_text().splitlines()[-1])["step"])
    assert saved < 60 and cancelled["progress"]["metrics"]["step"] == saved
    assert server.ask("POST", f"/jobs/{job['id']}/start")[0] == 201
    done = server.until(job["id"], "done")
    assert done["progress"]["metrics"]["step"] == 60 and done["artifacts"]["model"] == str(server.folder / "out/model")
    steps = [line for line in server.ask("GET", f"/jobs/{job['id']}/log")[1]["log"].splitlines() if line.startswith("step ")]
    assert f"step {saved + 1}/60" in " ".join(steps) and sum(line.startswith("step 1/") for line in steps) == 1


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (
            {"tool": "train", "arguments": {**TRAIN, "learning_rat": 1}},
            "train has no argument `learning_rat`, did you mean `learning_rate`?",
        ),
        ({"tool": "train", "arguments": {**TRAIN, "learning_rate": "fast"}}, "learning_rate: must be a number"),
        ({"tool": "train", "arguments": {"method": "sft"}}, "are missing"),
        ({"tool": "train", "arguments": {**TRAIN, "lora_r": 1.5}}, "lora_r: must be a whole number"),
        ({"tool": "publish", "arguments": {"path": "results"}}, "can't be started here"),
        ({"tool": "sh", "arguments": {}}, "can't be started here"),
        ({"tool": "train"}, "GET /schema"),
        ({"tool": "train", "arguments": {**TRAIN, "config": "rows.csv"}}, "a file that could say anything"),
        ({"tool": "prepare", "arguments": {"spec": "x"}}, "a file that could say anything"),
        ([], "GET /schema"),
        (b"{", "no JSON"),
        ({"tool": "prepare", "arguments": {"source": "/etc/passwd", "output": "x"}}, "outside of the folder"),
        ({"tool": "prepare", "arguments": {"source": "file:///etc/passwd", "output": "x"}}, "outside of the folder"),
        ({"tool": "prepare", "arguments": {"source": "rows.csv", "output": "../x"}}, "outside of the folder"),
        ({"tool": "prepare", "arguments": {"source": "rows.csv", "output": "~/x"}}, "outside of the folder"),
        (
            {"tool": "prepare", "arguments": {"source": "rows.csv", "output": "x", "set": ["test_source=../rows.csv"]}},
            "outside of the folder",
        ),
        ({"tool": "train", "arguments": {**TRAIN, "extra_args": {"logging_dir": "/tmp"}}}, "outside of the folder"),
    ],
)
def test_what_cant_be_is_refused_with_the_reason(server: Server, order: Any, message: str) -> None:
    before = server.ask("GET", "/jobs")[1]
    status, told = server.ask("POST", "/jobs", order)
    assert status == 400 and message in told["error"]
    assert server.ask("GET", "/jobs")[1] == before


def test_it_follows_no_link_out_of_its_folder(server: Server) -> None:
    (server.folder / "away").symlink_to("/etc")
    status, told = server.ask("POST", "/jobs", {"tool": "prepare", "arguments": {"source": "away/passwd", "output": "x"}})
    assert status == 400 and "outside of the folder" in told["error"]


def test_only_who_has_the_token_is_answered(server: Server) -> None:
    for token in ("", "wrong", f"{TOKEN}x"):
        assert server.ask("GET", "/jobs", token=token)[0] == 401
    assert server.ask("GET", "/jobs/../../etc/passwd")[0] == 404
    assert server.ask("GET", "/jobs/train-000000000000")[0] == 404
    assert server.ask("GET", "/nothing")[0] == 404
    done = subprocess.run([sys.executable, str(REPOSITORY / "examples/controller.py"), "--folder", "x"], capture_output=True, text=True)
    assert done.returncode == 2 and "POLAR_CONTROLLER_TOKEN" in done.stderr
