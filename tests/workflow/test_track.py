"""Trackers are told what lies on disk, all of it and once, whatever becomes of them meanwhile; and nothing of it is a secret."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from polar_tools import config
from polar_tools.plan import Plan
from tests import browser
from tests.mlflow_server import Server
from tests.offline_wandb import Offline
from tests.tiny import inside, run
from tests.tracked import CANARIES, figures, scalars

TRAIN, MEASURED, BASE = "results/say/seed0/train", "results/say/seed0/evaluate/sayings", "results/say/base/evaluate/sayings"
STEPS = 200
EMBEDDED = [{"tracker": "wandb", "mode": "offline", "tags": ["tiny"]}, "tensorboard"]


def configure(project: Path, trackers: list[Any], **experiment: Any) -> None:
    """Have the config name `trackers`, and the experiment `say` these fields."""
    file = project / "config/config.yaml"
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    told["run"]["trackers"] = trackers
    fields = told["experiments"]["say"] | experiment
    told["experiments"]["say"] = {name: value for name, value in fields.items() if value is not None}
    file.write_text(yaml.safe_dump(told), encoding="utf-8")


def settle(project: Path) -> None:
    """As the Snakefile does in its main process."""
    with contextlib.chdir(project):
        Plan(config.load(Path("config/config.yaml"))).settle()


def to_server(server: Server, name: str) -> dict[str, Any]:
    return {"tracker": "mlflow", "tracking_uri": server.uri, "experiment_name": name}


def record(project: Path, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / path / "record.json").read_bytes())
    return found


def measured(project: Path, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / path / "manifest.json").read_bytes())["measured"]
    return found


@pytest.fixture
def server(mlflow_server: Server) -> Iterator[Server]:
    mlflow_server.start()
    yield mlflow_server
    mlflow_server.start()


@pytest.mark.slow
def test_all_that_lies_on_disk_is_sent_once_and_a_model_lands_in_one_run(project: Path, server: Server) -> None:
    configure(project, [to_server(server, "whole"), *EMBEDDED])
    before = {path: (project / path / "manifest.json").stat().st_mtime_ns for path in (TRAIN, MEASURED)}
    settle(project)
    done = inside("track", "--replay", cwd=project)
    assert done.returncode == 0 and done.stdout.count("complete") == 3 * 7, done.stdout + done.stderr

    runs = server.runs("whole")
    assert set(runs) == {"say/seed0", "sort/seed0", "say/base/evaluate/sayings", "sort/base/evaluate/kinds", "report/report"}
    trained, facts = runs["say/seed0"], record(project, MEASURED)["facts"]
    points = server.points(trained)
    logged = figures(project / TRAIN / "metrics.jsonl")
    assert logged["train/loss"] and {name: points[name] for name in logged} == logged
    assert points["evaluate/sayings/rougeL"] == [(4, facts["metrics"]["rougeL"])]
    assert trained.info.status == "FINISHED" and runs["say/base/evaluate/sayings"].data.metrics["evaluate/sayings/loss"] > 0
    assert (trained.data.params["learning_rate"], trained.data.params["lora_r"]) == ("0.01", "2")
    files = server.files(trained)
    assert {f"polar/records/{path}/record.json" for path in (TRAIN, MEASURED, "resources/models/llama")} <= files
    assert "reports/say/seed0/evaluate/sayings/report.json" in files and "reports/datasets/sayings/report.html" in files
    assert "report/index.html" in server.files(runs["report/report"])

    told = {path: measured(project, path)["trackers"]["mlflow"] for path in (TRAIN, MEASURED)}
    assert told[TRAIN] == told[MEASURED] and told[TRAIN]["run_id"] == trained.info.run_id
    assert before == {path: (project / path / "manifest.json").stat().st_mtime_ns for path in before}
    assert "Nothing to be done" in run("snakemake", "-n", cwd=project).stdout, "trackers change no result"
    assert inside("verify", "results", cwd=project).returncode == 0

    version = server.client().search_model_versions("name = 'say'")[0]
    manifest = json.loads((project / TRAIN / "manifest.json").read_bytes())
    assert version.run_id == trained.info.run_id and version.tags["polar.record"] == manifest["record"]
    weights = record(project, TRAIN)["files"]["model/adapter_model.safetensors"]["sha256"]
    assert version.tags["polar.sha256.model/adapter_model.safetensors"] == weights
    assert "file://assets/llama" in version.tags["polar.source.resources/models/llama"]

    offline = Offline(project / "wandb")
    assert offline.figures(told[TRAIN]["run"], list(logged)) == logged
    assert offline.header(told[TRAIN]["run"]) == ("tiny", "say/seed0", ["tiny"])
    assert offline.summary(told[TRAIN]["run"])["evaluate/sayings/rougeL"] == facts["metrics"]["rougeL"]
    events = scalars(project / "tensorboard/say/seed0")
    assert {name: [(step, pytest.approx(value, rel=1e-6)) for step, value in logged[name]] for name in logged} == {
        name: events[name] for name in logged
    }

    again = inside("track", "--replay", cwd=project)
    assert again.returncode == 0 and "sent" not in again.stdout
    for notes in project.glob("results/**/.lock-track"):  # as in a clone, or where whoever sent was killed before it noted so
        shutil.rmtree(notes)
    again = inside("track", "--replay", "--tracker", "mlflow", *options(server, "whole"), cwd=project)
    assert again.returncode == 0, again.stdout + again.stderr
    assert server.points(server.runs("whole")["say/seed0"]) == points
    assert len(server.client().search_model_versions("name = 'say'")) == 1


def options(server: Server, name: str) -> list[str]:
    return ["-o", f"mlflow.tracking_uri={server.uri}", "-o", f"mlflow.experiment_name={name}"]


def started(server: Server, experiment: str) -> bool:
    """Whether anything of a training's loss is there."""
    return any("train/loss" in one.data.metrics for one in server.runs(experiment).values())


