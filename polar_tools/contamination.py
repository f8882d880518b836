"""Which training rows repeat text of test rows: n-grams of the test rows, looked up in training rows that stream by.

A row's text is that of all its columns but labels, in their order. Its units are words by white space, as in the work that made 13-grams
the custom (Brown et al. 2020), and single characters where a script has no spaces. Korean goes by its words: two texts that share
13 syllables, three or four words, are seldom copies. (The filter near_duplicates counts shares, not runs, and takes syllables.)
Test rows with fewer units than an n-gram count as a whole, wherever they stand in a training row.

In memory stay of each n-gram of the test rows its hash and its place, 16 bytes, and of each unit 4; of the training rows one batch, and
LISTED matches. N-grams of equal hashes are compared unit by unit before anything is said of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets, ngrams
from polar_tools.filters import base
from polar_tools.specs import OverlapSpec

if TYPE_CHECKING:
    import pyarrow as pa

    Array = Any  # of numpy
    Span = tuple[int, int]

LABELS = {"label", "labels"}
"""Columns of this name hold answers from a list, which repeat by their nature."""
SINGLE = {"auto": ngrams.SPACELESS, "word": None, "char": ngrams.CHARACTERS}
"""What is a unit by itself."""
SHORTEST = 5
"""Fewer units than this are found everywhere and say nothing."""
BATCH = 1000
"""Training rows that are looked at at once."""
LISTED = 500
"""Matches that are kept with their text: of every test row first its best, then its second best, and so on."""


def texts(folder: Path, part: str) -> Iterator[pa.Array]:
    """The text of every row of a part of prepared data, BATCH rows at a time."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for shard in datasets.shards(folder, part):
        file = pq.ParquetFile(shard, pre_buffer=False, buffer_size=1 << 20)  # in pieces, or a shard's column is read at once
        columns = [name for name in base.text_columns(file.schema_arrow.empty_table(), ()) if name not in LABELS]
        for batch in file.iter_batches(BATCH, columns=columns):
            table = pa.Table.from_batches([batch])
            found = [pc.fill_null(base.text_column(table, name).combine_chunks(), "") for name in columns]
            yield pc.binary_join_element_wise(*found, "\n") if found else pa.array([""] * batch.num_rows)


class _Index:
    """N-grams of one length: their hashes, sorted, and where each stands among the units of all test rows."""

    def __init__(self, size: int, hashes: Array, places: Array) -> None:
        import numpy as np

        order = np.argsort(hashes, kind="stable")
        self.size, self.hashes, self.places = size, hashes[order], places[order]
        self._mask = np.uint64(2 ** min(27, max(16, len(hashes).bit_length() + 4)) - 1)
        self._some: Array = np.zeros(int(self._mask) + 1, bool)
        self._some[hashes & self._mask] = True  # most of what is looked up ends here, without a search

    def find(self, hashes: Array) -> tuple[Array, Array]:
        """Those of `hashes` that are there, by their numbers, and for each where among the sorted ones it begins."""
        import numpy as np

        likely = np.flatnonzero(self._some[hashes & self._mask])
        first: Array = np.searchsorted(self.hashes, hashes[likely])
        there = self.hashes[np.minimum(first, len(self.hashes) - 1)] == hashes[likely]
        return likely[there], first[there]

    def all_places(self, first: Array) -> tuple[Array, Array]:
        """Every place of the n-grams whose hashes begin at `first`, and the number of the n-gram that stands there."""
        import numpy as np

        counts = np.searchsorted(self.hashes, self.hashes[first], side="right") - first
        numbers: Array = np.repeat(np.arange(len(first)), counts)
        return self.places[np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[numbers]], numbers


