"""Read the mirrored files, keep the named columns, filter, split, write Parquet. Knows no model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets, discovery
from polar_tools.artifact import Facts, canonical
from polar_tools.config import Split
from polar_tools.errors import DataError
from polar_tools.specs import PrepareSpec

if TYPE_CHECKING:
    import pyarrow as pa

LIBRARIES = ("pyarrow", "numpy", "scikit-learn")


def run(spec: PrepareSpec, folder: Path) -> Facts:
    """Write data/train.parquet, data/test.parquet and report.json, which counts the rows from source to split."""
    table = datasets.choose_columns(datasets.read_files(Path(spec.source), spec.format), spec.columns)
    funnel: list[dict[str, Any]] = [{"step": "read", "rows": table.num_rows}]
    for options in spec.filters:
        table = discovery.load("filters", options.name).apply(table, options)
        funnel.append({"step": options.name, "rows": table.num_rows})
    train, test = split(table, spec.split)
    for name, part in {"train": train, "test": test}.items():
        datasets.write_table(part, folder / spec.PAYLOAD / f"{name}.parquet")
        funnel.append({"step": name, "rows": part.num_rows})
    report = {"columns": table.column_names, "funnel": funnel}
    (folder / "report.json").write_bytes(canonical(report))
    return Facts(recorded=report)


def split(table: pa.Table, options: Split) -> tuple[pa.Table, pa.Table]:
    """Train and test rows of `table`, each in the table's order; raises DataError where there are too few rows."""
    from sklearn.model_selection import train_test_split

    if options.stratify is not None and options.stratify not in table.column_names:
        raise DataError(f"split.stratify: there is no column `{options.stratify}`; the data has {', '.join(table.column_names)}")
    labels = None if options.stratify is None else table[options.stratify].to_pylist()
    try:
        train, test = train_test_split(
            range(table.num_rows), test_size=options.test_size, train_size=options.train_size, stratify=labels, random_state=options.seed
        )
    except ValueError as error:
        raise DataError(f"split: {table.num_rows} rows are left after the filters, and they can't be split so: {error}") from error
    return table.take(sorted(train)), table.take(sorted(test))
