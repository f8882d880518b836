"""Dequantise a GGUF model once, into safetensors that every later stage can load."""

from __future__ import annotations

import shutil
from pathlib import Path

from polar_tools.artifact import Facts
from polar_tools.errors import UserError
from polar_tools.modeling import LIBRARIES as MODELING
from polar_tools.specs import ConvertSpec

LIBRARIES = (*MODELING, "gguf")


def run(spec: ConvertSpec, folder: Path) -> Facts:
    """Write `folder`/model: float32 weights, configuration, tokenizer with its chat template."""
    source, target = Path(spec.model), folder / spec.PAYLOAD
    if not (source / spec.gguf_file).is_file():
        known = ", ".join(sorted(path.name for path in source.glob("*.gguf"))) or "no .gguf file at all"
        raise UserError(f"gguf_file: there is no {spec.gguf_file} in {source}, which has {known}")
    shutil.rmtree(target, ignore_errors=True)
    _dequantize(source, spec.gguf_file, target)
    return Facts(recorded={"converted_from": spec.gguf_file})


def _dequantize(source: Path, gguf_file: str, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf_file, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=gguf_file, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True), local_files_only=True
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