class TestRows:
    """The test rows: their units as numbers, their n-grams as hashes, and what has been found of them."""

    __test__ = False  # it is none of pytest's

    def __init__(self, rows: Iterable[pa.Array], spec: OverlapSpec) -> None:
        import numpy as np
        import pyarrow as pa

        self._size, self._single, self._common = spec.ngram_size, SINGLE[spec.unit], spec.common
        self._locator = ngrams.Locator(self._single)
        self._texts = pa.chunked_array(list(rows), pa.string())
        self._vocabulary: dict[str, int] = {}
        coded = [self._coded(batch, learn=True) for batch in self._texts.chunks]
        self._codes = np.concatenate([np.zeros(0, np.int32), *(codes for codes, _ in coded)])
        self.units = np.concatenate([np.zeros(0, np.int64), *(counts for _, counts in coded)])
        self.lengths = np.where(self.units >= min(SHORTEST, self._size), np.minimum(self.units, self._size), 0)
        self._starts = np.concatenate([[0], np.cumsum(self.units)])
        self._weights = np.random.default_rng(0).integers(2**64, size=len(self._vocabulary) + 1, dtype=np.uint64)
        self._found: Array = np.zeros(len(self._codes), bool)
        self._left_out: Array = np.zeros(len(self._codes), bool)
        self.templates = 0
        hashes = ngrams.Rolling(self._weights[self._codes])
        indexes = [self._indexed(int(size), hashes) for size in np.unique(self.lengths[self.lengths > 0])]
        self._indexes = [index for index in indexes if len(index.hashes)]

    def search(self, rows: pa.Array, first: int) -> pa.Table:
        """The pairs of a test row and one of these training rows, numbered from `first`, that share n-grams.

        Columns: `test_row`, `training_row`, `ngrams` (how many of the test row's) and `share` (how much of its units they cover).
        """
        import numpy as np

        codes, counts = self._coded(rows)
        starts, hashes = np.concatenate([[0], np.cumsum(counts)]), ngrams.Rolling(self._weights[codes])
        none: Array = np.zeros((2, 0), np.int64)
        hits = [np.stack(self._hits(index, codes, starts, hashes)) for index in self._indexes]
        training, places = np.concatenate([none, *hits], axis=1)
        self._found[places] = True
        return self._pairs(training + first, places)

    def shares(self) -> Array:
        """How much of each test row's units stand in training rows, in n-grams of the row's length."""
        import numpy as np

        places = np.flatnonzero(self._found)
        rows = _owners(places, self._starts)
        return np.bincount(rows, self._covered(places, rows, rows), len(self.units)) / np.maximum(self.units, 1)

    def only_templates(self) -> int:
        """How many test rows have no n-gram that isn't left out."""
        import numpy as np

        made = np.where(self.lengths > 0, self.units - self.lengths + 1, 0)
        gone = np.bincount(_owners(np.flatnonzero(self._left_out), self._starts), minlength=len(self.units))
        return int(((made > 0) & (gone == made)).sum())

    def shared(self, row: int, training: str) -> tuple[str, list[Span], list[Span]]:
        """The text of a test row, and where in it and in the training row's text stand the n-grams that both have, in characters."""
        text = self._texts[row].as_py()
        ours, theirs = self._locator.units(text), self._locator.units(training)
        size, start = int(self.lengths[row]), int(self._starts[row])
        looked_for = {gram for gram, out in zip(_grams(ours, size), self._left_out[start:], strict=False) if not out}
        both = looked_for & set(_grams(theirs, size))
        return text, list(_spans(ours, both, size)), list(_spans(theirs, both, size))

    def _coded(self, rows: pa.Array, learn: bool = False) -> tuple[Array, Array]:
        """The units of all rows as numbers, -1 for those that no test row has, and how many each row has."""
        import numpy as np
        import pyarrow.compute as pc

        made = ngrams.units([rows], self._single)
        encoded = pc.list_flatten(made).dictionary_encode()
        known, words = self._vocabulary, encoded.dictionary.to_pylist()
        codes = [known.setdefault(word, len(known)) for word in words] if learn else [known.get(word, -1) for word in words]
        counts = pc.fill_null(pc.list_value_length(made), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        return np.array(codes, np.int32)[encoded.indices.to_numpy()], counts

    def _indexed(self, size: int, hashes: ngrams.Rolling) -> _Index:
        """The n-grams of the rows that are looked up by n-grams of this size, without those that stand in too many rows."""
        import numpy as np

        counts = np.where(self.lengths == size, self.units - size + 1, 0)
        places = ngrams.places(self.units, counts)
        found = hashes.windows(size)[places]
        order = np.argsort(found, kind="stable")
        rows, alike = np.repeat(np.arange(len(counts)), counts)[order], found[order]
        begins = np.r_[True, alike[1:] != alike[:-1]][: len(alike)]
        in_rows = np.bincount(np.cumsum(begins) - 1, begins | np.r_[True, rows[1:] != rows[:-1]][: len(rows)])
        self._left_out[places[order]] = (in_rows > self._common)[np.cumsum(begins) - 1]
        self.templates += int((in_rows > self._common).sum())
        stays = ~self._left_out[places]
        return _Index(size, found[stays], places[stays])

    def _hits(self, index: _Index, codes: Array, starts: Array, hashes: ngrams.Rolling) -> tuple[Array, Array]:
        """Row by row of a batch, the places of the test rows' n-grams that it has. What a row has twice counts once."""
        import numpy as np

        windows, first = index.find(hashes.windows(index.size))
        rows = _owners(windows, starts)
        inside = windows + index.size <= starts[rows + 1]
        windows, first, rows = windows[inside], first[inside], rows[inside]
        _, once = np.unique(rows * len(index.hashes) + first, return_index=True)
        places, numbers = index.all_places(first[once])
        windows, rows = windows[once][numbers], rows[once][numbers]
        same: Array = np.ones(len(places), bool)
        for unit in range(index.size):
            same &= codes[windows + unit] == self._codes[places + unit]
        return rows[same], places[same]

    def _pairs(self, training: Array, places: Array) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        test = _owners(places, self._starts)
        order = np.lexsort((places, training, test))
        test, training, places = test[order], training[order], places[order]
        begins = np.flatnonzero(np.r_[True, (test[1:] != test[:-1]) | (training[1:] != training[:-1])][: len(test)])
        number: Array = np.repeat(np.arange(len(begins)), np.diff(np.r_[begins, len(test)]))
        covered = np.bincount(number, self._covered(places, test, number), len(begins))
        columns = {"test_row": test[begins], "training_row": training[begins], "ngrams": np.bincount(number, minlength=len(begins))}
        return pa.table({**columns, "share": covered / self.units[test[begins]]})

    def _covered(self, places: Array, rows: Array, groups: Array) -> Array:
        """How many units each n-gram covers that the next of its group doesn't; sorted by group and place."""
        import numpy as np

        units = self.lengths[rows]
        same = np.flatnonzero(groups[1:] == groups[:-1])
        units[same] = np.minimum(units[same], places[same + 1] - places[same])
        return units


class Search:
    """What the training rows have of the test rows: all rows that touch them, and the best matches with the rows' text."""

    def __init__(self, rows: Iterable[pa.Array], test: TestRows) -> None:
        import numpy as np
        import pyarrow as pa

        self.rows = self.pairs = 0
        self.listed: pa.Table | None = None
        touching: list[Array] = [np.zeros(0, np.int64)]
        for batch in rows:
            pairs = test.search(batch, self.rows)
            if pairs.num_rows:
                self.pairs += pairs.num_rows
                touching.append(np.unique(pairs["training_row"]))
                best = _best(pairs)
                best = best.append_column("text", batch.take(pa.array(best["training_row"].to_numpy() - self.rows)))
                self.listed = best if self.listed is None else _best(pa.concat_tables([self.listed, best]))
            self.rows += len(batch)
        self.touching = np.concatenate(touching)


def _best(pairs: pa.Table) -> pa.Table:
    """The LISTED best pairs, the best first. What is not among them now would not be, had more come."""
    import numpy as np

    test, training, share = (pairs[name].to_numpy() for name in ("test_row", "training_row", "share"))
    order = np.lexsort((training, -share, test))
    rank = np.arange(len(order)) - np.searchsorted(test[order], test[order])
    return pairs.take(order[np.lexsort((training[order], test[order], -share[order], rank))][:LISTED])


def _owners(places: Array, starts: Array) -> Array:
    """The rows in which places of units lie."""
    import numpy as np

    return np.searchsorted(starts, places, side="right") - 1


def _grams(units: Sequence[tuple[str, int, int]], size: int) -> Iterator[tuple[str, ...]]:
    words = [word for word, _, _ in units]
    return (tuple(words[place : place + size]) for place in range(len(words) - size + 1))


def _spans(units: Sequence[tuple[str, int, int]], grams: set[tuple[str, ...]], size: int) -> Iterator[Span]:
    """From where to where the text is covered by `grams`."""
    begin = end = 0  # in units
    for place, gram in enumerate(_grams(units, size)):
        if gram in grams:
            if end and place > end:
                yield units[begin][1], units[end - 1][2]
            begin = begin if end and place <= end else place
            end = place + size
    if end:
        yield units[begin][1], units[end - 1][2]
