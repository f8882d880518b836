"""Every picture of the documentation is made by a script, and the workflow's drawing is what Snakemake says."""

import subprocess
from pathlib import Path

from docs import draw_workflow, take_pictures
from tests import tiny
from tests.tiny import REPOSITORY

PICTURES = REPOSITORY / "docs/pictures"


def test_every_picture_has_a_maker() -> None:
    made = {f"{name}.png" for name in take_pictures.SHOTS} | {"workflow.svg"}
    assert {path.name for path in PICTURES.iterdir()} == made


def test_the_drawing_is_of_the_rules_as_they_are(tmp_path: Path) -> None:
    for name in (*tiny.WORKFLOW_FILES, "config"):
        subprocess.run(["cp", "-a", str(REPOSITORY / name), str(tmp_path)], check=True)
    drawn = draw_workflow.drawing(draw_workflow.rules(tmp_path))
    assert drawn == (PICTURES / "workflow.svg").read_text(encoding="utf-8"), "run `make pictures`"


def test_rules_stand_from_left_to_right_by_what_they_are_made_of() -> None:
    edges = {("mirror", "prepare"), ("prepare", "train"), ("mirror", "train"), ("train", "report"), ("prepare", "report")}
    assert draw_workflow.direct(edges) == {("mirror", "prepare"), ("prepare", "train"), ("train", "report")}
    assert draw_workflow.columns(edges) == [["mirror"], ["prepare"], ["train"], ["report"]]
