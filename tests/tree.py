"""The README's tree: every tracked file with the line that it says of itself, so that the tree can't lie for long."""

import ast
import re
import subprocess
from pathlib import Path

SILENT = {
    "docs/pictures/report.png": "the overview of a report",
    "docs/pictures/report-films.png": "that of the tutorial",
    "docs/pictures/curves.png": "the losses of a training",
    "docs/pictures/funnel.png": "what became of the rows of a dataset",
    "docs/pictures/mask.png": "which tokens of a row are trained on",
    "docs/pictures/workflow.svg": "the rules, and what flows from one to the next",
    "docs/site/extra.css": "letters and tables of the site",
    "docs/site/iframe-worker.js": "search in pages that are opened from a disk",
    ".ci/run": "what CI runs",
    ".dvc/.gitignore": "what of DVC's own is not tracked",
    ".dvc/config": "DVC's settings",
    ".gitignore": "results, caches, environments",
    "LICENSE": "Apache-2.0",
    "config/examples/shapes/data/alpaca.jsonl": "instructions with their outputs",
    "config/examples/shapes/data/dialogue.jsonl": "dialogues, each in one text",
    "config/examples/shapes/data/scored_pairs.csv": "sentences and how alike they are",
    "config/examples/shapes/data/sharegpt.jsonl": "dialogues by turns",
    "config/examples/shapes/data/triplets.jsonl": "questions, answers and what is none",
    "polar_tools/config.schema.json": "link to workflow/schemas, so that an installed package has the config's schema too",
    "polar_tools/workflow_files/Snakefile": "link",
    "polar_tools/workflow_files/config/README.md": "link",
    "polar_tools/workflow_files/envs": "link",
    "polar_tools/workflow_files/profiles": "link",
    "polar_tools/workflow_files/workflow": "link",
    "polar_tools/new_method.py.txt": "the skeleton of a training method",
    "polar_tools/py.typed": "type hints are shipped",
    "polar_tools/stages/report.html.jinja": "the report's overview",
    "polar_tools/stages/experiment.html.jinja": "the report's page of an experiment",
    "polar_tools/stages/report_frame.html.jinja": "what both have around them",
    "polar_tools/stages/report_parts.html.jinja": "what both show",
    "polar_tools/stages/report.css": "how both look",
    "polar_tools/stages/report.js": "tables that sort, colours that are chosen",
    "workflow/report/workflow.rst": "what stands over Snakemake's report",
    "workflow/report/overview.rst": "the caption of the overview",
    "workflow/report/experiment.rst": "the caption of an experiment's page",
    "workflow/report/figures.rst": "the caption of figures for programs",
    "polar_tools/stages/prepare.html.jinja": "the page of a dataset",
    "polar_tools/stages/overlap.html.jinja": "the page of a training set and an evaluation",
    "polar_tools/stages/tokenize.html.jinja": "the page of an experiment's tokens, with the X-ray of the loss mask",
    "polar_tools/stages/rank.html.jinja": "the page of the hardest rows",
    "polar_tools/stages/measures.html.jinja": "macros that draw what measures.py counts",
    "polar_tools/stages/page.css": "how all pages look",
    "polar_tools/stages/measures.css": "how those drawings look",
    "polar_tools/cards/model.en.md.jinja": "the card of a model in English",
    "polar_tools/cards/model.ko.md.jinja": "the card of a model in Korean",
    "polar_tools/cards/dataset.en.md.jinja": "the card of a dataset in English",
    "polar_tools/cards/dataset.ko.md.jinja": "the card of a dataset in Korean",
    "polar_tools/cards/report.en.md.jinja": "the card of a report in English",
    "polar_tools/cards/report.ko.md.jinja": "the card of a report in Korean",
    "polar_tools/cards/macros.jinja": "tables that cards share",
    "pyproject.toml": "dependencies, extras by purpose; ruff, mypy, pytest, layers",
    "slurm": "link to profiles/slurm, where `snakemake --profile slurm` looks for it",
    "workflow/schemas/config.schema.json": "the config's JSON schema, for editors (generated)",
}
"""Files that have no place for such a line, or none that a reader of the tree would want."""
FOLDERS = {
    ".ci": "continuous integration",
    ".dvc": "DVC",
    "bench": "benchmarks, side by side",
    "config": "what a person edits",
    "config/examples": "configs to begin from",
    "config/examples/shapes": "one a shape of data",
    "config/examples/shapes/data": "rows of our own, where no registry has any of that shape",
    "docs": "documentation",
    "docs/pictures": "what pages look like",
    "docs/site": "the documentation as a site",
    "examples": "programs to begin from",
    "envs": "pinned versions",
    "polar_tools/workflow_files": "what `polar-tools init` puts into a project, so that an installed package has it too",
    "polar_tools/workflow_files/config": "what explains the config",
    "profiles": "how Snakemake runs",
    "profiles/default": "picked up by itself",
    "profiles/slurm": "a Slurm cluster",
    "profiles/kubernetes": "an example for Kubernetes",
    "profiles/lsf": "an example for LSF",
    "tests": "tests observe what commands do and what lies on disk",
    "tests/contract": "what all siblings promise",
    "tests/conversions": "a value for each argument of other programs",
    "tests/docs": "the documentation is held to the code",
    "tests/unit": "one module at a time",
    "tests/workflow": "the DAG, dry and for real",
    "workflow": "the rules of the Snakefile",
    "workflow/report": "captions in `snakemake --report`",
    "workflow/rules": "one rule a file, one stage each",
    "workflow/schemas": "generated",
}


