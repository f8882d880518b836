"""Which rows are held out: seeded, by label, by group."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from polar_tools.dataset_config import Split
from polar_tools.errors import DataError
from polar_tools.filters import near_duplicates
from polar_tools.filters.base import ROW
from polar_tools.spool import Spool

if TYPE_CHECKING:
    import numpy as np

    Sides = np.ndarray[Any, np.dtype[np.int8]]

SIDES = {"train": 0, "test": 1, "neither": 2}


def sides(rows: Spool, options: Split | None) -> Sides:
    """Of each row the number of its side, as in SIDES: all train without a split. Raises DataError where the rows can't be split so."""
    import numpy as np

    if options is None:
        return np.full(rows.rows, SIDES["train"], dtype=np.int8)
    side: Sides = np.full(rows.rows, SIDES["neither"], dtype=np.int8)
    grouped = options.group or options.near_duplicates
    try:
        train, test = _by_group(rows, options) if grouped else _by_row(rows, options)
    except ValueError as error:
        raise DataError(f"split: {rows.rows} rows are left after the filters, and they can't be split so: {error}") from error
    side[train], side[test] = SIDES["train"], SIDES["test"]
    return side


def _by_row(rows: Spool, options: Split) -> Any:
    """As scikit-learn's train_test_split, whose import alone would take a second where no label has to keep its share."""
    import numpy as np

    if options.stratify is not None:
        from sklearn.model_selection import train_test_split

        sizes = {"test_size": options.test_size, "train_size": options.train_size}
        labels = _column(rows, options.stratify, "stratify")
        return train_test_split(range(rows.rows), **sizes, stratify=labels, random_state=options.seed)
    test = options.test_size if isinstance(options.test_size, int) else math.ceil(options.test_size * rows.rows)
    train = rows.rows - test if options.train_size is None else options.train_size
    if train < 1 or test + train > rows.rows:
        raise ValueError(f"{test} rows to hold out and {max(train, 1)} to train on are more than there are")
    order = np.random.RandomState(options.seed).permutation(rows.rows)
    return order[test : test + train], order[:test]


def _by_group(rows: Spool, options: Split) -> Any:
    """Whole groups in a seeded order: the first are held out until that is enough rows, the next are trained on."""
    import numpy as np

    group = _groups(rows, options)
    numbers = group.max() + 1
    order = np.random.default_rng(options.seed).permutation(numbers)
    wanted = options.test_size if isinstance(options.test_size, int) else max(1, round(options.test_size * rows.rows))
    held = _enough(order, np.bincount(group), wanted)
    trained = order[len(held) :]
    if options.train_size is not None:
        trained = _enough(trained, np.bincount(group), options.train_size)
    if not len(held) or not len(trained):
        raise ValueError(f"they are in {numbers} groups, too few for {wanted} held-out rows and others to train on")
    return np.flatnonzero(np.isin(group, trained)), np.flatnonzero(np.isin(group, held))


def _groups(rows: Spool, options: Split) -> Any:
    """The number of each row's group: rows with one value in the column `group`, near duplicates, and what either joins."""
    import numpy as np

    found = np.arange(rows.rows)
    if options.near_duplicates is not None:
        found = near_duplicates.groups(rows, options.near_duplicates)
    if options.group is not None:
        first: dict[str, int] = {}
        values = enumerate(_column(rows, options.group, "group"))
        same = np.array([first.setdefault(repr(value), row) for row, value in values])
        found = near_duplicates.joined(found, np.stack([np.arange(rows.rows), same]))
    return np.unique(found, return_inverse=True)[1]


def _enough(order: Any, sizes: Any, rows: int) -> Any:
    """The first groups of `order` that together have at least `rows` rows."""
    import numpy as np

    return order[: int(np.searchsorted(np.cumsum(sizes[order]), rows)) + 1]


def _column(rows: Spool, name: str, field: str) -> list[Any]:
    names = [] if rows.schema is None else [column for column in rows.schema.names if column != ROW]
    if name not in names:
        raise DataError(f"split.{field}: there is no column `{name}`; the data has {', '.join(names)}")
    return [value for table in rows for value in table[name].to_pylist()]
