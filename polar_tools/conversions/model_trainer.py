"""A ModelTrainer's pair of YAML files, base and experiment: dialogue summarisation by an encoder-decoder such as KoBART."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polar_tools import hardware
from polar_tools.conversions.base import (
    DATA,
    DATA_AT,
    EXPERIMENT,
    MODEL_AT,
    TRAINING_AT,
    Draft,
    Dropped,
    Rule,
    To,
    places,
    trainer_arguments,
)
from polar_tools.errors import UserError

TITLE = "ModelTrainer"
SPELLINGS: dict[str, tuple[str, ...]] = {
    "project_name": ("experiment.name", "general.project_name"),
    "tags": ("experiment.tags", "wandb.tags", "experiment.wandb_tags"),
    "description": ("experiment.description", "wandb.notes"),
    "seed": ("general.seed", "experiment.seed", "training.seed", "seed"),
    "model": ("general.model_name", "model.checkpoint", "model.model_name_or_path", "model.pretrained_model_name"),
    "model.name": ("model.name",),
    "model.type": ("model.type",),
    "model.architecture": ("model.architecture",),
    "data_path": ("general.data_path", "paths.data_dir", "paths.data_path", "data.data_dir", "data.path"),
    "train_file": ("data.train_file", "data.train_path", "paths.train_data", "paths.train_file", "general.train_file"),
    "dev_file": (
        "data.dev_file",
        "data.val_file",
        "data.dev_path",
        "paths.dev_data",
        "paths.dev_file",
        "paths.val_data",
        "general.dev_file",
    ),
    "test_file": ("data.test_file", "data.test_path", "paths.test_data", "paths.test_file", "general.test_file"),
    "dialogue_column": ("data.dialogue_column", "data.input_column", "data.source_column"),
    "summary_column": ("data.summary_column", "data.target_column"),
    "prefix": ("tokenizer.prefix", "model.prefix", "data.prefix"),
    "encoder_max_len": ("tokenizer.encoder_max_len", "tokenizer.max_source_length"),
    "decoder_max_len": ("tokenizer.decoder_max_len", "tokenizer.max_target_length"),
    "special_tokens": ("tokenizer.special_tokens",),
    "bos_token": ("tokenizer.bos_token",),
    "eos_token": ("tokenizer.eos_token",),
    "num_train_epochs": ("training.epochs", "training.num_train_epochs"),
    "per_device_train_batch_size": ("training.batch_size", "training.per_device_train_batch_size"),
    "per_device_eval_batch_size": ("training.eval_batch_size", "training.per_device_eval_batch_size"),
    "dataloader_num_workers": ("training.num_workers", "training.dataloader_num_workers"),
    "label_smoothing_factor": ("training.label_smoothing", "training.label_smoothing_factor"),
    "gpus": ("training.gpus", "general.gpus"),
    "predict_with_generate": ("training.predict_with_generate",),
    "generation_max_length": ("training.generation_max_length",),
    "generation_num_beams": ("training.generation_num_beams",),
    "use_wandb": ("wandb.enabled", "experiment.use_wandb", "wandb.use_wandb"),
    "wandb_project": ("wandb.project", "wandb.project_name", "experiment.wandb_project"),
    "wandb_entity": ("wandb.entity", "experiment.wandb_entity"),
    "wandb_name": ("wandb.name", "wandb.run_name"),
    "wandb_mode": ("wandb.mode",),
    "wandb_api_key": ("wandb.api_key",),
    "output_dir": ("general.output_dir", "training.output_dir", "paths.output_dir", "paths.model_save_dir"),
    "logging_dir": ("training.logging_dir", "paths.log_dir"),
    "evaluation.metric": ("evaluation.metric", "evaluation.metrics"),
    "evaluation.strategy": ("evaluation.strategy",),
    "defaults": ("defaults",),
    "strategies": ("strategies",),
}
"""What an argument is called here -> what such files call it."""
WRITING = {
    "max_new_tokens": ("max_new_tokens", "generate_max_length", "max_length"),
    "min_new_tokens": ("min_new_tokens", "min_length", "generate_min_length"),
    "num_beams": ("num_beams",),
    "early_stopping": ("early_stopping",),
    "no_repeat_ngram_size": ("no_repeat_ngram_size",),
    "length_penalty": ("length_penalty",),
    "repetition_penalty": ("repetition_penalty",),
    "do_sample": ("do_sample",),
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "top_k": ("top_k",),
}
"""A field of `generation` -> what the sections inference and generation call it."""
WRITING_IDLE = ("batch_size", "remove_tokens", "ckt_path", "ckt_dir", "result_path", "output_path")
SHARED = tuple(name for name in trainer_arguments.NAMES if name not in SPELLINGS)
NAMES = {
    **{f"training.{name}": name for name in SHARED},
    **{f"training.{old}": name for old, name in trainer_arguments.OLD_NAMES.items()},
    **{spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings},
    **{f"{section}.{one}": field for field, all in WRITING.items() for one in all for section in ("inference", "generation")},
    **{f"{section}.{name}": f"inference.{name}" for name in WRITING_IDLE for section in ("inference", "generation")},
}
DEFAULTS = {
    **{"weight_decay": 0.01, "warmup_steps": 500, "save_total_limit": 3, "dataloader_num_workers": 4, "save_strategy": "epoch"},
    **{"eval_strategy": "epoch", "load_best_model_at_end": True, "metric_for_best_model": "eval_rouge_sum"},
}
"""ModelTrainer's own, where a file says nothing."""
ENCODER, DECODER, BEAMS = 512, 100, 4
SUM = "rouge12L_sum"
"""What ModelTrainer calls rouge_sum: ROUGE-1, -2 and -L as F1, added up. Ours of that name has ROUGE-Lsum too."""
IDLE: dict[str, Rule] = {
    "model.name": Dropped("the checkpoint says which model it is"),
    "model.type": Dropped("the method says it: an encoder-decoder, trained as seq2seq"),
    "model.architecture": Dropped("the model's own config.json says it"),
    "test_file": Dropped("rows without summaries can't be measured; `polar-tools predict` writes summaries of them"),
    "bos_token": Dropped("the tokenizer's own, with which the model was trained before"),
    "eos_token": Dropped("the tokenizer's own, with which the model was trained before"),
    "evaluation.metric": Dropped("evaluations have ROUGE, and more: those of the method seq2seq"),
    "evaluation.strategy": Dropped("training.eval_strategy says when is looked at the test rows"),
    "defaults": Dropped("files are read as they stand on the command line, later ones counting more; give them there"),
    "strategies": Dropped("augmentation, cross-validation, ensembles and searches are no part of one training"),
    "inference.batch_size": Dropped("rows are written so many at a time as memory allows; it changes no text"),
    "inference.remove_tokens": Dropped("special tokens never stand in a text that is written"),
    **{f"inference.{name}": Dropped("predictions lie beside each evaluation's report") for name in WRITING_IDLE[2:]},
    "report_to": Dropped("the section wandb says whether Weights & Biases is told"),
    "run_name": Dropped("wandb.name, or else experiment.name, is what a run is called"),
}


