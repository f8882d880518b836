"""Drop rows that nearly repeat an earlier row: MinHash finds pairs that may be alike, and their n-grams decide.

Rows are joined to groups (what is alike through a third row is one group), of which the first row stays. The split can take the same
groups, so that no test row nearly repeats one that was trained on.

The signatures are rensa's. In memory stay, for each row, 8 bytes for each band of its signature, 1 for each of its numbers and 16 more:
344 at the default options. The n-grams, which are needed again for the few pairs that look alike, lie in a temporary file, 4 bytes each.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from polar_tools.filters import base
from polar_tools.ngrams import CHARACTERS, SYLLABLES, Rolling, mixed, places, units
from polar_tools.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa

    Array = Any  # of numpy

BATCH = 1000
"""Rows whose signatures are made at once."""
RECALL = 0.95
"""Of pairs exactly as alike as `threshold`, the share that must come to be compared. Of those more alike it is more."""
NEIGHBOURS = 8
"""Of the rows that share a band, each is compared with so many before it: rows that only share a template cost no more than that."""
DEVIATIONS = 2.5
"""How far below the threshold, in standard deviations of a signature's estimate, a pair may seem and still be compared exactly."""
SINGLE = {"auto": SYLLABLES, "word": None, "char": CHARACTERS}
"""What is a unit by itself."""


class Options(base.Options):
    """What is compared, how, and how much alike is too much."""

    name: Literal["near_duplicates"] = "near_duplicates"
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Columns of text that are compared together; case, punctuation and white space don't count."""
    threshold: Annotated[PositiveFloat, Field(le=1)] = 0.7
    """Rows are alike that share so much of their n-grams: those of both, divided by those of either (the Jaccard index)."""
    ngram_size: PositiveInt = 5
    """How many units are an n-gram. One changed unit changes so many of them: smaller for texts of a line or two."""
    unit: Literal["auto", "word", "char"] = "auto"
    """What is counted: words, characters, or (`auto`) words, and single characters in Korean, Chinese, Japanese, Thai and the like."""
    num_perm: PositiveInt = 128
    """Numbers in a signature. A lower threshold needs more."""
    seed: NonNegativeInt = 0
    """Seed of the signatures."""

    @model_validator(mode="after")
    def _signature_is_long_enough(self) -> Options:
        needed = 1 if self.threshold == 1 else math.ceil(math.log(1 - RECALL) / math.log(1 - self.threshold))
        if self.num_perm < needed:
            raise ValueError(
                f"too short a signature to find what is alike at a threshold of {self.threshold}: `num_perm` is at least {needed}"
            )
        return self


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """The first row of every group, in the old order. A row without a letter or a digit, as a null, is like no other and stays."""
    import numpy as np

    rows = Spool(chunks)
    first = groups(rows, options) == np.arange(rows.rows)
    seen = 0
    for table in rows:
        yield table.filter(first[seen : seen + table.num_rows])
        seen += table.num_rows


def groups(chunks: Iterable[pa.Table], options: Options) -> Array:
    """For each row the number of the first row of its group; its own where it is like no earlier row."""
    import numpy as np

    with tempfile.TemporaryFile() as ngrams:
        signatures = _Signatures(chunks, options, ngrams)
        found = np.arange(signatures.rows)
        for band in range(signatures.bands):
            rows, keys = signatures.sharing(band)
            for distance in range(1, NEIGHBOURS + 1):
                same = keys[distance:] == keys[:-distance]
                pairs = np.stack([rows[:-distance][same], rows[distance:][same]])
                pairs = signatures.alike(pairs[:, found[pairs[0]] != found[pairs[1]]])
                found = joined(found, pairs) if pairs.size else found
    return found


