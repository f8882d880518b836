"""What jobs ask of a cluster, by config, by forecast, and by attempt."""

from pathlib import Path

import pytest

from polar_tools import config
from polar_tools.allocations import USUAL, Allocations
from polar_tools.estimates.planned import Planned
from polar_tools.plan import Plan
from tests.tiny import CONFIG

TRAIN = "results/say/seed0/train"


def allocations(resources: str = "{}", **edits: str) -> Allocations:
    """Of the tiny project, with what stands under `run: resources:`."""
    import yaml

    told = yaml.safe_load(CONFIG)
    told["run"]["resources"] = yaml.safe_load(resources)
    told["experiments"]["say"].update({name: yaml.safe_load(value) for name, value in edits.items()})
    return Allocations(Plan(config.parse(told, "config")))


@pytest.fixture(autouse=True)
def unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("llama/nothing", "bert/nothing", "rows.csv"):
        Path("assets", file).parent.mkdir(parents=True, exist_ok=True)
        Path("assets", file).touch()


@pytest.mark.parametrize(
    ("resources", "memory", "minutes"),
    [
        ("{train: {mem_mb: 1000, runtime: 60}}", [1000, 2000, 3000, 3000], [60, 120, 180, 240]),
        ("{train: {mem_mb: 1000, runtime: 600}, most: {mem_mb: 1500, runtime: 1000}}", [1000, 1500, 1500, 1500], [600, 1000, 1000, 1000]),
        ("{train: {mem_mb: 2000, runtime: 2880}, most: {mem_mb: 1500}}", [2000, 2000, 2000, 2000], [2880, 2880, 2880, 2880]),
    ],
)
def test_each_attempt_asks_for_more_up_to_a_limit(resources: str, memory: list[int], minutes: list[int]) -> None:
    jobs = allocations(resources)
    assert [jobs.mem_mb(TRAIN, attempt) for attempt in (1, 2, 3, 4)] == memory
    assert [jobs.runtime("train", attempt) for attempt in (1, 2, 3, 4)] == minutes


def test_what_nobody_can_foretell_asks_for_what_is_usual() -> None:
    assert allocations().mem_mb(TRAIN, 1) == 16000


def test_what_is_foretold_is_asked_for_and_a_quarter_more(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setitem(USUAL, "train", 1)
    jobs = allocations()
    foretold = Planned(jobs.plan).of(TRAIN).host
    assert foretold is not None
    assert jobs.mem_mb(TRAIN, 1) == int(foretold * 1.25) > 100


def test_training_is_told_of_its_end_in_time_for_its_limit() -> None:
    def extra(runtime: int, more: str = "") -> str:
        found: str = allocations(f"{{train: {{runtime: {runtime}{more}}}}}").of("train", TRAIN)["slurm_extra"]({}, 1)
        return found

    assert extra(1440) == "--signal=TERM@300"
    assert extra(4) == "--signal=TERM@60"
    assert extra(60, ", slurm_extra: --exclude=node07") == "--signal=TERM@300 --exclude=node07"


def test_place_is_said_where_the_config_says_it_and_left_to_the_profile_otherwise() -> None:
    assert set(allocations().of("evaluate", TRAIN)) == {"mem_mb", "runtime"}
    placed = allocations("{evaluate: {runtime: 5, slurm_partition: p, slurm_account: a, qos: q, constraint: c}}").of("evaluate", TRAIN)
    assert {name: placed[name] for name in ("slurm_partition", "slurm_account", "qos", "constraint")} == {
        "slurm_partition": "p",
        "slurm_account": "a",
        "qos": "q",
        "constraint": "c",
    }


@pytest.mark.parametrize(
    ("gpus", "nodes", "model", "gres"), [("0", "1", None, None), ("2", "1", "a100", None), ("2", "2", None, "gpu:a100:2")]
)
def test_gpu_model_is_asked_for_with_gpus(gpus: str, nodes: str, model: str | None, gres: str | None) -> None:
    jobs = allocations("{train: {runtime: 5, gpu_model: a100}}", gpus=gpus, nodes=nodes)
    assert jobs.of("train", TRAIN)["gpu_model"]({}) == model
    assert jobs.plan.allocation(TRAIN)["gres"] == gres