def convert(arguments: Mapping[str, Any], draft: Draft) -> None:
    """Fill the draft; raises UserError where model or data are missing, and for a model of another kind."""
    said = {name: value for name, value in arguments.items() if value not in (None, "")}
    draft.drop(arguments, [name for name in arguments if name not in said], "is empty, and says nothing")
    if said.get("model.type") in ("causal_lm", "decoder_only"):
        raise UserError("model.type: only encoder-decoders become a config so; a causal model is trained by the method sft")
    draft.put(f"{TRAINING_AT}.method", "seq2seq", text="an encoder reads the dialogue, a decoder writes its summary")
    key = said.pop("wandb_api_key", None)
    if key is not None:
        draft.keep_secret("wandb_api_key", "WANDB_API_KEY", key)
    draft.apply(said, IDLE)
    _material(said, draft)
    _lengths(said, draft)
    _training(said, draft)
    _evaluation(said, draft)
    _wandb(said, draft)


def _material(said: Mapping[str, Any], draft: Draft) -> None:
    if "model" not in said:
        raise UserError("general.model_name (or model.checkpoint) is missing: name a folder, or ORG/NAME on the Hub")
    draft.put(f"{MODEL_AT}.source", places.located(str(said["model"])), "model")
    draft.put(f"{TRAINING_AT}.model", "model", text="the model above")
    draft.apply(said, {"special_tokens": To(f"{MODEL_AT}.added_tokens", _words, "tokens of their own, which texts keep")})
    train, dev = str(said.get("train_file", "train.csv")), str(said.get("dev_file", "dev.csv"))
    folder = said.get("data_path")
    if folder is None and "train_file" not in said:
        raise UserError("general.data_path is missing: name the folder with train.csv and dev.csv")
    if folder is not None and not Path(train).is_file():
        train, dev = (file.removeprefix(f"{str(folder).rstrip('/')}/") for file in (train, dev))
        draft.put(f"{DATA_AT}.source", _file(str(folder)), "data_path")
        _put(draft, said, "train_file", "train_data", train)
        _put(draft, said, "dev_file", "test_data", dev)
    else:
        draft.drop(said, ["data_path"], "the files are named with their folders")
        draft.put(f"{DATA_AT}.source", _file(train), "train_file")
        draft.put(f"{DATA_AT}.test_source", _file(dev), "dev_file" if "dev_file" in said else "")
    draft.put(f"{TRAINING_AT}.dataset", DATA, text="the rows above")
    for name, role, column in (("dialogue_column", "document", "dialogue"), ("summary_column", "summary", "summary")):
        draft.put(f"{DATA_AT}.columns.{role}", said.get(name, column), *((name,) if name in said else ("", "DialogSum's column")))
    draft.apply(said, {"prefix": To(f"{TRAINING_AT}.source_prefix")})


