"""Laws of the house that a machine can keep: layers, one name for a stage, no dumping ground."""

import subprocess
import sys
from pathlib import Path

import pytest

from polar_tools.specs import SPECS
from tests.tiny import REPOSITORY

COMMAND_OF = {"mirror": "pull_push", "convert": "convert_model"}


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (REPOSITORY / name).exists()]


def test_arrows_run_one_way() -> None:
    done = subprocess.run([str(Path(sys.executable).parent / "lint-imports")], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("stage", SPECS)
def test_stage_has_one_name_in_three_places(stage: str) -> None:
    command = COMMAND_OF.get(stage, stage)
    rule = (REPOSITORY / f"workflow/rules/{stage}.smk").read_text(encoding="utf-8")
    assert f"rule {stage}:" in rule
    assert f"polar-tools {command.replace('_', '-')} {{input.spec}}" in rule
    assert f'"{stage}"' in (REPOSITORY / f"polar_tools/commands/{command}.py").read_text(encoding="utf-8")
    assert "def run(" in (REPOSITORY / f"polar_tools/stages/{stage}.py").read_text(encoding="utf-8")


def test_no_dumping_ground() -> None:
    forbidden = {"utils", "helpers", "common", "misc", "manager"}
    assert not [name for name in tracked() if Path(name).stem in forbidden]
