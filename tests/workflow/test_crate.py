"""Results for an archive: an RO-Crate that says of each file which run made it from what."""

import json
from pathlib import Path
from typing import Any

from polar_tools.artifact import sha256_of
from tests.tiny import inside

LICENCE = "https://spdx.org/licenses/Apache-2.0"


def exported(project: Path, output: Path, *words: str) -> dict[str, dict[str, Any]]:
    done = inside("export-crate", "results/say", "--output", str(output), "--license", LICENCE, *words, cwd=project)
    assert done.returncode == 0, done.stderr
    graph: list[dict[str, Any]] = json.loads((output / "ro-crate-metadata.json").read_bytes())["@graph"]
    return {entity["@id"]: entity for entity in graph}


def test_a_crate_leads_from_a_report_to_the_source(finished: Path, tmp_path: Path) -> None:
    graph = exported(finished, tmp_path / "crate")
    assert graph["./"]["conformsTo"] == {"@id": "https://w3id.org/ro/wfrun/process/0.5"}
    assert graph["./"]["license"] == {"@id": LICENCE}
    report = "results/say/seed0/evaluate/sayings/report.json"
    assert graph[report]["sha256"] == sha256_of(finished / report) == sha256_of(tmp_path / "crate" / report)
    action = graph["#results/say/seed0/evaluate/sayings"]
    assert action["result"] == {"@id": "results/say/seed0/evaluate/sayings/"}
    assert action["startTime"] <= action["endTime"]
    assert graph[action["instrument"]["@id"]]["name"] == "polar-tools evaluate"
    reached, waiting = set(), [action]
    while waiting:
        for entity in waiting.pop()["object"]:
            reached.add(entity["@id"])
            above = graph.get(f"#{entity['@id'].rstrip('/')}")
            waiting += [above] if above is not None and entity["@id"].endswith("/") else []
    assert {"#file://assets/rows.csv", "results/say/seed0/train/", "resources/models/llama/"} <= reached
    assert {entity["@id"] for entity in graph["./"]["mentions"]} >= {"#results/say/seed0/train", "#resources/models/llama"}


def test_a_crate_has_every_file_that_it_names(finished: Path, tmp_path: Path) -> None:
    few, all_of_them = (exported(finished, tmp_path / name, *words) for name, words in (("few", ()), ("all", ("--everything",))))
    for folder, graph in ((tmp_path / "few", few), (tmp_path / "all", all_of_them)):
        named = {name for name, entity in graph.items() if entity["@type"] == "File"}
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert named == there - {"ro-crate-metadata.json"}
    source = "resources/datasets/sayings/snapshot/rows.csv"
    assert source not in few
    assert all_of_them[source]["sha256"] == sha256_of(finished / "assets/rows.csv")
    assert [name for name in all_of_them if "/checkpoints/" in name]


def test_a_crate_is_the_same_for_the_same_results_and_goes_into_a_new_folder(finished: Path, tmp_path: Path) -> None:
    assert exported(finished, tmp_path / "one") == exported(finished, tmp_path / "two")
    done = inside("export-crate", "results/say", "--output", str(tmp_path / "one"), "--license", LICENCE, cwd=finished)
    assert done.returncode == 2
    assert "holds something else" in done.stderr