def _words(told: Any) -> list[str]:
    return [str(word).strip() for word in (told.split(",") if isinstance(told, str) else told)]


def _file(path: str) -> str:
    """A path of this machine as a URI, whether it is there yet or not."""
    return path if "://" in path else f"file://{Path(path)}"


def _put(draft: Draft, said: Mapping[str, Any], name: str, field: str, file: str) -> None:
    draft.put(f"{DATA_AT}.{field}", file, *((name,) if name in said else ("", "as such folders have it")))


def _lengths(said: Mapping[str, Any], draft: Draft) -> None:
    for name, field, default in (("encoder_max_len", "max_length", ENCODER), ("decoder_max_len", "max_target_length", DECODER)):
        draft.put(f"{TRAINING_AT}.{field}", said.get(name, default), *((name,) if name in said else ("", "ModelTrainer's default")))
    draft.put(f"{TRAINING_AT}.on_too_long", "cut_right", text="as ModelTrainer has it; `fail` would name the rows that are too long")


def _training(said: Mapping[str, Any], draft: Draft) -> None:
    """TrainingArguments, with what ModelTrainer always says."""
    rows = said.get("per_device_train_batch_size", 8)
    chosen = {**DEFAULTS, "per_device_eval_batch_size": rows}
    if said.get("warmup_ratio"):
        del chosen["warmup_steps"]
    if said.get("eval_strategy") == "no":
        for name in ("load_best_model_at_end", "metric_for_best_model"):
            del chosen[name]
    told = {**chosen, **said}
    gpus = _gpus(said, draft)
    if told.get("fp16") and not gpus:
        del told["fp16"]
        draft.put(f"{TRAINING_AT}.fp16", False, "fp16", "there is no GPU here, and float16 is for GPUs only", "safer")
    best = told.get("metric_for_best_model")
    if str(best).removeprefix("eval_") == "rouge_sum":
        told["metric_for_best_model"] = SUM
    before = len(draft.notes)
    trainer_arguments.apply(told, draft, test_rows=True)
    draft.notes[before:] = [_explained(note, said) for note in draft.notes[before:]]
    if "eval_datasets" in draft.config["experiments"][EXPERIMENT]:
        _writing_meanwhile(said, draft)
    else:
        names = ("predict_with_generate", "generation_max_length", "generation_num_beams")
        draft.drop(said, names, "nothing is looked at while training")


