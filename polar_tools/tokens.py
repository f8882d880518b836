"""Rendered rows on the disk, shard by shard: tokens/ for the trainer, measures/ with a line a row; what hasn't changed is taken over."""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import datasets, measures
from polar_tools.artifact import canonical, put, read_json, sha256_of
from polar_tools.marks import IDS, IGNORED, LABELS, OPENING, Example, sequences

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Int32s = np.ndarray[Any, np.dtype[np.int32]]
    Flat = tuple[np.ndarray[Any, Any], Int32s]

GROUP = 10_000
"""Rows of a row group in tokens/."""
MEASURED = ("tokens", "trained", "kept_tokens", "kept_trained", "kept_in_all")
"""Numbers in a line of measures/."""
ORIGINS = "origins"
"""The folder that says from what each shard was made, by which versions too: so it belongs to the manifest rather than to the record."""
EVALUATION = "evaluation"
"""The folder of rows that are looked at while training, each set in a folder of its name."""
SAMPLES = 5
"""Rows that are remembered of those that are cut, and of those that are dropped."""


@dataclass(frozen=True)
class Shard:
    """The files of a shard: the tokens of the rows that are kept, the measures of all rows, and from what both were made."""

    tokens: Path
    measures: Path
    origin: Path
    """JSON with `made_from` and the sha256 of the other two; there once they are whole."""

    @classmethod
    def of(cls, folder: Path, name: str) -> Shard:
        """The shard `name`, such as train-00000, of an artifact."""
        return cls(folder / "tokens" / f"{name}.parquet", folder / "measures" / f"{name}.parquet", folder / ORIGINS / f"{name}.json")

    def is_whole(self) -> bool:
        """Whether tokens and measures are what the origin says."""
        known = read_json(self.origin) or {}
        return all(path.is_file() and sha256_of(path) == known.get(path.parent.name) for path in (self.tokens, self.measures))

    def seal(self, made_from: str) -> None:
        """Write the origin."""
        self.origin.parent.mkdir(parents=True, exist_ok=True)
        known = {path.parent.name: sha256_of(path) for path in (self.tokens, self.measures)}
        _unfinished(self.origin).write_bytes(canonical({**known, "made_from": made_from}))
        _unfinished(self.origin).replace(self.origin)


def tables(rendered: Sequence[Example], kept: Sequence[Example | None]) -> tuple[pa.Table, pa.Table]:
    """Rows as they are rendered and as they are kept (None where they are dropped), as tables for `write`: tokens, and measures.

    Measures are, of every row: `tokens`, of its longest sequence, and `trained`, of all, as rendered, `kept_tokens` and `kept_trained`
    (0 where it is dropped), `kept_in_all`, the tokens of all its sequences, and `hash` of the ids that are kept.
    """
    import numpy as np
    import pyarrow as pa

    examples = [example for example in kept if example is not None]
    names = [name for name in rendered[0] if name != OPENING]
    columns = {name: _flat([example[name] for example in examples], _kind(name, rendered)) for name in names}
    ids, masks = _endings(columns, IDS), _endings(columns, LABELS)
    stays = np.array([example is not None for example in kept], dtype=bool)
    figures: dict[str, Int32s] = {name: np.zeros(len(kept), np.int32) for name in MEASURED}
    lengths = [np.diff(offsets) for _, offsets in ids]
    figures["kept_tokens"][stays], figures["kept_in_all"][stays] = np.max(lengths, axis=0), np.sum(lengths, axis=0)
    for numbers, offsets in masks:
        figures["kept_trained"][stays] += np.diff(np.concatenate([[0], np.cumsum(numbers != IGNORED)])[offsets])
    figures["tokens"][:], figures["trained"][:] = figures["kept_tokens"], figures["kept_trained"]
    for place, (whole, rest) in enumerate(zip(rendered, kept, strict=True)):
        if whole is not rest:
            found = sequences(whole)
            figures["tokens"][place] = max(len(one.ids) for one in found)
            figures["trained"][place] = sum(len(one.labels) - one.labels.count(IGNORED) for one in found if one.labels is not None)
    hashes: measures.Hashes = np.zeros(len(kept), np.uint64)
    each = [measures.slice_hashes(*flat) for flat in ids]
    hashes[stays] = each[0] if len(each) == 1 else measures.mixed(each, len(examples))
    lists = {name: pa.ListArray.from_arrays(offsets, numbers) for name, (numbers, offsets) in columns.items()}
    return pa.table(lists), pa.table({**figures, "hash": hashes})


def _endings(columns: Mapping[str, Flat], name: str) -> list[Flat]:
    """The columns of sequences that are called `name`, or PREFIX_name."""
    return [flat for column, flat in columns.items() if column == name or column.endswith(f"_{name}")]


def _kind(name: str, rows: Sequence[Example]) -> str:
    """How a column is stored: `f`, 32-bit fractions, where a number of it is one, else `i`, 32-bit whole numbers."""
    first = next((row[name][0] for row in rows if row[name]), 0)
    return "f" if isinstance(first, float) else "i"


