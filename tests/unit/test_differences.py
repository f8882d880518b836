"""Where two texts differ, in English, Korean and Japanese; the pieces make up the text again."""

import pytest

from polar_tools import differences


def shown(text: str, other: str) -> str:
    return "".join(f"[{piece}]" if differs else piece for piece, differs in differences.marked(text, other))


@pytest.mark.parametrize(
    ("text", "other", "marked"),
    [
        ("the cat sat", "the dog sat", "the [cat] sat"),
        ("the cat sat down", "the cat sat", "the cat sat[ down]"),
        ("the cat sat", "the cat sat", "the cat sat"),
        ("강아지가 크게 짖습니다", "강아지는 크게 짖습니다", "강아지[가] 크게 짖습니다"),
        ("猫が好き", "犬が好き", "[猫]が好き"),
        ("", "anything", ""),
        ("all new", "", "[all new]"),
    ],
)
def test_what_the_other_lacks_is_marked(text: str, other: str, marked: str) -> None:
    assert shown(text, other) == marked
    assert "".join(piece for piece, _ in differences.marked(text, other)) == text
