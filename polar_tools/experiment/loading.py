"""How a model is loaded."""

from typing import Literal, Self

from pydantic import NonNegativeInt, PositiveInt, model_validator

from polar_tools.experiment.topic import Topic
from polar_tools.fields import Loaded, ModelRef, Rendered


class Loading(Topic):
    """Fields of the model and the machine it is on."""

    dtype: Loaded[Literal["float32", "bfloat16", "float16"]] = "float32"
    """Type of the loaded weights."""
    attn_implementation: Loaded[Literal["sdpa", "eager", "flash_attention_2"]] = "sdpa"
    """Attention kernel. `flash_attention_2` needs a GPU, the package flash-attn and weights of 16 bits."""
    attn_fallback: Loaded[bool] = False
    """Take `sdpa`, or else `eager`, where `attn_implementation` can't be had here. What was taken is said and recorded."""
    trust_remote_code: Rendered[bool] = False
    """Run the Python code that comes with a model. Only where its source is pinned: a commit, a sha256, or files of your own."""
    fallback_model: Rendered[ModelRef | None] = None
    """The model that is taken where transformers doesn't know the architecture of `model`. It is said, and recorded."""
    threads: Loaded[PositiveInt] = 2
    """CPU threads. They are part of the result: another number sums in another order."""
    gpus: Loaded[NonNegativeInt] = 0
    """GPUs a node; 0 runs on the CPU."""

    @model_validator(mode="after")
    def _attention_can_be_had(self) -> Self:
        missing = {"a GPU (`gpus: 1`)": self.gpus == 0, "`dtype: bfloat16` or float16": self.dtype == "float32"}
        needs = [what for what, there in missing.items() if there]
        if self.attn_implementation == "flash_attention_2" and needs and not self.attn_fallback:
            raise ValueError(
                f"attn_implementation: flash_attention_2 needs {' and '.join(needs)}; or allow another by `attn_fallback: true`"
            )
        self._needs(["attn_fallback"], self.attn_implementation != "eager", "an `attn_implementation` that may be missing")
        return self