def _flat(rows: Sequence[list[Any]], kind: str) -> Flat:
    """The numbers of all rows behind each other, and where each row begins, with the end of the last."""
    import numpy as np

    numbers = array(kind)
    for row in rows:
        numbers.fromlist(row)  # of all ways from lists to an array the one that touches each number once
    offsets: Int32s = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return np.frombuffer(numbers, np.dtype(kind)), offsets


class Figures:
    """What the measures of shards say together, taken one by one."""

    def __init__(self) -> None:
        self.lengths, self.trained = measures.Lengths(), measures.Lengths()
        self.counts: Counter[str] = Counter()
        self.places: dict[str, list[int]] = {"cut": [], "shortest": [], "longest": [], "dropped": []}
        self._hashes: list[measures.Hashes] = []
        self._ends = (-1, -1)

    def add(self, table: pa.Table) -> None:
        """Take the rows of `table`, which follow those taken before."""
        import numpy as np

        first = self.lengths.rows
        tokens, trained, kept, kept_trained = (
            table[name].to_numpy().astype(np.int64) for name in ("tokens", "trained", "kept_tokens", "kept_trained")
        )
        stays, cut = kept > 0, (kept > 0) & (kept < tokens)
        self.lengths.add(tokens)
        self.trained.add(kept_trained[stays])
        self._hashes.append(table["hash"].to_numpy()[stays])
        self.counts.update(
            {
                "rows": len(tokens),
                "dropped": int((~stays).sum()),
                "cut": int(cut.sum()),
                "answers_cut": int((cut & (kept_trained < trained)).sum()),
                "tokens": int(table["kept_in_all"].to_numpy().sum()),
                "trained_tokens": int(kept_trained.sum()),
                "tokens_lost": int((tokens - kept)[cut].sum()),
                "trained_tokens_lost": int((trained - kept_trained)[cut].sum()),
                "hardly_trained": int((stays & (kept_trained < 2)).sum()),
            }
        )
        self._remember("cut", first, np.flatnonzero(cut))
        self._remember("dropped", first, np.flatnonzero(~stays))
        low, high = int(tokens.argmin()), int(tokens.argmax())
        shortest, longest = self._ends
        if shortest < 0 or tokens[low] < shortest:
            self.places["shortest"], shortest = [first + low], int(tokens[low])
        if tokens[high] > longest:
            self.places["longest"], longest = [first + high], int(tokens[high])
        self._ends = shortest, longest

    @property
    def duplicates(self) -> int:
        """How many of the rows that are kept have the very tokens of an earlier one."""
        return measures.repeated(self._hashes)

    def _remember(self, name: str, first: int, places: measures.Ints) -> None:
        self.places[name] += [first + int(place) for place in places[: SAMPLES - len(self.places[name])]]


def write(chunks: Iterable[tuple[pa.Table, pa.Table]], shard: Shard, made_from: str) -> None:
    """The files of a shard: the same bytes for the same rows, however they are cut into chunks."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    figures: list[pa.Table] = []

    def tokens() -> Iterator[pa.Table]:
        for kept, measured in chunks:
            figures.append(measured)
            yield kept

    for path in (shard.origin, shard.tokens, shard.measures):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # not written over: it may be linked to from where it was taken
    made = tokens()
    first = next(made)
    with pq.ParquetWriter(shard.tokens, first.schema, compression="zstd") as file:
        for table in datasets.regrouped(itertools.chain([first], made), GROUP):
            file.write_table(table.combine_chunks())
    pq.write_table(pa.concat_tables(figures).combine_chunks(), shard.measures, compression="zstd")
    shard.seal(made_from)


def left_in(*folders: Path) -> dict[str, Shard]:
    """The shards that earlier runs left in folders of artifacts, by what they were made from; of equal ones that of the first folder."""
    found: dict[str, Shard] = {}
    for origin in (origin for folder in folders for origin in sorted(folder.glob(f"{ORIGINS}/*.json"))):
        found.setdefault(str((read_json(origin) or {}).get("made_from")), Shard.of(origin.parent.parent, origin.stem))
    return found


def take_over(found: Shard, shard: Shard, made_from: str) -> bool:
    """Put `found` in the place of `shard` and return True, unless it is not whole."""
    if not found.is_whole():
        return False
    if found != shard:
        shard.origin.unlink(missing_ok=True)
        for old, new in ((found.tokens, shard.tokens), (found.measures, shard.measures)):
            put(old, new)
        shard.seal(made_from)
    return True


def keep_only(shards: Sequence[Shard], folder: Path) -> None:
    """Remove every other file from the folders of shards."""
    wanted = {path for shard in shards for path in (shard.tokens, shard.measures, shard.origin)}
    for name in ("tokens", "measures", ORIGINS):
        for path in set((folder / name).iterdir()) - wanted:
            path.unlink()


def kept(prepared: Sequence[Path], folder: Path) -> pa.Table:
    """The prepared rows of shards but for those that were dropped when they were rendered into `folder`, an artifact's."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    measured = [pq.read_table(Shard.of(folder, path.stem).measures, columns=["kept_tokens"])["kept_tokens"] for path in prepared]
    stays = [pc.greater(column, 0).combine_chunks() for column in measured]
    return pa.concat_tables([pq.read_table(path).filter(mask) for path, mask in zip(prepared, stays, strict=True)])


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.unfinished")
