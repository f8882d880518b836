"""Figures of rows that pass by once: lengths with quantiles and a histogram, labels, languages, exact duplicates."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from polar_tools.filters import base

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Ints = np.ndarray[Any, np.dtype[np.int64]]
    Hashes = np.ndarray[Any, np.dtype[np.uint64]]

QUANTILES = {"min": 0.0, "median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
BARS = 40
"""Bars of a histogram at most, besides the one for the tail."""
TAIL = 2.5
"""Where the longest is more than this many times the 99th percentile, what lies far beyond shares one bar."""
LABEL = "label"
MOST_LABELS = 1000
"""A column `label` with more different values holds something else, such as scores, and isn't counted."""
MOST_VALUES = 50
"""A column of another name is counted like labels if it has at most this many different values, each twice on average."""
LANGUAGE_CHARACTERS = 1000
"""How much of a text is looked at for its language, from the beginning, as the filter `language` does."""


class Lengths:
    """Whole numbers of which only the different ones are held, each with how often it came: exact, however many there are."""

    def __init__(self) -> None:
        import numpy as np

        self._values: Ints = np.empty(0, np.int64)
        self._counts: Ints = np.empty(0, np.int64)

    @property
    def rows(self) -> int:
        """How many numbers came."""
        return int(self._counts.sum())

    @property
    def total(self) -> int:
        """Their sum."""
        return int(self._values @ self._counts)

    def add(self, lengths: Ints) -> None:
        """Count `lengths` [rows]."""
        import numpy as np

        values, places = np.unique(np.concatenate([self._values, lengths]), return_inverse=True)
        counts = np.bincount(places[len(self._values) :], minlength=len(values))
        counts[places[: len(self._values)]] += self._counts
        self._values, self._counts = values, counts

    def above(self, limit: int) -> int:
        """How many are greater than `limit`."""
        return int(self._counts[self._values > limit].sum())

    def quantile(self, share: float) -> int:
        """The number at place floor(share * (rows - 1)) of all in their order: always one that came."""
        import numpy as np

        place = int(share * (self.rows - 1))
        return int(self._values[np.searchsorted(np.cumsum(self._counts), place, side="right")])

    def quantile_above(self, share: float) -> int:
        """The smallest number that came and than which no more than `share` of all are greater."""
        import numpy as np

        return int(self._values[np.searchsorted(np.cumsum(self._counts), self.rows - int(share * self.rows))])

    def as_dict(self) -> dict[str, Any]:
        """min, mean, median, p95, p99, max and `histogram`; nothing where nothing came."""
        if not self.rows:
            return {}
        quantiles = {name: self.quantile(share) for name, share in QUANTILES.items()}
        return {**quantiles, "mean": round(self.total / self.rows, 2), "histogram": self.histogram()}

    def histogram(self) -> dict[str, list[int]]:
        """`edges`, one more than `counts`: bar i counts edges[i] <= number < edges[i + 1]. The last bar may be wider than the others."""
        import numpy as np

        low, high, usual = int(self._values[0]), int(self._values[-1]), self.quantile(0.99)
        far = high if high <= TAIL * usual else round(1.2 * usual)
        width = next(width for width in _round_numbers() if far // width - low // width < BARS)
        edges = [*range(low // width * width, far // width * width + width + 1, width)]
        if edges[-1] <= high:
            edges.append(high + 1)
        below = np.concatenate([[0], np.cumsum(self._counts)])[np.searchsorted(self._values, edges)]
        return {"edges": edges, "counts": np.diff(below).tolist()}


class Texts:
    """What tables hold, taken one by one: lengths of the texts in characters, how often each label stands there, equal rows."""

    def __init__(self) -> None:
        self._rows = 0
        self._characters: dict[str, Lengths] = {}
        self._missing: Counter[str] = Counter()
        self._values: dict[str, Counter[str] | None] = {}
        self._hashes: list[Hashes] = []

    def add(self, table: pa.Table) -> None:
        """Take the rows of `table`; all tables have the same columns."""
        import pyarrow.compute as pc

        if not table.num_rows:
            return
        self._rows += table.num_rows
        names = base.data_columns(table)
        for name in names:
            self._count(name, table[name])
        for name in base.text_columns(table, ()):
            lengths = pc.utf8_length(base.text_column(table, name))
            self._missing[name] += lengths.null_count
            self._characters.setdefault(name, Lengths()).add(lengths.drop_null().to_numpy().astype("int64"))
        columns = [row_hashes(table[name].combine_chunks()) for name in names]
        self._hashes.append(mixed(columns, table.num_rows))

    def watch(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same tables; each is taken as it passes."""
        for table in tables:
            self.add(table)
            yield table

    def as_dict(self) -> dict[str, Any]:
        """`rows`; `duplicates`, rows that repeat an earlier one; `texts`, figures by column; `labels`, by column value -> rows."""
        labels = {name: dict(_most_first(counted)) for name, counted in self._values.items() if counted and _are_labels(name, counted)}
        measured = {name: found for name, found in self._characters.items() if name not in labels}
        texts = {name: {"missing": self._missing[name], **found.as_dict()} for name, found in measured.items()}
        return {"rows": self._rows, "duplicates": repeated(self._hashes), "texts": texts, "labels": labels}

    def _count(self, name: str, column: pa.ChunkedArray) -> None:
        """Count the values of a column until there are too many to be labels."""
        import pyarrow as pa
        import pyarrow.compute as pc

        counted = self._values.setdefault(name, Counter())
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        countable = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean)
        if counted is None or not any(holds(kind) for holds in countable):
            return
        found = pc.value_counts(column.cast(kind).drop_null())
        for value, count in zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True):
            counted[str(value)] += count
        if len(counted) > (MOST_LABELS if name == LABEL else MOST_VALUES):
            self._values[name] = None


def row_hashes(values: pa.Array) -> Hashes:
    """64 bits [rows] that are the same for the same value, at any depth of lists and records."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_dictionary(kind):
        return row_hashes(values.dictionary_decode())
    if pa.types.is_struct(kind):
        hashes = mixed([row_hashes(child) for child in values.flatten()], len(values))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        offsets = np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(values), 0).to_numpy())])
        hashes = slice_hashes(row_hashes(values.flatten()), offsets)
    else:
        plain = values.cast(pa.large_binary() if pa.types.is_binary(kind) else pa.large_string()).cast(pa.large_binary())
        hashes = _bytes_hashes(plain)
    hashes[values.is_null().to_numpy(zero_copy_only=False)] = 1
    return hashes


