"""Tools as jobs: they outlive whoever started them, any process may ask, and what is cancelled goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from polar_tools import jobs, processes
from polar_tools.errors import UserError
from polar_tools.jobs import state
from polar_tools.jobs.asking import Status

TRAIN = {"method": "sft", "model_name_or_path": "llama", "train_data": "rows.csv", "output_dir": "out"}
PROGRAM = "from polar_tools import jobs; print(jobs.start('prepare', {'source': 'rows.csv', 'output': 'prepared'}, 'jobs').folder)"
SECRET = "hf_aSecretThatNobodyMaySee"


def until(seen: Callable[[], bool]) -> None:
    ends = time.monotonic() + 90
    while not seen():
        assert time.monotonic() < ends, "it never came so far"
        time.sleep(0.05)


def children() -> set[str]:
    """The processes that this one has started, and their remains."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_a_job_outlives_its_starter_and_tells_what_came_of_it(here: Path) -> None:
    started = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=here)
    job = jobs.find(started.stdout.strip())
    found = jobs.wait(job)
    assert (found.state, found.exit_status, found.message) == ("done", 0, None)
    assert found.artifacts == {"output": str(here / "prepared")}
    assert (here / "prepared/dataset/manifest.json").is_file()
    assert [one.id for one in jobs.list("jobs")] == [job.id]
    assert jobs.status(job.id, "jobs") == found


def test_a_mistake_is_told_before_anything_is_started(here: Path) -> None:
    mistakes = {
        "there is no tool `trian` for programs, did you mean `train`?": ("trian", {}),
        "train has no argument `learning_rat`, did you mean `learning_rate`?": ("train", {**TRAIN, "learning_rat": 1}),
        "learning_rate: must be a number": ("train", {**TRAIN, "learning_rate": "fast"}),
        "there is no `sfd` in methods, did you mean `sft`?": ("train", {**TRAIN, "method": "sfd"}),
        "train: output_dir is missing": ("train", {name: value for name, value in TRAIN.items() if name != "output_dir"}),
        "pull-push: jobs: 1000 is not in the range": ("pull-push", {"source": "a/b", "target": "c/d", "jobs": 1000}),
        "publish: `private` goes with `target`": ("publish", {"path": "results", "private": True}),
        "prepare: spec says everything itself; leave out output": ("prepare", {"spec": "x", "output": "y"}),
        "prepare: set: must be a list": ("prepare", {"source": "rows.csv", "output": "y", "set": "filters=[]"}),
        "is not of the form FIELD=VALUE": ("prepare", {"source": "rows.csv", "output": "y", "set": ["filters"]}),
    }
    for message, (tool, arguments) in mistakes.items():
        with pytest.raises(UserError) as refused:
            jobs.start(tool, arguments, "jobs")
        assert message in str(refused.value)
    assert not Path("jobs").exists()


def test_what_fails_says_why(here: Path) -> None:
    found = jobs.wait(jobs.start("prepare", {"source": "nothing.csv", "output": "prepared"}, "jobs"))
    assert (found.state, found.exit_status) == ("failed", 2)
    assert found.message is not None and "there is no file" in found.message and "Traceback" not in found.message


def test_what_a_tool_prints_for_programs_is_the_result(here: Path) -> None:
    Path("predictions.jsonl").write_text('{"prediction": "a b", "reference": "a b"}\n')
    found = jobs.wait(jobs.start("score", {"predictions": "predictions.jsonl", "metrics": "exact_match"}, "jobs"))
    assert found.result == {"exact_match": 1.0}