class _Signatures:
    """What is remembered of the rows: the keys of their bands, a sketch of their signatures, and their n-grams in a file."""

    def __init__(self, chunks: Iterable[pa.Table], options: Options, ngrams: IO[bytes]) -> None:
        import numpy as np

        self._options = options
        self._width = max(
            width for width in range(1, options.num_perm + 1) if _recall(options.threshold, options.num_perm, width) >= RECALL
        )
        self.bands = options.num_perm // self._width
        self._ngrams = ngrams
        empty: tuple[Array, Array, Array] = (
            np.zeros(0, np.int64),
            np.zeros((self.bands, 0), np.uint64),
            np.zeros((0, options.num_perm), np.uint8),
        )
        made = [empty, *(self._made(batch) for table in chunks for batch in table.to_batches(max_chunksize=BATCH))]
        sizes, self._keys, sketches = zip(*made, strict=True)
        self._starts = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        self._sketches = np.concatenate(sketches)
        self.rows = len(self._sketches)

    def _made(self, batch: pa.RecordBatch) -> tuple[Array, Array, Array]:
        """How many n-grams the rows have, the keys of their bands, and the lowest byte of each number of their signatures."""
        import numpy as np
        from rensa import RMinHash

        ngrams, starts = _ngrams(_words(batch, self._options), self._options.ngram_size)
        self._ngrams.write(ngrams.astype(np.uint32).tobytes())
        made = RMinHash.digest_matrix_from_flat_token_hashes(ngrams, starts.astype(np.uint64), self._options.num_perm, self._options.seed)
        signatures = np.array(made.to_rows(), np.uint64).reshape(-1, self._options.num_perm)
        banded = signatures[:, : self.bands * self._width].reshape(-1, self.bands, self._width)
        return np.diff(starts), mixed(banded).T, signatures.astype(np.uint8)

    def sharing(self, band: int) -> tuple[Array, Array]:
        """The rows that share a key of this band with another, sorted by it, and those keys."""
        import numpy as np

        rows = np.flatnonzero(np.diff(self._starts))
        keys = np.concatenate([keys[band] for keys in self._keys])[rows]
        order = np.argsort(keys, kind="stable")
        rows, keys = rows[order], keys[order]
        shared: Array = np.zeros(len(keys), bool)
        shared[1:] = keys[1:] == keys[:-1]
        shared[:-1] |= shared[1:]
        return rows[shared], keys[shared]

    def alike(self, pairs: Array) -> Array:
        """Those of `pairs`, two rows of row numbers, that reach the threshold: by their sketches first, then by their n-grams."""
        import numpy as np

        lowest = self._options.threshold - DEVIATIONS * 0.5 / math.sqrt(self._options.num_perm)
        seem: Array = np.zeros(pairs.shape[1], bool)
        for start in range(0, pairs.shape[1], BATCH):
            one, other = pairs[:, start : start + BATCH]
            seem[start : start + BATCH] = (self._sketches[one] == self._sketches[other]).mean(axis=1) >= lowest
        pairs = pairs[:, seem]
        return pairs[:, np.array([self._jaccard(*pair) >= self._options.threshold for pair in pairs.T], bool)]

    def _jaccard(self, one: int, other: int) -> float:
        import numpy as np

        first, second = self._read(one), self._read(other)
        both = np.intersect1d(first, second, assume_unique=True).size
        return float(both / (first.size + second.size - both))

    def _read(self, row: int) -> Array:
        """The n-grams of a row."""
        import numpy as np

        start, end = self._starts[row : row + 2]
        self._ngrams.seek(4 * start)
        return np.unique(np.frombuffer(self._ngrams.read(4 * (end - start)), np.uint32))


def _recall(threshold: float, num_perm: int, width: int) -> float:
    """The share of pairs exactly as alike as `threshold` that have a band of this width in common."""
    return 1 - (1 - threshold**width) ** (num_perm // width)


def _words(batch: pa.RecordBatch, options: Options) -> pa.ListArray:
    """The units of every row; null where there is none."""
    import pyarrow as pa

    table = pa.Table.from_batches([batch])
    return units([base.text_column(table, column).combine_chunks() for column in options.columns], SINGLE[options.unit])


def _ngrams(words: pa.ListArray, size: int) -> tuple[Array, Array]:
    """Hashes of all n-grams, and where each row's begin and the last one's end; fewer words than `size` are one n-gram."""
    import numpy as np
    import pyarrow.compute as pc
    from rensa import RMinHash

    encoded = pc.list_flatten(words).dictionary_encode()
    (hashes,) = RMinHash.hash_token_sets([encoded.dictionary.to_pylist()])
    counts = pc.fill_null(pc.list_value_length(words), 0).to_numpy(zero_copy_only=False)
    room = np.where(counts, np.maximum(counts, size), 0)
    padded = np.zeros(max(room.sum(), size), np.uint64)
    padded[places(room, counts)] = np.array(hashes, np.uint64)[encoded.indices]
    made = np.where(counts, room - size + 1, 0)
    return Rolling(padded).windows(size)[places(room, made)], np.concatenate([[0], np.cumsum(made)])


def joined(found: Array, pairs: Array) -> Array:
    """`found` with the groups of each pair made one, named by its first row."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([np.stack([np.arange(len(found)), found]), pairs], axis=1)
    _, labels = connected_components(coo_array((np.ones(edges.shape[1], bool), tuple(edges)), (len(found),) * 2), directed=False)
    _, first = np.unique(labels, return_index=True)
    return first[labels]
