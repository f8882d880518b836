"""Files that are generated say what the code says; `pytest tests/test_generated.py --fix` writes them."""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Context
from click.testing import CliRunner
from jsonschema import Draft7Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from polar_tools import config, discovery, reference
from polar_tools.cli import group
from polar_tools.exhibits.chain import first_line
from tests import tiny, tree

FIX = "pytest tests/test_generated.py --fix"
CONFIGS = [tiny.REPOSITORY / "config" / "config.yaml", *sorted((tiny.REPOSITORY / "config" / "examples").rglob("*.yaml"))]


def help_of(*words: str) -> str:
    shown = CliRunner().invoke(group, [*words, "--help"], prog_name="polar-tools", terminal_width=100)
    assert shown.exit_code == 0, shown.output
    return f"## `{' '.join(['polar-tools', *words])}`\n\n```text\n{shown.output}```\n"


def cli_page() -> str:
    introduction = f"# The command line\n\nGenerated from `--help`; `{FIX}` writes it anew.\n"
    return "\n".join([introduction, help_of(), *(help_of(command) for command in group.list_commands(Context(group)))])


def readme() -> str:
    """The README as it stands, with the tree as it is."""
    before, _, rest = (tiny.REPOSITORY / "README.md").read_text(encoding="utf-8").partition("<!-- tree -->")
    return f"{before}<!-- tree -->\n{tree.render(tiny.REPOSITORY)}\n<!-- /tree -->{rest.partition('<!-- /tree -->')[2]}"


def diagnosis_page() -> str:
    """Every diagnosis in its own words, with the names of figures where they would stand."""

    def plain(text: str) -> str:
        return re.sub(r"\{(\w+)[^{}]*\}", r"⟨\1⟩", text.replace("{{", "\0").replace("}}", "\1")).replace("\0", "{").replace("\1", "}")

    found = {name: module.WORDS["en"] for name, module in discovery.modules("diagnosis").items()}
    parts = [
        f"## {words.title}\n\n`{name}`: {first_line(discovery.load('diagnosis', name).__doc__)}\n\n"
        f"- **Symptom**: {plain(words.symptom)}\n- **Likely cause**: {plain(words.cause)}\n- **What to change**: {plain(words.change)}\n"
        for name, words in found.items()
    ]
    return "\n".join([DIAGNOSIS.format(fix=FIX), *parts])


DIAGNOSIS = """\
# What goes wrong in a training, and what mends it

Generated from `polar_tools/diagnosis/`, a file a diagnosis; `{fix}` writes it anew.

`polar-tools diagnose EXPERIMENT` reads the curves, records and predictions of trainings for all of it, also while one runs or after it
failed; `--json` gives the figures that a finding rests on, `--language ko` tells it in Korean. The same findings stand on the report's
pages ([report.md](report.md)). Nothing here ends a training: these are the readings of a practitioner, not laws. What ⟨stands so⟩ is
a figure of the run.
"""


def conda() -> str:
    """What jobs need, each by the version that was tried: Snakemake copies this file away, so that it can't lean on another."""
    extras = tomllib.loads((tiny.REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*extras["dependencies"], *(package for extra in RUNNING for package in extras["optional-dependencies"][extra])]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (tiny.REPOSITORY / "envs/cpu.txt").read_text(encoding="utf-8"), re.MULTILINE))
    tried = {canonicalize_name(name): f"{name}=={version}" for name, version in pins.items()}
    packages = sorted({tried[canonicalize_name(Requirement(package).name)] for package in wanted}, key=str.lower)
    return CONDA.format(fix=FIX, packages="\n".join(f"      - {package}" for package in packages))


RUNNING = ("s3", "workflow", "prepare", "train", "embed", "quantize", "optimizers", "distributed", "evaluate", "korean", "harness")
CONDA = """\
# Generated from pyproject.toml and cpu.txt; `{fix}` writes it anew.
# `snakemake --sdm conda` makes it and puts the tools into it (conda.post-deploy.sh). By hand: conda env create -f envs/conda.yaml, then in
# the project's folder: pip install --no-deps -e .
name: polar
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - pip:
{packages}
"""


GENERATED = {
    "envs/conda.yaml": conda,
    "README.md": readme,
    "workflow/schemas/config.schema.json": reference.config_schema,
    "config/README.md": reference.config_page,
    "docs/cli.md": cli_page,
    "docs/diagnosis.md": diagnosis_page,
}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_file_is_up_to_date(name: str, request: pytest.FixtureRequest) -> None:
    path, wanted = tiny.REPOSITORY / name, GENERATED[name]()
    if request.config.getoption("--fix"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted, encoding="utf-8")
    current = path.is_file() and path.read_text(encoding="utf-8") == wanted
    assert current, f"{name} is not what the code says any more: run `{FIX}`"


@cache
def schema() -> dict[str, Any]:
    """The schema of a config, made once."""
    return reference.json_schema()


def fields(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field in a JSON schema, with a path that a person can find."""
    parts = schema.items() if isinstance(schema, dict) else enumerate(schema) if isinstance(schema, list) else ()
    for key, part in parts:
        if key == "properties":
            yield from ((f"{place} ({schema['title']}): {name}", field) for name, field in part.items())
        yield from fields(part, f"{place}/{key}")


def test_every_field_is_explained() -> None:
    silent = [place for place, field in fields(schema()) if not field.get("description")]
    assert not silent, f"write a docstring below each of {silent}"


def complaints(data: Any) -> list[str]:
    return [error.message for error in Draft7Validator(schema()).iter_errors(data)]


def test_schema_is_one() -> None:
    Draft7Validator.check_schema(schema())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_editors_accept_our_configs(path: Path) -> None:
    assert complaints(config.read(path)) == []


def test_editors_accept_aliases_and_short_forms() -> None:
    assert "method: cls" in tiny.CONFIG
    assert "filters: [missing]" in tiny.CONFIG
    assert complaints(yaml.safe_load(tiny.CONFIG)) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("learning_rate:", "learning_rat:"),
        ("experiments:", "experimets:"),
        ("test_size:", "test_sise:"),
        ("test_size: ", "test_size: a"),
        ("test_size: 12, ", ""),
        ("threads: 1", "threads: one"),
        ("method: cls", "method: clz"),
        ("method: cls", "method: cls\n    system_prompt: not of this method"),
        ("filters: [missing]", "filters: [mising]"),
        ("filters: [missing]", "filters: [sample]"),
        ("filters: [missing]", "filters: [{name: missing, column: [a]}]"),
        ("metrics: [rouge", "metrics: [{name: rouge, tokenizer: words}"),
        ("  llama: {source", "  my llama: {source"),
    ],
)
def test_editors_see_a_mistake(right: str, wrong: str) -> None:
    assert right in tiny.CONFIG
    assert complaints(yaml.safe_load(tiny.CONFIG.replace(right, wrong))) != []
