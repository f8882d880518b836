"""Every config in the documentation is valid as it stands, whole ones and pieces; and both languages show the same."""

import json
import re

import pytest

from tests.docs import configs, pages
from tests.tiny import REPOSITORY


@pytest.mark.parametrize("page", pages.every())
def test_yaml_is_valid(page: str) -> None:
    wrong = [
        f"{block.place}: {said}" for block in pages.blocks(page, "yaml") if not block.foreign and (said := configs.complaint(block.text))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", pages.every())
def test_json_is_valid(page: str) -> None:
    for block in pages.blocks(page, "json"):
        text = block.text if block.text.startswith(("{", "[")) else f"{{{block.text}}}"
        json.loads(text)


def _without_comments(text: str) -> str:
    return re.sub(r" +#.*$", "", text, flags=re.MULTILINE)


KOREAN = sorted(path.name for path in (REPOSITORY / "docs").glob("*.ko.md"))


@pytest.mark.parametrize("name", KOREAN)
def test_a_korean_page_shows_the_configs_and_rows_of_the_english_one(name: str) -> None:
    english, korean = (pages.blocks(f"docs/{page}", "yaml", "csv") for page in (name.replace(".ko.md", ".md"), name))
    assert [_without_comments(block.text) for block in korean] == [_without_comments(block.text) for block in english]


def test_a_config_that_is_wrong_would_be_found() -> None:
    whole = next(block.text for block in pages.blocks("docs/methods-language.md", "yaml"))
    assert configs.complaint(whole) is None
    for wrong in (
        whole.replace("method: sft", "method: sftt"),
        whole.replace("dataset: questions", "dataset: question"),
        "gpus: four",
        "gpu: 4",
        "publish:\n  model: {experiment: nothing}",
    ):
        assert configs.complaint(wrong) is not None, wrong
