"""`polar-tools rank`: training rows by the loss of the untouched model, where an experiment asks for it, and nothing waits for it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from polar_tools import config
from polar_tools.plan import Plan
from tests import prepared
from tests.tiny import inside


@pytest.fixture
def folder(assets: Path, tmp_path: Path) -> Path:
    prepared.take_model(tmp_path, assets)
    prepared.write(tmp_path, [prepared.SHORT[:15], prepared.SHORT[15:]])
    assert prepared.tokenize(tmp_path).returncode == 0
    return tmp_path


def rank(folder: Path, rows: int, **fields: Any) -> subprocess.CompletedProcess[str]:
    target = folder / "results/x/rank"
    target.mkdir(parents=True, exist_ok=True)
    spec = {"stage": "rank", "tokenizer": "results/x/tokenize/tokenizer", "rows": rows, "seed": 0}
    (target / "spec.json").write_text(json.dumps({**spec, "experiment": prepared.experiment(threads=1, **fields)}))
    return inside("rank", "results/x/rank", cwd=folder)


def ranking(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results/x/rank/ranking.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_hardest_rows_stand_first(folder: Path) -> None:
    done = rank(folder, 100)
    assert done.returncode == 0, done.stderr
    found = ranking(folder)
    losses = [one["loss"] for one in found]
    assert losses == sorted(losses, reverse=True) and len(set(losses)) > 10
    assert sorted(one["row"] for one in found) == list(range(40))
    for one in found:
        row = prepared.SHORT[one["row"]]
        assert (one["input"], one["reference"]) == (row["prompt"], row["completion"])
    made = json.loads((folder / "results/x/rank/report.json").read_bytes())
    assert (made["rows"], made["of"], made["loss"]["max"], made["loss"]["min"]) == (40, 40, losses[0], losses[-1])
    page = (folder / "results/x/rank/report.html").read_text(encoding="utf-8")
    assert page.index(f"row {found[0]['row'] + 1}") < page.index(f"row {found[1]['row'] + 1}<")
    assert "http:" not in page and "https:" not in page


def test_some_rows_are_drawn_and_have_the_losses_that_they_have_among_all(folder: Path) -> None:
    assert rank(folder, 100).returncode == 0
    losses = {one["row"]: one["loss"] for one in ranking(folder)}
    assert rank(folder, 12).returncode == 0
    drawn = ranking(folder)
    assert len(drawn) == 12 and sorted(one["row"] for one in drawn) != list(range(12))
    assert all(one["loss"] == pytest.approx(losses[one["row"]], abs=1e-4) for one in drawn)


def test_it_is_planned_where_it_is_asked_for_and_no_training_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("prompt,completion\na,b\n")
    experiments = {name: {"method": "sft", "model": "m", "dataset": "d"} for name in ("without", "ranked")}
    experiments["ranked"]["rank_rows"] = 5  # type: ignore[assignment]
    sections = {"models": {"m": {"source": "file://rows.csv"}}, "datasets": {"d": {"source": "file://rows.csv"}}}
    plan = Plan(config.parse({**sections, "experiments": experiments}))
    assert [path for path in plan.artifacts if path.endswith("/rank")] == ["results/ranked/rank"]
    assert "results/ranked/rank/manifest.json" in plan.targets()
    assert not [path for path in plan.artifacts if "results/ranked/rank/manifest.json" in plan.inputs(path)]
    told = json.loads(plan.artifacts["results/ranked/rank"].frozen)
    assert (told["rows"], told["seed"]) == (5, 0)
    assert {"max_length", "threads", "dtype"} <= set(told["experiment"]) and "learning_rate" not in told["experiment"]
    one, other = (json.loads(plan.artifacts[f"results/{name}/seed0/train"].frozen) for name in experiments)
    assert one["experiment"] == other["experiment"]
