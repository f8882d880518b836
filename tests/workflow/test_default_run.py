"""The README's first command in a clean clone: real models, real text, and what they must reach."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from polar_tools.artifact import sha256_of
from tests.tiny import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean clone after `make run`."""
    folder = tmp_path_factory.mktemp("default-run") / "polar"
    subprocess.run(["git", "clone", "-q", str(REPOSITORY), str(folder)], check=True)
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if not part.startswith(str(REPOSITORY)))
    started = time.monotonic()
    done = subprocess.run(["make", "run"], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
    print(f"make run, environment and all: {time.monotonic() - started:.0f} s")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return folder


def tool(clone: Path, *command: str) -> subprocess.CompletedProcess[str]:
    script = f". .venv/bin/activate && {' '.join(command)}"
    return subprocess.run(["bash", "-c", script], cwd=clone, capture_output=True, text=True, check=False)


def metrics(clone: Path) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = json.loads((clone / "results/report/metrics.json").read_text())
    return found


def test_describing_improves(clone: Path) -> None:
    numbers = metrics(clone)["describe"]["descriptions"]
    before, after = numbers["base"], numbers["seed0"]
    print({name: (round(before[name], 4), round(after[name], 4)) for name in sorted(after)})
    assert after["rougeL"] - before["rougeL"] >= 0.20
    assert after["loss"] < before["loss"]


def test_sorting_into_topics_works(clone: Path) -> None:
    numbers = metrics(clone)["topics"]["topics"]
    print({run: {name: round(value, 4) for name, value in found.items()} for run, found in numbers.items()})
    assert numbers["seed0"]["accuracy"] >= 0.80
    assert numbers["seed0"]["accuracy"] > numbers["seed0"]["majority_accuracy"]
    assert numbers["seed0"]["macro_f1"] > numbers["base"]["macro_f1"]


def test_there_is_nothing_left_to_do(clone: Path) -> None:
    done = tool(clone, "snakemake", "-n")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_every_number_leads_to_the_archives(clone: Path) -> None:
    archives = {
        "describe/seed0 descriptions rougeL": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "topics/seed0 topics accuracy": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    }
    for number, model in archives.items():
        shown = tool(clone, "polar-tools", "lineage", number).stdout
        assert model in shown and "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa" in shown, shown


def test_one_number_is_followed_record_by_record_to_the_archives(clone: Path) -> None:
    told = json.loads(tool(clone, "polar-tools", "lineage", "describe/seed0", "descriptions", "rougeL", "--json").stdout)
    assert told["figures"][0]["value"] == metrics(clone)["describe"]["descriptions"]["seed0"]["rougeL"]
    assert told["figures"][0]["report"] == told["chain"]["files"]["report.json"]
    archives, waiting = {}, [told["chain"]]
    while waiting:
        node = waiting.pop()
        folder = clone / node["path"]
        assert node["record"] == sha256_of(folder / "record.json")
        recorded = json.loads((folder / "record.json").read_bytes())["inputs"]
        assert {above["path"]: above["record"] for above in node["inputs"]} == recorded
        if not recorded:
            archives[node["path"]] = node["source"]["archive_sha256"]
        waiting += node["inputs"]
    config = yaml.safe_load((clone / "config/config.yaml").read_text(encoding="utf-8"))
    pinned = {"models": config["models"]["smollm2"], "datasets": config["datasets"]["descriptions"]}
    names = {"models": "smollm2", "datasets": "descriptions"}
    assert archives == {f"resources/{section}/{names[section]}": source["sha256"] for section, source in pinned.items()}
    assert {source["path"]: source["archive_sha256"] for source in told["sources"]} == archives


def test_verify_passes_and_names_a_changed_byte(clone: Path) -> None:
    passed = tool(clone, "polar-tools", "verify", "results/describe")
    assert passed.returncode == 0, passed.stderr
    for pattern in ("checkpoints/*/optimizer.pt", "model/adapter_model.safetensors"):
        file = next((clone / "results/describe/seed0/train").glob(pattern))
        original = file.read_bytes()
        file.write_bytes(original[:1000] + bytes([original[1000] ^ 1]) + original[1001:])
        failed = tool(clone, "polar-tools", "verify", "results/describe")
        file.write_bytes(original)
        assert failed.returncode == 1
        assert f"{file.relative_to(clone)}: changed" in failed.stderr