def _gpus(said: Mapping[str, Any], draft: Draft) -> int:
    """How many GPUs: one, where there are any and nothing is said."""
    if "gpus" in said:
        draft.put(f"{TRAINING_AT}.gpus", said["gpus"], "gpus")
    else:
        draft.put(f"{TRAINING_AT}.gpus", min(1, hardware.gpus()), text="one, where this machine has any")
    return int(draft.config["experiments"][EXPERIMENT]["gpus"])


def _explained(note: Any, said: Mapping[str, Any]) -> Any:
    """A note on what wasn't said, as chosen; and what rouge_sum is."""
    if note.name == "metric_for_best_model" and note.places:
        note = note._replace(text=f"{SUM} is what ModelTrainer calls rouge_sum: ROUGE-1, -2 and -L as F1, added up")
    return note if note.name in said else note._replace(kind="chosen", name="", text=note.text or "ModelTrainer's default")


def _writing_meanwhile(said: Mapping[str, Any], draft: Draft) -> None:
    """What is written of the test rows while training, of which ROUGE is taken."""
    if said.get("predict_with_generate") is False:
        draft.put(f"{TRAINING_AT}.predict_with_generate", False, "predict_with_generate")
        draft.drop(said, ("generation_max_length", "generation_num_beams"), "read only with predict_with_generate")
        return
    own = ("predict_with_generate",) if "predict_with_generate" in said else ("", "ModelTrainer's default")
    draft.put(f"{TRAINING_AT}.predict_with_generate", True, *own)
    for name, value, other in (
        ("generation_max_length", said.get("decoder_max_len", DECODER), "decoder_max_len"),
        ("generation_num_beams", said.get("num_beams", BEAMS), "num_beams"),
    ):
        text = ("", f"as {other}") if name not in said else (name,)
        draft.put(f"{TRAINING_AT}.{name}", said.get(name, value), *text)


def _evaluation(said: Mapping[str, Any], draft: Draft) -> None:
    """The report's evaluation, which writes as the section inference says."""
    trainer_arguments.measure(draft)
    place = "evaluations.held_out.generation"
    if "max_new_tokens" not in said:
        draft.put(f"{place}.max_new_tokens", said.get("decoder_max_len", DECODER), text="as decoder_max_len")
    if "num_beams" not in said:
        draft.put(f"{place}.num_beams", BEAMS, text="ModelTrainer's default")
    needs = {
        **dict.fromkeys(("temperature", "top_p", "top_k"), (said.get("do_sample"), "read only with do_sample")),
        **dict.fromkeys(("early_stopping", "length_penalty"), (said.get("num_beams", BEAMS) > 1, "read only with num_beams above 1")),
    }
    for name in (name for name in WRITING if name in said):
        read, why = needs.get(name, (True, ""))
        if read and (said[name] or name in ("do_sample", "early_stopping", "length_penalty")):
            draft.put(f"{place}.{name}", said[name], name)
        else:
            draft.drop(said, [name], why or "0 asks for nothing")


def _wandb(said: Mapping[str, Any], draft: Draft) -> None:
    """Weights & Biases where it is turned on; the experiment's name and tags go there too."""
    if "project_name" in said:
        draft.put("project_name", str(said["project_name"]), "project_name")
    draft.apply(said, {"description": To("run.notes", str)})
    names = ("wandb_project", "wandb_entity", "wandb_name", "wandb_mode", "tags")
    if not said.get("use_wandb", "wandb_project" in said) or said.get("wandb_mode") == "disabled":
        draft.drop(said, ("use_wandb", *names), "Weights & Biases isn't turned on")
        return
    if "use_wandb" in said:
        draft.note("became", "use_wandb", ("run.trackers",))
    fields = {"wandb_project": "project", "wandb_entity": "entity", "wandb_mode": "mode", "tags": "tags"}
    found: dict[str, Any] = {"tracker": "wandb"}
    for name in (name for name in fields if name in said):
        found[fields[name]] = [str(tag) for tag in said[name]] if name == "tags" else said[name]
        draft.note("became", name, ("run.trackers",))
    if title := said.get("wandb_name", said.get("project_name")):
        found["name"] = str(title)
    if "wandb_name" in said:
        draft.note("became", "wandb_name", ("run.trackers",))
    draft.put("run.trackers", [found], text="Weights & Biases, as ModelTrainer has it")
