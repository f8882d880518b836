"""BLEU of all texts together (Papineni et al. 2002), by sacrebleu, with the exponential smoothing that it has by default."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from polar_tools.discovery import NameOf
from polar_tools.metrics import base
from polar_tools.metrics.base import Array, Prediction

if TYPE_CHECKING:
    from sacrebleu.metrics import BLEU

LOWER_IS_BETTER = False
SHARE = True
ORDER = 4
OF_SACREBLEU = ("13a", "intl", "char", "zh", "none")
"""Its own tokenizers that need no download and no other program."""


class Options(base.Options):
    """How texts are cut into tokens before they are compared."""

    name: Literal["bleu"] = "bleu"
    tokenizer: Annotated[str, NameOf("segmentation", OF_SACREBLEU)] = "13a"
    """sacrebleu's `13a` (punctuation apart), `intl` (of every script), `char`, `zh`, `none`; or ours, which fold case: `word`, `morpheme`.

    A Korean word carries its particles with it: for Korean take `morpheme`, or `char`.
    """


def parts(predictions: Sequence[Prediction], options: Options) -> Array:
    """Of each row the tokens of its text and of its reference, and of each order the n-grams that are right, written, and wanted."""
    import numpy as np

    texts, references = _sides(predictions, options)
    counted = np.array(_scorer(options)._extract_corpus_statistics(texts, [references]), dtype=np.float64)  # as its own bootstrap does
    wanted = np.maximum(counted[:, 1:2] - np.arange(ORDER), 0)
    return np.concatenate([counted, wanted], axis=1)


def whole(sums: Array, options: Options) -> dict[str, Array]:
    """`bleu`, between 0 and 1. An order of which no reference has an n-gram doesn't count: short texts can't be wrong by it."""
    import numpy as np

    written, wanted = sums[..., 0], sums[..., 1]
    right, total, there = (sums[..., first : first + ORDER] for first in (2, 2 + ORDER, 2 + 2 * ORDER))
    smoothed = 1 / (2 ** (right == 0).cumsum(-1))
    precision = np.where(right > 0, right, smoothed) / np.maximum(total, 1)
    logs = np.where(there > 0, np.log(precision), 0).sum(-1) / np.maximum((there > 0).sum(-1), 1)
    penalty = np.exp(np.minimum(0, 1 - wanted / np.maximum(written, 1)))
    none = (right.sum(-1) == 0) | ((there > 0) & (total == 0)).any(-1)
    return {"bleu": np.where(none, 0.0, penalty * np.exp(logs))}


def signature(options: Options) -> str:
    """As sacrebleu writes it, with our tokenizer where it is one of ours."""
    scorer = _scorer(options)
    scorer._cache_references([["reference"]])  # it tells the number of references only then
    own = str(scorer.get_signature())
    return own if options.tokenizer in OF_SACREBLEU else own.replace("tok:none", base.tokenizer_signature(options.tokenizer))


def _scorer(options: Options) -> BLEU:
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=options.tokenizer if options.tokenizer in OF_SACREBLEU else "none", force=True)


def _sides(predictions: Sequence[Prediction], options: Options) -> list[list[str]]:
    """The predicted and the reference texts as sacrebleu is to cut them, or cut already."""
    if options.tokenizer in OF_SACREBLEU:
        return [[unicodedata.normalize("NFC", text) for text in side] for side in base.pairs("bleu", predictions)]
    return [list(map(" ".join, base.joined(side))) for side in base.tokens("bleu", predictions, options.tokenizer)]
