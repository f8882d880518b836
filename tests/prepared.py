"""Prepared rows and a tiny model where the stage tokenize looks for them, in shards as small as a test wants them."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.tiny import inside, run

Row = dict[str, Any]
SHORT = [{"prompt": f"질문 {number}?", "completion": f"답은 {number}"} for number in range(40)]


def write(folder: Path, shards: Sequence[Sequence[Row]], test: Sequence[Row] = ()) -> None:
    """`shards` as what the stage prepare would have made of them in `folder`."""
    data = folder / "results/datasets/d/data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    parts = {f"train-{number:05}": rows for number, rows in enumerate(shards)} | ({"test-00000": test} if test else {})
    for name, rows in parts.items():
        pq.write_table(pa.Table.from_pylist(list(rows)), data / f"{name}.parquet")
    content = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(data.iterdir()))).hexdigest()
    (data.parent / "manifest.json").write_text(json.dumps({"record": content}))


def take_model(folder: Path, assets: Path, name: str = "llama") -> None:
    """One of the tiny models as what the stage mirror would have made of it in `folder`."""
    model = folder / "resources/models/m"
    shutil.copytree(assets / "assets" / name, model / "snapshot")
    (model / "manifest.json").write_text(json.dumps({"record": name}))


def experiment(**fields: Any) -> Row:
    """The experiment in a spec."""
    return {"method": "sft", "model": "resources/models/m/snapshot", "dataset": "results/datasets/d/data", **fields}


def tokenize(folder: Path, environment: dict[str, str] | None = None, **fields: Any) -> subprocess.CompletedProcess[str]:
    """`polar-tools tokenize` of the experiment x in `folder`."""
    target = folder / "results/x/tokenize"
    target.mkdir(parents=True, exist_ok=True)
    (target / "spec.json").write_text(json.dumps({"stage": "tokenize", "experiment": experiment(**fields)}))
    if environment is not None:
        return run("polar-tools", "tokenize", "results/x/tokenize", cwd=folder, **environment)
    return inside("tokenize", "results/x/tokenize", cwd=folder)


def report(folder: Path) -> Row:
    """What tokenize found out."""
    found: Row = json.loads((folder / "results/x/tokenize/report.json").read_bytes())
    return found


def tokens(folder: Path) -> list[Row]:
    """The rows of tokens/."""
    return [row for file in sorted((folder / "results/x/tokenize/tokens").iterdir()) for row in pq.read_table(file).to_pylist()]
