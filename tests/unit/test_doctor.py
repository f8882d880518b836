"""`polar-tools doctor`: what is here, and what a config needs that isn't."""

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests import hub_server
from tests.tiny import run

PROFILE = "executor: slurm\nslurm-status-command: squeue\n"


def found(cwd: Path, *arguments: str, status: int = 0, **environment: str) -> list[dict[str, Any]]:
    """What the doctor finds."""
    done = run("polar-tools", "doctor", "--json", *arguments, cwd=cwd, **environment)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def of(findings: list[dict[str, Any]], subject: str) -> list[tuple[str, str]]:
    return [(one["level"], one["said"]) for one in findings if one["subject"] == subject]


def test_it_tells_of_this_machine(tmp_path: Path) -> None:
    told = found(tmp_path)
    (processor,) = of(told, "processor")
    assert processor[0] == "good" and processor[1].startswith(f"{len(os.sched_getaffinity(0))} core")
    assert of(told, "python") == [("good", f"{sys.version.split()[0]} on Linux {os.uname().machine}")]
    assert any("snakemake 9." in said for _, said in of(told, "workflow"))
    text = run("polar-tools", "doctor", cwd=tmp_path).stdout
    assert len(text.splitlines()) == len(told) and all(len(line) < 200 for line in text.splitlines())


def test_a_config_that_wants_gpus_that_are_not_here(fresh: Path) -> None:
    config = fresh / "config/config.yaml"
    assert not [one for one in found(fresh, "config/config.yaml") if one["level"] == "problem"]
    config.write_text(config.read_text(encoding="utf-8").replace("method: sft", "method: sft\n    gpus: 64", 1), encoding="utf-8")
    problems = [one for one in found(fresh, "config/config.yaml", status=1) if one["level"] == "problem"]
    assert [one["subject"] for one in problems] == ["gpu"] and "gpus: 64" in problems[0]["said"]


def test_a_config_that_wants_packages_that_are_not_here(fresh: Path, tmp_path: Path) -> None:
    config = fresh / "config/config.yaml"
    config.write_text(config.read_text(encoding="utf-8") + "  trackers: [{tracker: tensorboard}]\n", encoding="utf-8")
    assert of(found(fresh, "config/config.yaml"), "track")[0][0] == "good"
    hidden = "import importlib.metadata as m\nreal = m.version\ndef version(name):\n"
    hidden += "    if name == 'tensorboard': raise m.PackageNotFoundError(name)\n    return real(name)\nm.version = version\n"
    (tmp_path / "sitecustomize.py").write_text(hidden)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    ((level, said),) = of(found(fresh, "config/config.yaml", status=1, PYTHONPATH=paths), "track")
    assert level == "problem" and said == "run.trackers needs it; tensorboard missing: pip install 'polar-tools[track]'"


def test_a_hub_knows_a_token_or_refuses_it_and_nobody_sees_it(tmp_path: Path) -> None:
    with hub_server.running() as hub:
        hub.users.add("hf_thisOneIsGood")
        good = found(tmp_path, **{**hub.environment(), "HF_TOKEN": "hf_thisOneIsGood"})
        bad = found(tmp_path, status=1, **{**hub.environment(), "HF_TOKEN": "hf_thisOneIsBad"})
    assert of(good, "hub")[0][0] == "good" and "knows the token" in of(good, "hub")[0][1]
    assert of(bad, "hub")[0][0] == "problem" and "refuses the token" in of(bad, "hub")[0][1]
    assert "hf_this" not in json.dumps([good, bad])


def test_a_hub_that_is_not_there_is_a_problem_only_where_it_is_needed(tmp_path: Path) -> None:
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    assert of(found(tmp_path, **nowhere), "hub")[0][0] == "note"
    (tmp_path / "config.yaml").write_text("models: {m: {source: hf://org/name}}\n")
    assert of(found(tmp_path, "config.yaml", status=1, **nowhere), "hub")[0][0] == "problem"


def test_without_a_cluster_a_profile_for_one_is_a_problem(tmp_path: Path) -> None:
    assert run("polar-tools", "doctor", "--profile", "slurm", cwd=tmp_path).returncode == 2
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/profile.yaml").write_text(PROFILE)
    (problem,) = of(found(tmp_path, "--profile", "slurm", status=1, SLURM_CONF=str(tmp_path / "none")), "slurm")
    assert problem[0] == "problem" and "no cluster answers" in problem[1]


