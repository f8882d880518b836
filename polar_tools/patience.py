"""How the calls to one store wait for it: after a failure that may pass, all threads together, and as long as the store asks."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from polar_tools.errors import UnfinishedError

LONGEST_WAIT = 600.0
"""Seconds that a store may ask to wait; for a longer pause the person is asked to come again."""
FIRST_WAIT = 0.5
"""Seconds before the second attempt, where the store asks for nothing; each further pause is twice as long."""
LONGEST_GROWN = 30.0
"""Seconds beyond which such pauses don't grow."""


class Patience:
    """The pauses between the attempts of all calls to one store; `name` is how a person knows it."""

    def __init__(self, name: str) -> None:
        self._name, self._not_before, self._lock = name, 0.0, threading.Lock()

    def pause(self) -> None:
        """Sleep until calls may begin again."""
        time.sleep(max(0.0, self._not_before - time.monotonic()))

    def put_off(self, number: int, wish: float | None) -> None:
        """After the `number`th attempt let no call begin before the store's wish, in seconds, or else a growing while is over.

        Raises UnfinishedError where the wish is more than a command should wait.
        """
        growing = min(LONGEST_GROWN, FIRST_WAIT * 2 ** (number - 1)) * random.uniform(1, 1.25)  # noqa: S311 (so that not all come back at once)
        seconds = growing if wish is None else wish
        if seconds > LONGEST_WAIT:
            raise UnfinishedError(f"`{self._name}`: the store asks for a pause of {seconds:.0f} s; run the same command again then")
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)


def retry_after(header: str) -> float | None:
    """Seconds that a Retry-After header asks to wait, which holds a number or a date; None for one that says nothing."""
    wish = header.strip()
    if wish.isdecimal():
        return float(wish)
    try:
        return max(0.0, (parsedate_to_datetime(wish) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
