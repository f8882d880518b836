"""Run every stage of a config in this process, by the commands that Snakemake would call, one after another."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from polar_tools import config as configs
from polar_tools.cli import group
from polar_tools.plan import Plan

COMMANDS = {"mirror": "pull-push", "convert": "convert-model"}
"""Stages whose command has another name."""


def run_plan(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Make all that the config `text` asks for in `folder`; asserts that each stage succeeds."""
    monkeypatch.chdir(folder)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return make("config.yaml")


BEFORE_TRAINING = ("mirror", "prepare", "tokenize")


def make(config: str, stages: Sequence[str] | None = None) -> Plan:
    """Make all that a config asks for in the working directory, or what some stages make of it."""
    plan = Plan(configs.load(Path(config)))
    plan.settle()
    for path, made in plan.artifacts.items():
        if stages is None or made.spec.stage in stages:
            command(COMMANDS.get(made.spec.stage, made.spec.stage), f"{path}/spec.json")
    return plan


def command(*words: str) -> str:
    """What a command prints; asserts that it succeeds."""
    done = CliRunner().invoke(group, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def report(folder: Path, run: str, evaluation: str = "learn", experiment: str = "learn") -> dict[str, Any]:
    """The report of a run (`base`, `seed0`) on an evaluation."""
    found: dict[str, Any] = json.loads((folder / f"results/{experiment}/{run}/evaluate/{evaluation}/report.json").read_bytes())
    return found
