"""Adapters, and the quantized base that they may stand on."""

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from polar_tools.experiment.names import NEVER_MERGED, PeftType
from polar_tools.experiment.topic import Topic


class Adapting(Topic):
    """Fields of peft and bitsandbytes."""

    use_peft: bool = False
    """Train an adapter instead of all weights."""
    peft_type: PeftType = "lora"
    """Which adapter, by peft's name: lora (Hu et al. 2021), ia3, adalora, vera, loha, lokr, oft, boft, hra, ..."""
    lora_r: PositiveInt | None = None
    """Rank, for every type that has one; `lora` takes 16, others what peft chose. adalora begins with half as much again."""
    lora_alpha: PositiveFloat | None = None
    """An adapter of rank r is scaled by `lora_alpha / r`; `lora` takes 32. For every type that has an alpha."""
    lora_dropout: Annotated[NonNegativeFloat, Field(lt=1)] | None = None
    """Share of the adapter's inputs that is dropped while training. For every type that has such a dropout."""
    use_rslora: bool = False
    """Scale by `lora_alpha / sqrt(r)` (Kalajdzievski 2023)."""
    use_dora: bool = False
    """Train magnitudes besides directions (Liu et al. 2024)."""
    target_modules: str | tuple[str, ...] | None = None
    """Names of the modules that get an adapter, as a list or with commas; `all-linear` means every linear layer but the head.
    Without it, all-linear where the type changes linear layers, and what peft chose elsewhere."""
    modules_to_save: tuple[str, ...] = ()
    """Names of modules that are trained whole and saved with the adapter."""
    peft_args: dict[str, JsonValue] = {}
    """Further arguments of the adapter's configuration, by peft's names; an unknown one is an error."""
    merge_adapter: bool = False
    """Save the whole model with the adapter merged in, once its outputs were seen to be those of the adapter."""

    quantization: Literal["int4", "int8"] | None = None
    """Hold the base in 4 or 8 bits (bitsandbytes) while an adapter is trained. What is saved and evaluated stands on the base as it was."""
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    """The 16 values that 4 bits stand for; nf4 (Dettmers et al. 2023) suits weights."""
    bnb_4bit_use_double_quant: bool = True
    """Quantize the scales too."""
    bnb_4bit_compute_dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Type in which weights of 4 bits are multiplied; `dtype` without it."""

    @model_validator(mode="after")
    def _adapter_is_asked_for(self) -> Self:
        ranks = ("lora_r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora")
        others = ("peft_type", "target_modules", "modules_to_save", "peft_args", "merge_adapter", "quantization")
        self._needs([*ranks, *others], self.use_peft, "`use_peft: true`")
        four = ("bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "bnb_4bit_compute_dtype")
        self._needs(four, self.quantization == "int4", "`quantization: int4`")
        if self.merge_adapter and self.peft_type in NEVER_MERGED:
            raise ValueError(f"merge_adapter: {self.peft_type} can't be merged into a model's weights; leave it, and the adapter is saved")
        return self

    def targets(self) -> str | list[str] | None:
        """`target_modules` as peft wants them: names, or one text, which is a pattern or `all-linear`."""
        if isinstance(self.target_modules, str):
            names = [name.strip() for name in self.target_modules.split(",")]
            return names if len(names) > 1 or names[0].isidentifier() else names[0]
        return None if self.target_modules is None else list(self.target_modules)
