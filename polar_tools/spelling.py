"""What somebody may have meant who wrote a word that there isn't."""

from __future__ import annotations

from collections.abc import Iterable


def close_to(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is nearest to `word`, if any is near."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion to append to an error message, or "" when nothing is close."""
    close = close_to(word, known)
    return f", did you mean `{close}`?" if close else ""
