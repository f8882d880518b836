"""Work that threads do ahead of whoever takes its results, a little of it at a time, so that memory stays bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 2
"""Items that are worked on at the same time."""


def mapped(work: Callable[[Item], Result], items: Iterable[Item], threads: int = THREADS) -> Iterator[tuple[Item, Result]]:
    """Every item with what `work` makes of it, in order; a few are worked on while others are still read."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > threads:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()


def taken(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, of which the next two are made while one is used."""
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(_next, source) for _ in range(2))
        while (found := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(_next, source))
            yield found[0]


def each(work: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Do `work` with every item, in order, while the next ones are made."""
    for _ in mapped(work, items, threads=1):
        pass


def _next(source: Iterator[Item]) -> tuple[Item] | None:
    return next(((item,) for item in source), None)