WHOLE = {"tests/foreign": "configurations of other programs, as people have them"}
"""Folders whose files nobody would want to read about one by one."""


def render(repository: Path) -> str:
    """The tree as a code block: a line a file, folders after the files beside them."""
    listed = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True).stdout.splitlines()
    told = [name for name in listed if not name.endswith("__init__.py") and (repository / name).exists()]
    apart = {next((folder for folder in WHOLE if name.startswith(f"{folder}/")), name) for name in told}
    names = sorted(apart, key=_order)
    lines, shown = [], set()
    for name in names:
        for depth, folder in enumerate(reversed(Path(name).parents[:-1])):
            if folder not in shown:
                shown.add(folder)
                lines.append(_line(depth, f"{folder.name}/", _about_folder(repository, folder)))
        lines.append(_line(len(Path(name).parents) - 1, Path(name).name + "/" * (name in WHOLE), _about_file(repository, name)))
    return "\n".join(["```", *lines, "```"])


def _order(name: str) -> list[tuple[bool, str]]:
    parts = Path(name).parts
    return [(number < len(parts) - 1, part) for number, part in enumerate(parts)]


def _line(depth: int, name: str, about: str) -> str:
    return f"{'  ' * depth + name:34} {about.split('. ')[0].removesuffix('.')}".rstrip()


def _about_folder(repository: Path, folder: Path) -> str:
    package = repository / folder / "__init__.py"
    return FOLDERS.get(folder.as_posix()) or (_docstring(package) if package.is_file() else "")


def _about_file(repository: Path, name: str) -> str:
    path = repository / name
    if name in SILENT | WHOLE:
        return (SILENT | WHOLE)[name]
    if path.suffix == ".py":
        return _docstring(path)
    marker = r"^#+[ \t]*(?!yaml-language-server|!)(\S.*)$"
    found = re.search(marker, path.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None and path.suffix == ".smk":
        return f"the rule {path.stem}"
    assert found, f"{name} says nothing of itself: give it a first line, or name it in {Path(__file__).name}"
    return found[1].strip()


def _docstring(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert text or path.name == "__init__.py", f"{path} has no docstring"
    return text.partition("\n")[0].removesuffix(".")
