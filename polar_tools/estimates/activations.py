"""What the layers of a model keep for the backward pass, and what its head makes.

The numbers of LAYERS were counted with `torch.autograd.graph.saved_tensors_hooks` on small models of each architecture (transformers 5.23,
torch 2.13), with and without padding, in both kernels: docs/plan.md has the table. Korthikanti et al. 2022 (arXiv:2205.05198) derive the
same for a GPT layer of 16 bits with a fused kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from polar_tools.estimates.architecture import Stack


@dataclass(frozen=True)
class Layer:
    """Numbers that a layer keeps of each token, as multiples of its sizes."""

    hidden: float
    query: float
    key: float
    inner: float
    scores: float
    """Times heads x tokens of the row, where attention weights are kept without dropout: 0 under sdpa."""
    dropped: float
    """Times hidden, for dropout where the model uses it."""
    upcast: float = 2
    """Times hidden more in types of 16 bits: norms compute in float32."""


LLAMA = Layer(6, 2, 2, 4, 1, 0)
LAYERS = {
    "llama": LLAMA,
    "qwen3": Layer(6, 4, 4, 4, 1, 0, 4),
    "gemma3_text": Layer(10, 4, 4, 4, 1, 0, 6),
    "gemma2": Layer(10, 2, 2, 4, 1, 0),
    "olmo2": Layer(6, 4, 4, 4, 1, 0),
    "phi3": Layer(6, 4, 3, 4, 1, 0),
    "gpt2": Layer(4, 2, 2, 5, 1, 2),
    "bert": Layer(4, 2, 2, 2, 1, 2, 3),
    "modernbert": Layer(6, 2, 2, 4, 1, 0, 0),
    "bart": Layer(4, 2, 2, 2, 1, 2),
    "bart-decoder": Layer(7, 4, 4, 2, 2, 2),
    "bert-decoder": Layer(7, 4, 4, 2, 2, 3),
    "t5": Layer(6, 2, 2, 3, 1, 2),
    "t5-decoder": Layer(10, 4, 4, 3, 2, 2),
}
"""By `model_type`, and with `-decoder` behind it for a decoder that also attends to an encoder."""
LIKE = {
    "llama": ("mistral", "qwen2", "smollm3", "granite", "gemma", "phi", "stablelm", "olmo", "cohere"),
    "qwen3": ("qwen3_moe",),
    "gemma3_text": ("gemma3",),
    "gpt2": ("gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "falcon"),
    "bert": ("roberta", "xlm-roberta", "electra", "camembert", "distilbert", "deberta", "deberta-v2", "mpnet", "albert"),
    "bart": ("mbart", "pegasus", "m2m_100", "marian", "blenderbot"),
    "t5": ("mt5", "umt5"),
}
"""Architectures whose layers are built alike."""
_ALIKE = {other: known for known, others in LIKE.items() for other in others}
DROPOUT_OF_SCORES = 3
"""Attention weights under dropout are kept three times, by sdpa too, which then has no kernel of its own: weights, mask, product."""


def layer(stack: Stack) -> tuple[Layer, bool]:
    """What a layer of `stack` keeps; False says that its architecture is not known here, and llama's is taken."""
    kind = stack.family.removesuffix("-decoder")
    known = LAYERS.get(_ALIKE.get(kind, kind) + stack.family.removeprefix(kind))
    return (LLAMA, False) if known is None else (known, True)


BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
"""Of a number."""
AUTOCAST = {"hidden": 0.85, "inner": 0.5}
"""What is left under autocast of what float32 keeps: linear layers keep 16 bits, norms and residuals 32."""


def kept(stack: Stack, tokens: int, row: int, kernel: str, padded: bool, precision: str = "float32") -> list[tuple[float, float]]:
    """What one layer keeps for `tokens` in rows of `row` each: how many tensors, and the bytes of each.

    `kernel` is `attn_implementation`, or `fused` for sdpa on a GPU, where dropout needs no weights kept. `precision` is `dtype` or
    `autocast`. Where rows are `padded`, sdpa takes a mask, and keys and values are repeated for all query heads.
    """
    made, _ = layer(stack)
    half, mixed = precision in ("bfloat16", "float16"), precision == "autocast"
    grouped = stack.groups < stack.heads and (padded or kernel == "eager")
    scores = made.scores if kernel == "eager" else 0.0
    if stack.attention_dropout and kernel in ("eager", "sdpa"):
        scores = DROPOUT_OF_SCORES * made.scores * (2 if half else 1)
    masks = made.scores if kernel in ("sdpa", "fused") and padded and not scores else 0.0
    some, inner = (AUTOCAST["hidden"], AUTOCAST["inner"]) if mixed else (1.0, 1.0)
    size = BYTES.get(precision, 4.0)
    return [
        (some * (made.hidden + made.dropped * bool(stack.hidden_dropout) + made.upcast * half), size * tokens * stack.hidden),
        (some * (made.query + (2 if grouped else 0)), size * tokens * stack.query),
        (some * (made.key - (2 if grouped else 0)), size * tokens * stack.key),
        (inner * made.inner, size * tokens * stack.inner),
        (scores, size * tokens * row * stack.heads),
        (masks, size * tokens * row),
    ]


def answer_logits(rows: int, columns: int, trained: int, words: int, size: float) -> float:
    """Bytes of the head under trainers/answer_loss.py: logits of `size` bytes a number at the columns where any of the rows is trained
    on; of the trained tokens alone also their own, in float32, and their logarithms.
    """
    return float(words) * (rows * columns * size + trained * (8.0 + (size if size < 4 else 0.0)))


SLICE, SLICE_OF_TRAINED_HEAD = 2**23, 2**25
"""Logits that head_loss.py makes at a time, where the head stays as it is and where it is trained."""


def sliced_logits(trained: int, words: int, size: float, learning: bool) -> float:
    """Bytes of the head under head_loss.py: a slice of the logits of the trained tokens, and their gradient, in float32."""
    return min(float(words) * trained, SLICE_OF_TRAINED_HEAD if learning else SLICE) * (8.0 + (size if size < 4 else 0.0))


def full_logits(tokens: int, words: int, size: float) -> float:
    """Bytes of the head where it runs on every token: logits, and in float32 their logarithms and the gradient of these."""
    return float(words) * tokens * (8.0 + (size if size == 4 else size + 4.0))


TILE = (4096, 32768)
"""Tokens and words that trl's fused head takes at a time (trl/kernels/chunked_logprob.py)."""
TILES, TILES_FORWARD = 8.25, 4.5
"""Tiles at a time, where no Triton kernel folds them: what `_backward_tile` there holds of each logit, and `_forward_tile`."""


def fused_logits(tokens: int, words: int, size: float, on_gpu: bool, backward: bool = True) -> float:
    """Bytes of the head of trl's trainers of preferences and of GRPO, which never holds the logits of all words."""
    held = size if on_gpu else 4.0 * (TILES if backward else TILES_FORWARD)
    return float(min(tokens, TILE[0])) * min(words, TILE[1]) * held
