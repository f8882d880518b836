"""Leave out of a dataset the training rows that overlap with test rows. What is measured on stays as it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets
from polar_tools.artifact import Facts, canonical
from polar_tools.errors import DataError
from polar_tools.specs import DecontaminateSpec

if TYPE_CHECKING:
    import pyarrow as pa

LIBRARIES = ("numpy", "pyarrow")


def run(spec: DecontaminateSpec, folder: Path) -> Facts:
    """Write data/ without those rows, and report.json with how many they are. Raises DataError where no row would be left."""
    import numpy as np
    import pyarrow.parquet as pq

    source, target = Path(spec.dataset), folder / spec.PAYLOAD
    listed = {evaluation: pq.read_table(path)["row"].to_numpy() for evaluation, path in spec.overlaps.items()}
    dropped = np.unique(np.concatenate(list(listed.values())))
    trained = datasets.shards(source, "train")
    rows = datasets.count(source, "train")
    if len(dropped) == rows:
        raise DataError(f"all {rows:,} training rows of {source} overlap with test rows; with `policy: drop` there is nothing to train on")
    datasets.write_shards(_kept(source, dropped), target, "train")
    for file in sorted(set(source.iterdir()) - set(trained)):
        shutil.copyfile(file, target / file.name)
    report = {"rows": rows, "dropped": len(dropped), "by_evaluation": {name: len(found) for name, found in listed.items()}}
    (folder / "report.json").write_bytes(canonical(report))
    return Facts(recorded=report)


def _kept(source: Path, dropped: Any) -> Iterator[pa.Table]:
    """The training rows but for those of these numbers."""
    import numpy as np

    first = 0
    for table in datasets.tables(source, "train"):
        yield table.filter(~np.isin(np.arange(first, first + table.num_rows), dropped))
        first += table.num_rows
