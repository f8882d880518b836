"""What the config says of trackers; what counts as a secret; files that grow, and are begun anew, while they are read."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from polar_tools import config, secrets, tracker_config
from polar_tools.errors import ConfigError
from polar_tools.trackers.base import NOTES
from polar_tools.tracking import runs, usage
from polar_tools.tracking.tail import Tail
from polar_tools.tracking.telling import Told


def parsed(*trackers: Any) -> tuple[Any, ...]:
    data = {"models": {"m": {"source": "file://m"}}, "run": {"trackers": list(trackers)}}
    return config.parse(data).run.trackers


def refused(*trackers: Any) -> str:
    with pytest.raises(ConfigError) as error:
        parsed(*trackers)
    return str(error.value)


def test_one_word_is_enough_and_none_is_the_default() -> None:
    assert parsed() == ()
    assert [(one.tracker, one.name) for one in parsed("mlflow", {"tracker": "wandb", "name": "x-{run}"})] == [
        ("mlflow", "{experiment}/{run}"),
        ("wandb", "x-{run}"),
    ]


@pytest.mark.parametrize(
    ("trackers", "said"),
    [
        (["mlfow"], "did you mean `mlflow`"),
        (["mlflow", {"tracker": "mlflow"}], "`mlflow` stands twice"),
        ([{"tracker": "wandb", "projct": "x"}], "did you mean `project`"),
        ([{"tracker": "mlflow", "tracking_uri": "https://me:secret@host"}], "tracking_uri: it names a user or a password"),
        ([{"tracker": "wandb", "name": "{sed}"}], "in braces may stand project, experiment, run"),
        ([{"tracker": "wandb", "mode": "sometimes"}], "must be 'online' or 'offline'"),
    ],
)
def test_mistakes_are_named(trackers: list[Any], said: str) -> None:
    assert said in refused(*trackers) and "secret@" not in refused(*trackers)


def test_the_tools_are_told_by_a_file_that_goes_with_the_last_tracker(tmp_path: Path) -> None:
    settings = tracker_config.Settings(project_name="p", trackers=parsed({"tracker": "mlflow", "log_model": True}, "tensorboard"))
    tracker_config.settle(settings, tmp_path)
    assert tracker_config.read(tmp_path) == settings
    before = (tmp_path / tracker_config.FILE).stat().st_mtime_ns
    tracker_config.settle(settings, tmp_path)
    assert (tmp_path / tracker_config.FILE).stat().st_mtime_ns == before
    tracker_config.settle(tracker_config.Settings(project_name="p"), tmp_path)
    assert tracker_config.read(tmp_path) is None


def test_secrets_are_known_by_the_names_of_variables_and_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITLAB_TOKEN", "DB_PASSWORD", "OPENAI_API_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, f"held-in-{name.lower()}")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false-but-long")
    secrets.learn({"extra_args": [{"hub_token": "held-in-a-field"}], "eos_token": "<|im_end|>-long", "tokenizer": "bert-base"})
    text = "held-in-gitlab_token held-in-db_password held-in-openai_api_key held-in-aws_access_key_id held-in-a-field"
    assert secrets.redacted(text) == " ".join(["***"] * 5)
    plain = "false-but-long <|im_end|>-long bert-base hf://org/name@main pypi://x==1.0/y s3://bucket/a@b me@host"
    assert secrets.redacted(plain) == plain
    assert (
        secrets.redacted("git+https://me:pass@host/x https://token@host s3://k:v@host")
        == "git+https://***@host/x https://***@host s3://***@host"
    )


def test_lines_are_read_once_and_whole_and_anew_where_a_file_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    tail = Tail(file)
    assert tail.read() == []
    file.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    assert [one["step"] for one in tail.read()] == [1, 2]
    with file.open("a") as output:
        output.write('p": 3}\n')
    assert [one["step"] for one in tail.read()] == [3]
    file.write_text("".join(f'{{"step": {step}, "resumed": true}}\n' for step in range(1, 9)))  # longer than before
    assert [one["step"] for one in tail.read()] == list(range(1, 9))
    assert tail.read() == []


def test_a_training_that_is_made_from_something_else_is_another_run(tmp_path: Path) -> None:
    folder = tmp_path / "results/say/seed0/train"
    folder.mkdir(parents=True)

    def run_of(rate: float) -> str:
        (folder / "spec.json").write_text(json.dumps({"stage": "train", "experiment": {"learning_rate": rate}}))
        return runs.of(tmp_path, "results/say/seed0/train", "p").id

    first = run_of(0.1)
    assert run_of(0.1) == first and len(first) == 32
    assert run_of(0.2) != first


def test_a_publication_belongs_to_the_run_of_what_it_publishes(tmp_path: Path) -> None:
    train, publication = tmp_path / "results/say/seed1/train", tmp_path / "results/publish/say"
    sent = {"targets": {"hub": {"uri": "hf://me/say", "commit": "abc"}}}
    for folder, spec, facts, measured in (
        (train, {"stage": "train"}, {}, {"trackers": {"mlflow": {"run": "a" * 32, "run_id": "1"}}}),
        (publication, {"stage": "publish"}, {"artifact": "results/say/seed1/train"}, sent),
    ):
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(json.dumps(spec))
        (folder / "record.json").write_text(json.dumps({"spec": spec, "inputs": {}, "local_files": {}, "files": {}, "facts": facts}))
        (folder / "manifest.json").write_text(json.dumps({"measured": measured}))
    run = runs.of(tmp_path, "results/publish/say", "p")
    assert (run.id, run.path, run.experiment, run.run) == ("a" * 32, "results/say/seed1/train", "say", "seed1")
    assert json.loads(Told(tmp_path, "results/publish/say", run).tags()["polar.published.say"])["hub"]["commit"] == "abc"


def test_what_is_used_is_kept_in_numbered_lines_also_after_one_was_cut(tmp_path: Path) -> None:
    (tmp_path / NOTES).mkdir()
    file = tmp_path / NOTES / usage.FILE
    usage.Sampler(tmp_path, os.getpid()).look()
    with file.open("a") as output:
        output.write('{"number": 1, "ti')
    usage.Sampler(tmp_path, os.getpid()).look()
    lines = Tail(file).read()
    assert [line["number"] for line in lines] == [0, 2]
    assert lines[0]["values"]["system/system_memory_usage_megabytes"] > 0
