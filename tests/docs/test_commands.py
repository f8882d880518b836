"""Every command of the documentation is one that its program takes, every path in it is there, and a test runs it."""

import ast
import importlib.util
import re

import pytest

import polar_tools
from tests.docs import pages, parsing
from tests.tiny import REPOSITORY

INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
PATH = re.compile(r"^(?:config|docs|tests|polar_tools|bench|examples|profiles|envs|workflow)/[\w./-]+$")
PLACEHOLDER = re.compile(r"\b(?:NAME|METHOD|EXPERIMENT|FILE|FOLDER)\b")
OURS = re.compile(r"^(?:polar-tools|make|snakemake) \S")


@pytest.mark.parametrize("page", pages.every())
def test_programs_take_the_commands(page: str) -> None:
    wrong = [
        f"{command.block.place}: {command.text}: {said}"
        for command in pages.commands(page)
        if command.exit_status != 2
        for words in command.parts()
        if (said := parsing.complaint(words))
    ]
    assert not wrong, "\n".join(wrong)


def test_what_runs_elsewhere_has_a_test_there() -> None:
    there = {command.elsewhere for page in pages.every() for command in pages.commands(page)}
    assert there == {None, *pages.ELSEWHERE.values()}, "a pattern that no command has"
    assert not [test for test in pages.ELSEWHERE.values() if not (REPOSITORY / test).is_file()]


@pytest.mark.parametrize("page", [page for page in pages.every() if pages.original(page) != page])
def test_a_translation_has_the_commands_of_its_original(page: str) -> None:
    """Which are run there."""
    known = {command.text for command in pages.commands(pages.original(page))}
    assert not [command.text for command in pages.commands(page) if command.text not in known]


@pytest.mark.parametrize("page", pages.every())
def test_what_the_text_mentions_is_there(page: str) -> None:
    """Commands and files of the repository that stand within sentences."""
    prose = pages.FENCE.sub("", pages.text_of(page))
    mentioned = INLINE.findall(prose)
    paths = [name for name in mentioned if PATH.match(name) and not PLACEHOLDER.search(name)]
    absent = [name for name in paths if not (REPOSITORY / name).exists()]
    assert not absent, f"{page} names {', '.join(absent)}"
    wrong = [f"{text}: {said}" for text in mentioned if OURS.match(text) and (said := _mentioned(text))]
    assert not wrong, f"{page}: " + "\n".join(wrong)


def _mentioned(text: str) -> str | None:
    """What is wrong with a command in a sentence, which may leave out what it needs."""
    told = [said for words in pages.simple(text) if (said := parsing.complaint(words))]
    return next(
        (said for said in told if not re.search(r"Missing (?:argument|option)|requires an argument|expected .*argument", said)), None
    )


@pytest.mark.parametrize("page", pages.every())
def test_extras_that_the_text_names_are_there(page: str) -> None:
    wrong = [
        said
        for extra in re.findall(r"polar-tools\[[\w,]+\]", pages.text_of(page))
        if (said := parsing.complaint(["pip", "install", extra]))
    ]
    assert not wrong, f"{page}: {wrong}"


@pytest.mark.parametrize("page", [page for page in pages.every() if pages.blocks(page, "python")])
def test_programs_name_what_the_package_has(page: str) -> None:
    for block in pages.blocks(page, "python"):
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("polar_tools"):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, name.name) or _is_module(f"{node.module}.{name.name}") for name in node.names), block.place
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "polar_tools":
                assert hasattr(polar_tools, node.attr) or _is_module(f"polar_tools.{node.attr}"), f"{block.place}: polar_tools.{node.attr}"


def _is_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def test_a_command_that_is_wrong_would_be_found() -> None:
    for command in ("polar-tools chek", "polar-tools plan --device-memroy 1GB", "polar-tools train --method sft --beta 1", "make runn"):
        assert parsing.complaint(command.split()), command
    for command in ("snakemake --configfle my.yaml", "python examples/nothing.py", "pip install polar-tools[nothing]", "polr-tools check"):
        assert parsing.complaint(command.split()), command
