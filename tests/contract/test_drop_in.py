"""One new file in methods/, filters/, metrics/, storage/ or trackers/ is all that a new one of these takes."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.tiny import CONFIG, REPOSITORY, make_project, run

METHOD = '''
"""Classification that answers in reverse, to be told apart from its model."""
from polar_tools.methods import base, classification
from typing import Literal

ALIASES = ("upside-down",)
class Config(classification.Config):
    method: Literal["contrary"] = "contrary"
    shout: bool = False
COLUMNS = classification.COLUMNS
MODEL_CLASS = classification.MODEL_CLASS
TASK_TYPE = classification.TASK_TYPE
METRICS = ("shouted",)
CHECKS = classification.CHECKS
TRAINS_ON = classification.TRAINS_ON
features = classification.features
set_up = classification.set_up
render = classification.render
fit = classification.fit
check = classification.check
wrap = classification.wrap
build_trainer = classification.build_trainer
predict = classification.predict
'''
FILTER = '''
"""Put a column into capitals."""
from typing import Literal
from polar_tools.filters import base

class Options(base.Options):
    name: Literal["capitals"] = "capitals"
    column: str

def apply(chunks, options):
    import pyarrow.compute as pc
    for table in chunks:
        base.require(table, options.column)
        yield base.replaced(table, options.column, pc.utf8_upper(table[options.column]))
'''
METRIC = '''
"""Share of inputs in capitals."""
from typing import Literal
from polar_tools.metrics import base

LOWER_IS_BETTER = False
SHARE = True

class Options(base.Options):
    name: Literal["shouted"] = "shouted"

def compute(predictions, options):
    return {"shouted": sum(row.input.isupper() for row in predictions) / len(predictions)}
'''
STORE = '''
"""made-up://WORDS: a CSV out of thin air."""
from contextlib import contextmanager
from polar_tools.errors import ConfigError
from polar_tools.storage.base import Entry, Snapshot

SCHEME = "made-up"

def check(source, sha256):
    return None

def local_files(source):
    return []

@contextmanager
def open(source, sha256, access):
    data = ("text,label\\n" + "".join(f"{word} number {n},{word}\\n" for n in range(20) for word in ("one", "two"))).encode()
    yield Snapshot({"source": source}, (Entry("rows.csv", len(data)),), lambda entry, start: iter([data[start:]]))

def receive(target, access, placement):
    raise ConfigError("thin air holds nothing")
'''
TRACKER = '''
"""A ledger: everything in one file of lines."""
import json
from typing import Literal
from polar_tools.trackers import base

LIBRARIES = ()

class Options(base.Options):
    tracker: Literal["ledger"] = "ledger"
    file: str = "ledger.jsonl"

def destination(options, root):
    return options.file

def token(options):
    return None

class Ledger(base.Session):
    def __init__(self, file, run):
        self.book, self.run_id = file, run.id
    def rows(self, rows):
        with self.book.open("a") as output:
            output.writelines(json.dumps([self.run_id, row.step, dict(row.values)]) + chr(10) for row in rows)

def open(options, run, root):
    return Ledger(root / options.file, run)
'''
MAKE = "from tests import learning; learning.make('config/config.yaml')"
"""Every stage's command, in one process that sees the copy of the package."""
EXPERIMENT = """\
models: {bert: {source: file://assets/bert}}
datasets:
  words:
    source: made-up://words
    filters: [{name: capitals, column: text}]
    split: {test_size: 8}
evaluations: {words: {dataset: words}}
experiments:
  against: {method: upside-down, shout: true, model: bert, dataset: words, evaluations: [words], max_steps: 1, logging_steps: 1, threads: 1}
run: {trackers: [{tracker: ledger, file: book.jsonl}]}
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of polar_tools with one new file each, which shadows the installed one."""
    copy = tmp_path / "copy"
    shutil.copytree(REPOSITORY / "polar_tools", copy / "polar_tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in {
        "methods/contrary": METHOD,
        "filters/capitals": FILTER,
        "metrics/shouted": METRIC,
        "storage/made_up": STORE,
        "trackers/ledger": TRACKER,
    }.items():
        (copy / "polar_tools" / f"{name}.py").write_text(text, encoding="utf-8")
    return copy


def test_new_files_are_used_from_a_config(package: Path, assets: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    make_project(project, assets, EXPERIMENT)
    done = run(sys.executable, "-c", MAKE, cwd=project, PYTHONPATH=os.pathsep.join([str(package), str(REPOSITORY)]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing to be done" in run("snakemake", cwd=project, PYTHONPATH=str(package)).stderr
    report = (project / "results/against/seed0/evaluate/words/report.json").read_text(encoding="utf-8")
    assert '"shouted": 1.0' in report
    told = [json.loads(line)[1:] for line in (project / "book.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [1, "train/loss"] in [[step, name] for step, values in told for name in values]
    assert [1, {"evaluate/words/shouted": 1.0}] in [
        [step, {"evaluate/words/shouted": values.get("evaluate/words/shouted")}] for step, values in told
    ]
    assert '"shout": true' in (project / "results/against/seed0/train/spec.json").read_text(encoding="utf-8")


def test_without_them_the_same_config_is_refused(assets: Path, tmp_path: Path) -> None:
    assert "made-up" not in CONFIG
    (tmp_path / "config.yaml").write_text(EXPERIMENT, encoding="utf-8")
    done = run("polar-tools", "check", "config.yaml", cwd=tmp_path, PYTHONPATH=os.environ.get("PYTHONPATH", ""))
    assert done.returncode == 2
    assert "there is no `upside-down` in methods" in done.stderr