def test_no_secret_lies_on_the_disk_or_in_the_list_of_processes(here: Path) -> None:
    for arguments in ({"source": "a/b", "target": f"s3://me:{SECRET}@host/b"}, {"source": "a/b", "target": "c/d", "message": SECRET}):
        with pytest.raises(UserError, match="secret"):
            jobs.start("pull-push", arguments, "jobs", environment={"HF_TOKEN": SECRET})
    with pytest.raises(UserError, match="token: a secret"):
        jobs.start("pull-push", {"source": "a/b", "target": "c/d", "token": "anything"}, "jobs")
    job = jobs.start("prepare", {"source": f"s3://bucket/{'x'}", "output": "out"}, "jobs", environment={"HF_TOKEN": SECRET})
    jobs.wait(job)
    assert not [file for file in Path("jobs").rglob("*") if file.is_file() and SECRET in file.read_text()]
    assert (job.folder.stat().st_mode & 0o077) == 0


def test_nobody_leaves_remains(here: Path) -> None:
    before = children()
    jobs.wait(jobs.start("prepare", {"source": "rows.csv", "output": "prepared"}, "jobs"))
    assert children() == before


def asleep(name: str, **told: object) -> jobs.Job:
    """A job that does nothing for long: it follows a training that isn't there."""
    Path("results").mkdir(exist_ok=True)
    return jobs.start("track", {"follow": 60, **told}, "jobs", **({"at_once": 1} if name == "queued" else {}))


def supervisor(job: jobs.Job) -> state.Process:
    found = state.standing(job).supervisor
    assert found is not None
    return found


def running(job: jobs.Job) -> Status:
    until(lambda: jobs.status(job).state == "running")
    return jobs.status(job)


def test_where_the_supervisor_is_killed_the_tool_is_told_and_the_job_is_interrupted(here: Path) -> None:
    job = asleep("killed")
    running(job)
    process = supervisor(job)
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not process.lives())
    found = jobs.status(job)
    assert found.state == "interrupted" and "without a word" in str(found.message)
    until(lambda: not tools_of(job))


def tools_of(job: jobs.Job) -> list[str]:
    """Processes that write to a job's log."""
    log = str(job.folder / state.LOG)
    found = []
    for handles in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.readlink(handle) == log for handle in handles.iterdir()):
                found.append(handles.parent.name)
        except OSError:
            continue
    return found


def test_another_process_with_the_number_is_not_taken_for_it(here: Path) -> None:
    job = jobs.start("prepare", {"source": "rows.csv", "output": "prepared"}, "jobs")
    jobs.wait(job)
    with subprocess.Popen(["sleep", "60"]) as other:
        born = processes.born(other.pid)
        for process, seen in ((state.Process(other.pid, "1", processes.machine(), "here"), "interrupted"),):
            state.write(job, state.Standing("running", process))
            assert jobs.status(job).state == seen
            jobs.cancel(job)
        assert processes.born(other.pid) == born, "a stranger was sent a signal"
        other.kill()
    state.write(job, state.Standing("running", state.Process(1, "1", "another machine", "node7")))
    assert jobs.status(job).state == "running"
    with pytest.raises(UserError, match="node7"):
        jobs.cancel(job)


def test_two_who_start_it_again_start_it_once(here: Path) -> None:
    job = asleep("twice")
    running(job)
    jobs.cancel(job)
    jobs.wait(job)
    program = "from polar_tools import jobs; import sys; jobs.again(sys.argv[1])"
    both = [subprocess.Popen([sys.executable, "-c", program, str(job.folder)], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate()[1] for process in both)
    assert said[0] == "" and "cancel it first" in said[1]
    assert running(job).state == "running" and len(tools_of(job)) == 2, "its supervisor and its tool, once"
    jobs.cancel(job)
    assert jobs.wait(job).state == "cancelled"


def test_one_waits_for_the_other(here: Path) -> None:
    first, second, third = (asleep("queued") for _ in range(3))
    running(first)
    assert {jobs.status(second).state, jobs.status(third).state} == {"queued"}
    assert jobs.wait(jobs.cancel(third).log.removesuffix("/log")).state == "cancelled"
    jobs.cancel(first)
    assert jobs.wait(first).state == "cancelled"
    running(second)
    jobs.cancel(second)
    assert jobs.wait(second).state == "cancelled"
