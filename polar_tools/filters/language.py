"""Keep rows in certain languages, as py3langid recognises them: a naive Bayes classifier that ships its model of 140 languages."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, field_validator

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa

LANGUAGES = (
    "ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa fi fo fr fuv fy ga gcf gcr "
    "gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv "
    "mg mk ml mn mr ms mt my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv sw ta te tg "
    "th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu zxx"
)
"""The codes that the model gives; here so that a config is checked without it."""


class Options(base.Options):
    """The column, the languages, and how sure it must be."""

    name: Literal["language"] = "language"
    column: str
    """Column that is looked at; of a list of messages all contents together."""
    keep: Annotated[tuple[str, ...], Field(min_length=1)]
    """ISO 639 codes of the languages that stay, such as `ko` and `en`."""
    min_probability: Annotated[NonNegativeFloat, Field(le=1)] = 0.5
    """Least probability of the most probable language. A row of a word or two may be too short to be sure of: see `script`, or take 0."""
    max_characters: PositiveInt = 1000
    """How much of a text is looked at, from its beginning; more takes longer."""

    @field_validator("keep")
    @classmethod
    def _known(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [code for code in codes if code not in LANGUAGES.split()]
        if unknown:
            raise ValueError(f"there is no language `{unknown[0]}`; known are: {', '.join(LANGUAGES.split())}")
        return codes


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """The rows whose most probable language is one of `keep`, with enough probability. A null stays: `missing` drops it."""
    for table in chunks:
        yield table.filter(base.mask(text is None or _stays(text, options) for text in base.texts(table, options.column)))


def _stays(text: str, options: Options) -> bool:
    language, probability = _identifier().classify(text[: options.max_characters])
    return language in options.keep and probability >= options.min_probability


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