def slice_hashes(values: np.ndarray[Any, Any], offsets: Ints) -> Hashes:
    """64 bits [rows] of each row's numbers: row i is values[offsets[i] : offsets[i + 1]]."""
    import numpy as np

    data, places = memoryview(np.ascontiguousarray(values)).cast("B"), (offsets * values.itemsize).tolist()
    digests = (hashlib.blake2b(data[start:end], digest_size=8).digest() for start, end in itertools.pairwise(places))
    hashes: Hashes = np.frombuffer(bytearray(b"".join(digests)), np.uint64)
    return hashes


def repeated(hashes: Iterable[Hashes]) -> int:
    """How many rows have the hash of an earlier row."""
    import numpy as np

    whole = np.concatenate([np.empty(0, np.uint64), *hashes])
    return len(whole) - len(np.unique(whole))


def languages(texts: Iterable[str]) -> dict[str, int] | None:
    """ISO 639 code -> how many texts are most probably in that language; None where py3langid isn't installed."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        return None
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    return dict(_most_first(Counter(identifier.classify(text[:LANGUAGE_CHARACTERS])[0] for text in texts)))


def _bytes_hashes(values: pa.Array) -> Hashes:
    """Hashes of an array of large_binary, of what lies between its offsets."""
    import numpy as np

    if not len(values):
        return np.empty(0, np.uint64)
    _, places, data = values.buffers()
    offsets = np.frombuffer(places, np.int64)[values.offset : values.offset + len(values) + 1]
    return slice_hashes(np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8), offsets)


def mixed(columns: list[Hashes], rows: int) -> Hashes:
    """One hash a row from those of its columns [rows], in their order."""
    import numpy as np

    stacked = np.column_stack([np.empty((rows, 0), np.uint64), *columns])
    return slice_hashes(stacked.ravel(), np.arange(rows + 1) * stacked.shape[1])


def _are_labels(name: str, counted: Counter[str]) -> bool:
    return name == LABEL or 2 * len(counted) <= counted.total()


def _most_first(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda found: (-found[1], found[0]))


def _round_numbers() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, ..."""
    scale = 1
    while True:
        yield from (scale, 2 * scale, 5 * scale)
        scale *= 10