@contextlib.contextmanager
def training_held(project: Path) -> Iterator[subprocess.Popen[str]]:
    """A training that is stopped (SIGSTOP) after some steps, so that what is done now is done in its middle on any machine."""
    command = [str(Path(sys.executable).parent / "polar-tools"), "train", TRAIN, "--preflight", "off"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            log = project / TRAIN / "metrics.jsonl"
            wait_for(lambda: process.poll() is None and log.is_file() and 20 < len(log.read_bytes().splitlines()) < STEPS)
            process.send_signal(signal.SIGSTOP)
            yield process
        finally:
            process.kill()


def wait_for(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 180
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_server_killed_in_the_middle_of_a_training_costs_it_nothing(project: Path, server: Server) -> None:
    configure(project, [to_server(server, "killed")], max_steps=STEPS, save_strategy="no", save_steps=None)
    settle(project)
    with training_held(project) as process:
        wait_for(lambda: started(server, "killed"))
        server.kill()
        process.send_signal(signal.SIGCONT)
        said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert said.count("warning: mlflow") == 1 and f"polar-tools track --replay {TRAIN}" in said
    waits = inside("track", "--replay", TRAIN, cwd=project)
    assert waits.returncode == 1 and "nothing is lost" in waits.stderr and "Traceback" not in waits.stderr
    server.start()
    logged = figures(project / TRAIN / "metrics.jsonl")
    sent = len(server.points(server.runs("killed")["say/seed0"])["train/loss"])
    assert len(logged["train/loss"]) == STEPS and 0 < sent < STEPS, "it was killed in the middle"
    done = inside("track", "--replay", TRAIN, cwd=project)
    assert done.returncode == 0 and "complete" in done.stdout, done.stdout + done.stderr
    trained = server.runs("killed")["say/seed0"]
    points = server.points(trained)
    assert {name: points[name] for name in logged} == logged
    assert trained.info.status == "FINISHED" and trained.data.params["max_steps"] == str(STEPS)
    assert {"system/process_memory_usage_megabytes", "system/cpu_utilization_percentage"} <= set(points)


@pytest.mark.slow
def test_a_sender_killed_again_and_again_doubles_nothing(project: Path, server: Server) -> None:
    """Its training goes on; so does one that is killed itself, in the same run."""
    configure(project, [to_server(server, "senders"), "tensorboard"], max_steps=STEPS, save_strategy="steps", save_steps=50)
    settle(project)
    with training_held(project) as process:
        wait_for(lambda: started(server, "senders"))
        for sender in senders(process):
            os.kill(sender, signal.SIGKILL)
        process.send_signal(signal.SIGCONT)
        wait_for(lambda: any((project / TRAIN / "checkpoints").glob("checkpoint-*")))
    tools = str(Path(sys.executable).parent / "polar-tools")
    for moment in (2.0, 3.0, 4.0, 5.0):
        replay = subprocess.Popen([tools, "track", "--replay"], cwd=project, stdout=subprocess.DEVNULL)
        time.sleep(moment)
        replay.kill()
        replay.wait()
    assert inside("track", "--replay", TRAIN, cwd=project).returncode == 0
    assert server.runs("senders")["say/seed0"].info.status == "KILLED"
    done = run("polar-tools", "train", TRAIN, "--preflight", "off", cwd=project)
    assert done.returncode == 0, done.stderr
    logged, trained = figures(project / TRAIN / "metrics.jsonl"), server.runs("senders")["say/seed0"]
    points = server.points(trained)
    assert {name: points[name] for name in logged} == logged
    assert len(logged["train/loss"]) == STEPS and trained.info.status == "FINISHED"
    assert [step for step, _ in scalars(project / "tensorboard/say/seed0")["train/loss"]] == list(range(1, STEPS + 1))


def senders(process: subprocess.Popen[str]) -> list[int]:
    """The processes that send for a training."""
    found = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [int(child) for file in found for child in file.read_text().split()]
    return [child for child in children if b"polar_tools.tracking.follower" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.mark.slow
def test_trackers_that_are_away_change_nothing(project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One refuses, one takes the call and says nothing."""
    untracked = (project / TRAIN / "record.json").read_bytes()
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        away = {"tracker": "mlflow", "tracking_uri": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        configure(project, [away, {"tracker": "wandb", "base_url": "http://127.0.0.1:9"}, "tensorboard"])
        settle(project)
        for name in ("manifest.json", "record.json"):
            (project / TRAIN / name).unlink()
        done = inside("train", TRAIN, "--preflight", "off", cwd=project)
    said = capfd.readouterr().err
    assert done.returncode == 0, done.stderr
    assert said.count("warning: mlflow") == 1 == said.count("warning: wandb"), said
    assert (project / TRAIN / "record.json").read_bytes() == untracked
    assert set(measured(project, TRAIN)["trackers"]) == {"tensorboard"}
    logged = figures(project / TRAIN / "metrics.jsonl")["train/loss"]
    assert scalars(project / "tensorboard/say/seed0")["train/loss"] == [(step, pytest.approx(value, rel=1e-6)) for step, value in logged]


def test_no_secret_reaches_a_tracker(
    project: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """They stand in the environment, in a file that the config names, in addresses; every byte is searched."""
    (project / "key").write_text(f"{CANARIES['file']}\n")
    trackers = [
        {**to_server(server, "secrets"), "token_file": "key", "tags": {"page": f"https://me:{CANARIES['tag']}@host/x"}},
        {"tracker": "wandb", "mode": "offline", "token_file": "key"},
        {"tracker": "tensorboard"},
    ]
    prompt = f"see https://me:{CANARIES['address']}@host/page and {CANARIES['environment']} and {CANARIES['file']} visible-marker"
    configure(project, trackers, system_prompt=prompt)
    settle(project)
    for name, canary in {"HF_TOKEN": "environment", "MY_DB_PASSWORD": "variable", "WANDB_API_KEY": "key"}.items():
        monkeypatch.setenv(name, CANARIES[canary])
    said = ""
    for words in (["tokenize", "results/say/tokenize"], ["train", TRAIN, "--preflight", "off"], ["track", "--replay"]):
        done = inside(*words, cwd=project)
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
    captured = capfd.readouterr()
    said += captured.out + captured.err
    places = (server.folder, project / "wandb", project / "tensorboard", *project.glob("results/**/.lock-track"))
    stored = [file for place in places for file in place.rglob("*") if file.is_file()]
    found = {name: [str(file) for file in stored if canary.encode() in file.read_bytes()] for name, canary in CANARIES.items()}
    assert not any(found.values()), found
    printed = {name for name, canary in CANARIES.items() if canary in said}
    assert printed <= {"file"}, "tools show how a prompt was changed, and only whoever sends knows what is in that file"
    for place in (server.folder / "artifacts", server.folder, project / "wandb", project / "tensorboard"):
        files = [file for file in place.rglob("*") if file.is_file() and (place != server.folder or file.suffix == ".db")]
        assert any(b"visible-marker" in file.read_bytes() for file in files), f"the search sees what is in {place}"


def test_a_secret_in_the_config_is_refused(project: Path) -> None:
    config = project / "config/config.yaml"
    text = config.read_text(encoding="utf-8").replace(
        "method: sft", f"method: sft\n    extra_args: {{hub_token: {CANARIES['variable']}}}", 1
    )
    config.write_text(text, encoding="utf-8")
    done = inside("check", "config/config.yaml", cwd=project)
    assert done.returncode == 2 and "experiments.say.extra_args.hub_token: a secret in a config would be recorded" in done.stderr
    assert CANARIES["variable"] not in done.stdout + done.stderr


def test_the_embedded_database_needs_no_server(project: Path) -> None:
    done = inside("track", "--replay", TRAIN, MEASURED, "--tracker", "mlflow", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert [one["state"] for one in json.loads(done.stdout)] == ["complete"] * 2
    with sqlite3.connect(project / "mlflow/mlflow.db") as database:
        losses = database.execute("select step, value from metrics where key = 'train/loss' order by step").fetchall()
    assert losses == figures(project / TRAIN / "metrics.jsonl")["train/loss"]
    assert list((project / "mlflow/artifacts").rglob("record.json")) and not (project / "mlflow.db").exists()


@pytest.mark.slow
def test_the_page_shows_the_run(project: Path, server: Server, tmp_path: Path) -> None:
    done = inside("track", "--replay", "--tracker", "mlflow", *options(server, "page"), cwd=project)
    assert done.returncode == 0, done.stderr
    trained = server.runs("page")["say/seed0"]
    with browser.opened() as opened:
        opened.driver.set_window_size(1400, 1000)
        opened.driver.get(f"{server.uri}/#/experiments/{trained.info.experiment_id}/runs/{trained.info.run_id}")
        end, text = time.monotonic() + 60, ""
        while not {"train/loss", "learning_rate", "Finished"} <= set(text.split()):
            assert time.monotonic() < end, text
            time.sleep(0.5)
            text = str(opened.script("return document.body.innerText"))
        assert "say/seed0" in text
        opened.picture(tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 10_000
