"""What a person types at the prompt answers at once: nothing heavy is imported for it."""

import sys

import pytest

from tests.tiny import REPOSITORY, run

HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "snakemake", "pyarrow", "sklearn", "numpy", "pandas", "huggingface_hub"}
WRAPPER = """\
import sys
from polar_tools.cli import main
sys.argv[0] = "polar-tools"
try:
    main()
finally:
    print("imported:", *sys.modules, file=sys.stderr)
"""


def imported(*words: str) -> set[str]:
    """The packages in memory when `polar-tools WORDS` ends."""
    done = run(sys.executable, "-c", WRAPPER, *words, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stderr.rpartition("imported:")[2].split()}


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("train", "--help"), ("check", "config/config.yaml")], ids=" ".join)
def test_nothing_heavy_is_imported(words: tuple[str, ...]) -> None:
    found = imported(*words)
    assert "polar_tools" in found
    assert not found & HEAVY


@pytest.mark.parametrize("words", [("--help",), ("--version",)], ids=" ".join)
def test_help_needs_no_config_either(words: tuple[str, ...]) -> None:
    assert not imported(*words) & {"pydantic", "yaml"}


def test_only_the_named_methods_are_imported() -> None:
    done = run(sys.executable, "-c", WRAPPER, "check", "config/config.yaml", cwd=REPOSITORY)
    named = (REPOSITORY / "config" / "config.yaml").read_text(encoding="utf-8")
    methods = {name for name in done.stderr.split() if name.startswith("polar_tools.methods.")} - {"polar_tools.methods.base"}
    assert methods
    assert all(f"method: {name.rpartition('.')[2]}" in named for name in methods)
