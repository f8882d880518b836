"""What a model is, by its config.json alone: which methods fit it, and whether transformers knows it."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import discovery
from polar_tools.errors import ConfigError

if TYPE_CHECKING:
    from polar_tools.methods.base import Config

CAUSAL, ANY = "AutoModelForCausalLM", "AutoModel"
PICTURES = "AutoModelForImageTextToText"
"""The class of models that take pictures besides text."""


def told(folder: str) -> dict[str, Any]:
    """What config.json says; of an adapter's folder that of its base, and nothing of a folder without."""
    adapter = Path(folder) / "adapter_config.json"
    if adapter.is_file():
        return told(json.loads(adapter.read_bytes())["base_model_name_or_path"])
    file = Path(folder) / "config.json"
    found: dict[str, Any] = json.loads(file.read_bytes()) if file.is_file() else {}
    return found


def usable(folder: str, config: Config) -> str:
    """`folder`, or `fallback_model` where transformers doesn't know the architecture in it. Raises ConfigError where there is none.

    Every stage asks this, and gets the same answer.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    model = told(folder)
    kind, code = model.get("model_type"), model.get("auto_map", {})
    if not model or kind in CONFIG_MAPPING_NAMES:
        return folder
    if code and config.trust_remote_code:
        if foreign := sorted(where for where in _texts(code) if "--" in where):
            raise ConfigError(
                f"trust_remote_code: the model in {folder} asks for code of another repository, which nobody pinned: {foreign[0]}"
            )
        return folder
    if config.fallback_model is not None:
        _warn(f"transformers doesn't know the architecture `{kind}` in {folder}: fallback_model {config.fallback_model} is used INSTEAD")
        return config.fallback_model
    ways = ["name another by `fallback_model`"]
    if code:
        ways.insert(0, "let the Python code run that comes with it by `trust_remote_code: true`, once you have read it")
    raise ConfigError(f"model: transformers doesn't know the architecture `{kind}` in {folder}; {', or '.join(ways)}")


@cache
def _warn(message: str) -> None:
    """Say it, once."""
    print(f"warning: {message}", file=sys.stderr)


def _texts(value: Any) -> list[str]:
    """The texts in an auto_map, whose entries may be lists."""
    return [text for item in value.values() for text in (item if isinstance(item, list) else [item]) if isinstance(text, str)]


def model_class(wanted: str, folder: str) -> str:
    """The class that the model in `folder` is loaded as: `wanted`, or PICTURES for a language model that, by its config.json, can see.

    So it stays whole. transformers would load of some only the part that reads text, and would know no way to load others.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as SEEING

    model = told(folder)
    sees = SEEING.get(str(model.get("model_type"))) in (model.get("architectures") or []) and not model.get("is_encoder_decoder")
    return PICTURES if sees and wanted == CAUSAL else wanted


def check_fits(method: str, folder: str) -> None:
    """Raise ConfigError, with the methods that would fit, where a model is none that `method` can train."""
    model = told(folder)
    if not model or model.get("auto_map") or fits(discovery.load("methods", method), folder):
        return
    others = [name for name, module in discovery.modules("methods").items() if fits(module, folder)]
    fitting = f"it would go with {', '.join(others)}" if others else "no method here goes with it"
    raise ConfigError(f"method: `{method}` makes no sense for the model in {folder}, {_kind(model)}; {fitting}")


def fits(method: Any, folder: str) -> bool:
    """Whether transformers has such a model of this architecture. Encoders have a class that writes text too, for decoders made of them."""
    import transformers
    from transformers.models.auto import modeling_auto

    model, wanted = told(folder), model_class(method.MODEL_CLASS, folder)
    kind = str(model.get("model_type"))
    names = dict(getattr(transformers, wanted)._model_mapping._model_mapping)
    if kind not in names:
        return False
    if wanted != CAUSAL or model.get("is_decoder"):
        return True
    return kind not in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES and not model.get("is_encoder_decoder")


def _kind(model: dict[str, Any]) -> str:
    made = model.get("architectures") or []
    return f"a {made[0]}" if made else f"of type {model.get('model_type')}"
