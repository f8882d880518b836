"""Memory that ran out: how it shows, and work on many rows that goes on with fewer at a time."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from polar_tools.errors import WorldError

Row = TypeVar("Row")
Result = TypeVar("Result")

WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc", "alloc_failed")
"""What libraries say of it: CUDA and cuBLAS, PyTorch's allocator for CPUs, C++."""
SMALLER = "set a shorter max_length (or max_new_tokens, where the model writes), dtype: bfloat16, or take a smaller model"

_found: dict[str, int] = {}


def ran_out(error: BaseException) -> bool:
    """Whether `error` says that memory, of a GPU or of the machine, ran out."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in WORDS)


def free() -> None:
    """Give back what nothing needs any more. Call it outside of the `except`: an error keeps alive all that its frames hold."""
    gc.collect()
    if "torch" in sys.modules:
        import torch

        torch.cuda.empty_cache()


@contextmanager
def noting() -> Iterator[dict[str, int]]:
    """While this lasts, gather how many rows at once were found to fit, by what was done with them; nothing where all went well."""
    _found.clear()
    yield _found


def note(what: str, rows: int) -> None:
    """Say, and remember for `noting`, that no more than `rows` fit at once."""
    _found[what] = min(rows, _found.get(what, rows))
    print(f"memory ran out while {what}; going on with {rows} row{'s' if rows > 1 else ''} at a time", flush=True)


def in_batches(
    what: str,
    rows: Sequence[Row],
    most: int,
    work: Callable[[Sequence[Row]], Result],
    fitting: Callable[[Sequence[Row]], int] | None = None,
) -> Iterator[tuple[Sequence[Row], Result]]:
    """What `work` makes of `rows`, in batches of `most` or, once memory ran out, of half as many, and so on.

    `fitting` says of rows how many of the first should be in one batch, where these are fewer. Raises WorldError, which says what would
    help, where a single row is too much.
    """
    start = 0
    while start < len(rows):
        count = most if fitting is None else min(most, fitting(rows[start:]))
        batch, made = rows[start : start + count], None
        try:
            made = work(batch)
        except Exception as error:
            if not ran_out(error):
                raise
            if len(batch) == 1:
                raise WorldError(f"memory ran out while {what}, with a single row: {SMALLER}") from error
        if made is not None:
            yield batch, made
            start += len(batch)
        else:
            most = (len(batch) + 1) // 2
            free()
            note(what, most)


def at_most(what: str, rows: int, work: Callable[[int], Result]) -> Result:
    """What `work` makes with at most so many rows at a time, which it is told; as `in_batches`, where a library makes the batches."""
    while True:
        try:
            return work(rows)
        except Exception as error:
            if not ran_out(error):
                raise
            if rows == 1:
                raise WorldError(f"memory ran out while {what}, with a single row: {SMALLER}") from error
        rows //= 2
        free()
        note(what, rows)
