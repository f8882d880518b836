"""The words of the pages: a YAML file a language, all with the same keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
BY_NUMBER = {"one", "other"}
"""Keys under which a text stands that depends on the number `n`; a language that makes no difference has but one text."""


def names() -> list[str]:
    """The languages there are, sorted."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


@cache
def texts(language: str) -> dict[str, Any]:
    """Key, with dots between its parts -> text, or texts by number."""
    import yaml

    return dict(_flat(yaml.safe_load((FOLDER / f"{language}.yaml").read_text(encoding="utf-8"))))


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict) and not set(value) <= BY_NUMBER:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield above + key, value


class Words:
    """Looks words up for a template: `words("key", n=3)`. A text may hold tags; what is put into it is escaped."""

    def __init__(self, language: str) -> None:
        self.language, self._texts = language, texts(language)

    def __call__(self, key: str, **values: Any) -> Any:
        """The text of `key` with `values` in it; raises KeyError for a key that there isn't."""
        from markupsafe import Markup

        text = self._texts[key]
        if isinstance(text, dict):
            text = text["one" if values["n"] == 1 and "one" in text else "other"]
        return Markup(text).format(**values)  # noqa: S704 (the texts are ours, and what is put in is escaped)

    def has(self, key: str) -> bool:
        """Whether there is such a text; what code says of itself, in English, takes its place where there is none."""
        return key in self._texts