def changed(project: Path, right: str, wrong: str) -> None:
    config = project / "config/config.yaml"
    text = config.read_text(encoding="utf-8")
    assert right in text
    config.write_text(text.replace(right, wrong, 1), encoding="utf-8")


def test_what_an_experiment_asks_for_and_is_not_here_comes_with_its_command(fresh: Path) -> None:
    asks = "optim: grokadamw", "attn_implementation: flash_attention_2", "dtype: bfloat16", "gpus: 1"
    changed(fresh, "    logging_steps: 1\n", "".join(f"    {line}\n" for line in ("logging_steps: 1", *asks)))
    told = found(fresh, "config/config.yaml", status=1)
    assert of(told, "optim") == [("problem", "experiments.say needs grokadamw for `optim: grokadamw`: pip install 'grokadamw'")]
    ((level, said),) = of(told, "flash")
    assert level == "problem" and "attn_fallback: true" in said and "pip install flash-attn --no-build-isolation" in said
    ((level, said),) = of(told, "disk")
    assert level in ("good", "note") and "the plan writes about 0.0 GB, and what of" in said
    assert [level for level, _ in of(told, "deepspeed")] == ["good"] or "compiles its optimizer" in of(told, "deepspeed")[0][1]


def test_a_token_that_may_only_read_publishes_nothing(fresh: Path) -> None:
    changed(fresh, "run:\n", "publish: {say: {experiment: say, push_to_hub: true, hub_model_id: org/say}}\nrun:\n")
    with hub_server.running() as hub:
        hub.users |= {"hf_thisOneReads", "hf_thisOneWrites"}
        hub.readonly.add("hf_thisOneReads")
        none = found(fresh, "config/config.yaml", status=1, **{**hub.environment(), "HF_TOKEN": "", "HF_TOKEN_PATH": "none"})
        reads = found(fresh, "config/config.yaml", status=1, **{**hub.environment(), "HF_TOKEN": "hf_thisOneReads"})
        writes = found(fresh, "config/config.yaml", **{**hub.environment(), "HF_TOKEN": "hf_thisOneWrites"})
    assert "there is no token" in of(none, "hub")[0][1] and "may only read" in of(reads, "hub")[0][1]
    assert of(writes, "hub")[0][0] == "good" and "hf_this" not in json.dumps([none, reads, writes])


def test_trackers_are_asked_and_never_a_problem(fresh: Path) -> None:
    trackers = "[tensorboard, {tracker: mlflow, tracking_uri: http://127.0.0.1:9}, {tracker: wandb, base_url: http://127.0.0.1:9}]"
    changed(fresh, "run:\n", f"run:\n  trackers: {trackers}\n")
    told = found(fresh, "config/config.yaml", WANDB_API_KEY="a-key-that-nobody-sees")
    for name in ("mlflow", "wandb"):
        ((level, said),) = of(told, name)
        assert level == "note" and "127.0.0.1:9 can't be reached" in said and "track --replay" in said
    assert not of(told, "tensorboard") and "a-key" not in json.dumps(told)


def test_a_tracker_that_answers_takes_the_key_or_refuses_it(fresh: Path) -> None:
    changed(fresh, "run:\n", "run:\n  trackers: [mlflow]\n")
    with answering({"Bearer right": 200}) as address:
        good = found(fresh, "config/config.yaml", MLFLOW_TRACKING_URI=address, MLFLOW_TRACKING_TOKEN="right")
        bad = found(fresh, "config/config.yaml", MLFLOW_TRACKING_URI=address, MLFLOW_TRACKING_TOKEN="wrong")
    assert of(good, "mlflow")[0] == ("good", f"{address} answers and takes the key")
    assert of(bad, "mlflow")[0][0] == "note" and "refuses the key" in of(bad, "mlflow")[0][1]


@contextlib.contextmanager
def answering(statuses: dict[str, int]) -> Iterator[str]:
    """A server that answers by what stands in `Authorization`; 401 to all others."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.get(self.headers.get("Authorization", ""), 401))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
