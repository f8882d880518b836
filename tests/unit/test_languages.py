"""The words of the pages: every language has the same, with the same places to fill."""

from string import Formatter

import pytest

from polar_tools import discovery, languages

OF_CODE = ("methods.", "metrics.")
"""What code says of itself in English, and a catalogue in other languages."""


def places(text: object) -> set[str]:
    texts = text.values() if isinstance(text, dict) else [text]
    return {name for one in texts for _, name, _, _ in Formatter().parse(str(one)) if name}


def test_all_languages_have_the_same_keys_and_places() -> None:
    english, korean = languages.texts("en"), {key: text for key, text in languages.texts("ko").items() if not key.startswith(OF_CODE)}
    assert english.keys() == korean.keys()
    assert {key: places(text) for key, text in english.items()} == {key: places(text) for key, text in korean.items()}


@pytest.mark.parametrize("package", ["methods", "metrics"])
def test_korean_words_are_of_what_there_is(package: str) -> None:
    told = {key.partition(".")[2] for key in languages.texts("ko") if key.startswith(f"{package}.")}
    assert told and told <= set(discovery.names(package))


def test_a_number_chooses_the_form_and_what_is_put_in_is_escaped() -> None:
    english, korean = languages.Words("en"), languages.Words("ko")
    assert (english("lineage.count", n=1), english("lineage.count", n=1200)) == ("1 file", "1,200 files")
    assert korean("lineage.count", n=1) == "파일 1개"
    assert english("data.title", name="<b>") == "Data: &lt;b&gt;"
