"""Every method trains a tiny model until it beats the untrained one on rows that are held out; saved, loaded and measured by the commands.

What is particular to a method stands in tests/cases/NAME.py: FAST (it runs in `make test` too), METRIC (a figure of the report), MARGIN
(how much better the trained model must be), make(folder, assets), which writes models and rows below folder/assets, and CONFIG, with
the experiment and the evaluation `learn`.
"""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from polar_tools import discovery
from tests import learning


def case(name: str) -> ModuleType:
    return importlib.import_module(f"tests.cases.{name}")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if case(name).FAST else pytest.mark.slow) for name in discovery.names("methods")]
)
def test_it_beats_the_untrained_model(name: str, assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = case(name)
    told.make(tmp_path, assets)
    learning.run_plan(tmp_path, told.CONFIG, monkeypatch)
    before, after = (learning.report(tmp_path, run) for run in ("base", "seed0"))
    lower = discovery.load("metrics", before["given_by"][told.METRIC]).LOWER_IS_BETTER
    low, high = (report["metrics"][told.METRIC] for report in ((after, before) if lower else (before, after)))
    assert high - low >= told.MARGIN, f"{told.METRIC}: {before['metrics'][told.METRIC]:.4f} -> {after['metrics'][told.METRIC]:.4f}"
