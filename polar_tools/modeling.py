"""Load models and tokenizers, attach adapters. What a run depends on besides its data is set here: seeds, threads, device."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools.errors import ConfigError, UserError, WorldError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from polar_tools.methods.base import Config, Features

PICTURES = "AutoModelForImageTextToText"
"""The class of models that take pictures besides text."""
LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors")


def seed_everything(seed: int, threads: int, gpus: int = 0) -> None:
    """Make what follows repeatable: seeds, number of threads, deterministic kernels. Raises WorldError without the GPUs."""
    import torch
    from transformers import set_seed

    torch.set_num_threads(threads)
    torch.utils.deterministic.fill_uninitialized_memory = False  # only costs time: nothing here reads such memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    set_seed(seed)
    if gpus > torch.cuda.device_count():
        raise WorldError(
            f"the config asks for gpus: {gpus}, but this machine shows {torch.cuda.device_count()}; set `gpus: 0` to run on the CPU"
        )


def load_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder; raises UserError where there is none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"there is no tokenizer that transformers can load in {path}: {_first_line(error)}") from error


def load_processor(path: str, method: Any) -> Any:
    """What makes a model's inputs of rows: the tokenizer in a folder, or, for a model of pictures, its processor."""
    from transformers import AutoProcessor

    if method.MODEL_CLASS != PICTURES:
        return load_tokenizer(path)
    try:
        return AutoProcessor.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"there is no processor of pictures that transformers can load in {path}: {_first_line(error)}") from error


def keep_pictures(model: str, folder: Path) -> None:
    """Put what prepares pictures for the model in the folder `model` beside its tokenizer in `folder`, where only that was saved.

    So a model of pictures that a method trained on text alone can be shown pictures afterwards.
    """
    for name in ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"):
        if (Path(model) / name).is_file() and not (folder / name).exists():
            shutil.copyfile(Path(model) / name, folder / name)


def tokenizer_of(processor: Any) -> PreTrainedTokenizerBase:
    """What of a processor makes tokens: itself, or a part of it."""
    from transformers import ProcessorMixin

    return processor.tokenizer if isinstance(processor, ProcessorMixin) else processor


def load_model(path: str, method: Any, config: Config, features: Features, adapter: bool = False) -> Any:
    """The model in a folder as `method` wants it; `adapter` says that it is to be trained, with a new adapter if `config` asks for one.

    `features` are settings that the data decide, such as the labels of a new head.
    """
    model = pretrained(path, method.MODEL_CLASS, config, features)
    return method.wrap(config, attach_adapter(model, config, path, method.TASK_TYPE) if adapter else model, path)


def pretrained(path: str, model_class: str, config: Config, features: Features) -> PreTrainedModel:
    """In the type and with the attention that `config` names; an adapter is merged into its base."""
    import torch
    import transformers

    adapter = Path(path) / "adapter_config.json"
    if adapter.is_file():
        from peft import PeftConfig, PeftModel

        base = pretrained(json.loads(adapter.read_bytes())["base_model_name_or_path"], model_class, config, features)
        made = PeftConfig.from_pretrained(path)
        made.task_type = None  # it may be another one now: a reward model that starts from a language model has another head
        return PeftModel.from_pretrained(base, path, config=made).merge_and_unload()
    options = {"dtype": getattr(torch, config.dtype), "attn_implementation": config.attn_implementation, "local_files_only": True}
    try:
        model = getattr(transformers, model_class).from_pretrained(path, **options, **features)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"the model in {path} can't be loaded as {model_class}: {_first_line(error)}") from error
    return model.to("cuda" if config.gpus else "cpu")


def attach_adapter(model: PreTrainedModel, config: Config, base: str, task_type: str) -> PreTrainedModel:
    """`model` with a new LoRA adapter, if `config` asks for one; raises ConfigError where its target modules match nothing."""
    if not config.use_peft:
        return model
    from peft import LoraConfig, get_peft_model

    targets = config.lora_target_modules
    lora = LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        modules_to_save=list(config.lora_modules_to_save) or None,
        task_type=task_type,
    )
    try:
        adapted = get_peft_model(model, lora)
    except ValueError as error:
        raise ConfigError(f"lora_target_modules: {_first_line(error)}") from error
    adapted.peft_config["default"].base_model_name_or_path = base
    return adapted


def merged(model: Any) -> Any:
    """`model`, or what is wrapped in it, with its adapter merged in."""
    from peft import PeftModel

    if isinstance(model, PeftModel):
        return model.merge_and_unload()
    inside = [
        (parent, name, child) for parent in model.modules() for name, child in parent.named_children() if isinstance(child, PeftModel)
    ]
    for parent, name, child in inside:
        setattr(parent, name, child.merge_and_unload())
    return model


def save_model(model: PreTrainedModel, target: Path) -> None:
    """Write weights (or an adapter) and configuration, the same bytes for the same model."""
    model.save_pretrained(target)
    (target / "README.md").unlink(missing_ok=True)  # peft's empty form of a model card says nothing true
    adapter = target / "adapter_config.json"
    if adapter.is_file():  # peft writes sets, whose order changes with every process
        settings = json.loads(adapter.read_bytes())
        ordered = {key: sorted(value) if isinstance(value, list) else value for key, value in settings.items()}
        adapter.write_text(json.dumps(ordered, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_features(tokenizer: str) -> Features:
    """What the tokenize stage found out about the data for the model's configuration."""
    features: dict[str, Any] = json.loads((Path(tokenizer) / "features.json").read_bytes())
    if "id2label" in features:
        features["id2label"] = {int(number): label for number, label in features["id2label"].items()}
    return features


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
