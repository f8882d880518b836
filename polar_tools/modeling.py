"""Load models and tokenizers, save and merge them. What a run depends on besides its data is set here: seeds, threads, device."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polar_tools import adapters, architectures, pictures, quantization
from polar_tools.errors import ConfigError, UserError, WorldError, first_line
from polar_tools.experiment import distributing

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from polar_tools.methods.base import Config, Features

FALLBACKS = ("sdpa", "eager")
"""The kernels of torch, best first."""
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


def load_processor(path: str, method: Any, config: Config, columns: Collection[str] = ()) -> Any:
    """What makes a model's inputs of rows with these `columns`: the tokenizer in a folder, or, where pictures are shown, its processor.

    Raises ConfigError where the model takes no pictures.
    """
    from transformers import AutoProcessor, AutoTokenizer

    shown = shows_pictures(method, columns)
    kind, what = (AutoProcessor, "processor of pictures") if shown else (AutoTokenizer, "tokenizer")
    path = architectures.usable(path, config)
    try:
        made = kind.from_pretrained(path, local_files_only=True, trust_remote_code=config.trust_remote_code)
    except (OSError, ValueError) as error:
        raise UserError(f"there is no {what} that transformers can load in {path}: {first_line(error)}") from error
    if shown:
        pictures.refuse_blind(made)
    return made


def shows_pictures(method: Any, columns: Collection[str]) -> bool:
    """Whether `method` gives a model more than token ids of rows with these columns. That it may, base.check_columns has seen."""
    return method.MODEL_CLASS == architectures.PICTURES or pictures.among(columns)


def tokenizer_of(processor: Any) -> PreTrainedTokenizerBase:
    """What of a processor makes tokens: itself, or a part of it."""
    return processor.tokenizer if pictures.shown_by(processor) else processor


def keep_pictures(model: str, folder: Path) -> None:
    """Put what prepares pictures for the model in the folder `model` beside its tokenizer in `folder`, where only that was saved.

    So a model of pictures that a method trained on text alone can be shown pictures afterwards.
    """
    for name in ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"):
        if (Path(model) / name).is_file() and not (folder / name).exists():
            shutil.copyfile(Path(model) / name, folder / name)


@contextmanager
def divided(config: Config) -> Iterator[None]:
    """While this lasts, what transformers loads is divided among the processes under ZeRO-3: none of them ever holds it whole."""
    if config.zero.get("stage") != 3:
        yield
        return
    from transformers.integrations.deepspeed import HfDeepSpeedConfig

    kept = HfDeepSpeedConfig(distributing.settings(config))  # transformers itself remembers it only as long as somebody does
    yield
    del kept


def load_model(path: str, method: Any, config: Config, features: Features, adapter: bool = False) -> Any:
    """The model in a folder as `method` wants it; `adapter` says that it is to be trained, with a new adapter if `config` asks for one.

    `features` are settings that the data decide, such as the labels of a new head.
    """
    architectures.check_fits(config.method, architectures.usable(path, config))
    model = pretrained(path, method.MODEL_CLASS, config, features, quantized=adapter)
    if adapter and next(adapters.inside(model), None) is not None:
        raise ConfigError(f"model: the adapter in {path} can't be merged into its base, so nothing more can be trained on it")
    if adapter and config.use_peft:
        model = adapters.attach(quantization.ready(model, config), config, path, method.TASK_TYPE)
    return method.wrap(config, model, path)


def pretrained(path: str, model_class: str, config: Config, features: Features, quantized: bool = False) -> PreTrainedModel:
    """In the type and with the attention that `config` names; an adapter is merged into its base where it can be."""
    adapter = Path(path) / "adapter_config.json"
    if not adapter.is_file():
        path = architectures.usable(path, config)
        model_class = architectures.model_class(model_class, path)
        bits = quantization.options(config, path, model_class, features) if quantized else {}
        return _whole(path, model_class, config, features, bits)
    if quantized and config.quantization:
        raise ConfigError(f"quantization: the model in {path} is an adapter; train it with `merge_adapter: true` first")
    from peft import PeftConfig, PeftModel

    base = pretrained(json.loads(adapter.read_bytes())["base_model_name_or_path"], model_class, config, features)
    made = PeftConfig.from_pretrained(path)
    if (made.task_type, model_class) != ("CAUSAL_LM", "AutoModelForCausalLM"):
        made.task_type = None  # it may be another one now: a reward model that starts from a language model has another head
    adapted = PeftModel.from_pretrained(base, path, config=made)
    return adapted.merge_and_unload() if adapters.can_merge(adapted) else adapted


def _whole(path: str, model_class: str, config: Config, features: Features, bits: dict[str, Any]) -> PreTrainedModel:
    """A model's own weights. Where `attn_fallback` allows it, another attention is tried if the first can't be had, and said."""
    import torch
    import transformers

    options = {"dtype": getattr(torch, config.dtype), "local_files_only": True, "trust_remote_code": config.trust_remote_code, **bits}
    kernels = list(dict.fromkeys([config.attn_implementation, *(FALLBACKS if config.attn_fallback else ())]))
    problems: list[Exception] = []
    for kernel in kernels:
        try:
            _refuse_kernel(kernel, config)
            with _quiet():
                model = getattr(transformers, model_class).from_pretrained(path, attn_implementation=kernel, **options, **features)
        except (OSError, ValueError, ImportError) as error:
            problems.append(error)
            continue
        if problems:
            print(f"warning: {kernels[0]} attention can't be had, {kernel} is used: {first_line(problems[0])}", file=sys.stderr)
        return model if bits else model.to("cuda" if config.gpus else "cpu")
    raise UserError(f"the model in {path} can't be loaded as {model_class}: {first_line(problems[0])}") from problems[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars of progress that nobody watches, and that end lines of others."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _refuse_kernel(kernel: str, config: Config) -> None:
    """Raise ValueError for what transformers would try though it can't work."""
    if kernel == "flash_attention_2" and (config.gpus == 0 or config.dtype == "float32"):
        raise ValueError("flash_attention_2 needs a GPU (`gpus: 1`) and `dtype: bfloat16` or float16")


def loaded(model: Any, config: Config) -> dict[str, str]:
    """What of a loaded model the config alone doesn't tell: its attention, and the fallback if that is what was taken."""
    from transformers import PreTrainedModel

    found = next(module for module in model.modules() if isinstance(module, PreTrainedModel))
    taken = architectures.usable(config.model, config)
    fallback = {"fallback_model": taken} if taken != config.model else {}
    return {"attn_implementation": str(found.config._attn_implementation), **fallback}


def merged(model: Any, method: Any, config: Config, features: Features, rows: Sequence[Sequence[int]], aside: Path) -> tuple[Any, float]:
    """`model`, or what is wrapped in it, with its adapter merged in, and how far that changed what it makes of `rows`, token ids.

    The adapter is kept in `aside` until that is seen to be right. A base that was quantized is loaded anew, as it was.
    """
    from peft import PeftModel

    distance = 0.0
    for adapted in list(adapters.inside(model)):
        save_model(adapted, aside)
        if config.quantization:
            base = pretrained(config.model, method.MODEL_CLASS, config, features)
            whole, found = adapters.merged(PeftModel.from_pretrained(base, aside), rows, config.dtype)
        else:
            whole, found = adapters.merged(adapted, rows, config.dtype)
        model, distance = adapters.replaced(model, adapted, whole), max(distance, found)
        shutil.rmtree(aside)
    return model, distance


def save_model(model: PreTrainedModel, target: Path) -> None:
    """Write weights (or an adapter) and configuration, the same bytes for the same model."""
    with _quiet():
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
