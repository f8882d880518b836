"""What is said to Snakemake's executor of Slurm's jobs, look by look. What Slurm itself does is seen in tests/slurm."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from polar_tools import slurm


def watch(*looks: Mapping[str, str] | None) -> list[dict[str, str]]:
    """What is said at each look, where squeue says this, or nothing."""
    answers = iter(looks)

    async def ask(command: str, logger: object) -> tuple[dict[str, str] | None, float | None]:
        told = next(answers)
        return (None, None) if told is None else (dict(told), 0.1)

    asked = slurm.Watch(ask)
    return [asyncio.run(asked("squeue", logging.getLogger(__name__)))[0] for _ in looks]


def test_an_answer_that_does_not_come_is_no_end_of_any_job() -> None:
    assert watch({"1": "RUNNING"}, None, None, {"1": "COMPLETED"}) == [{"1": "RUNNING"}, {}, {}, {"1": "COMPLETED"}]


def test_states_are_told_as_the_executor_knows_them() -> None:
    assert watch({"1": "CANCELLED by 0", "2": "TIMEOUT"}) == [{"1": "CANCELLED", "2": "TIMEOUT"}]


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL"])
def test_job_that_slurm_queues_again_goes_on_and_one_that_it_does_not_has_ended(state: str) -> None:
    again = watch({"1": "RUNNING"}, {"1": state}, {"1": "PENDING"}, {"1": state}, {"1": "RUNNING"})
    assert [said["1"] for said in again] == ["RUNNING", "REQUEUED", "PENDING", "REQUEUED", "RUNNING"]
    ended = watch({"1": "RUNNING"}, {"1": state}, {"1": state})
    assert [said["1"] for said in ended] == ["RUNNING", "REQUEUED", "CANCELLED"]


def test_job_that_slurm_forgot_is_judged_by_what_it_made() -> None:
    said = watch({"1": "RUNNING", "2": "COMPLETED"}, {}, {})
    assert said[1] == {"1": "REQUEUED"}
    assert said[2] == {"1": "UNKNOWN"}


def test_where_there_is_no_slurm_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    slurm.wait_for_controller()
    assert slurm.orphans(tmp_path, "run") == {}
