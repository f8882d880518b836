"""Which method a training_method with a trainer is, and the settings of one method alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polar_tools import discovery
from polar_tools.conversions.base import TRAINING_AT, Draft, places
from polar_tools.errors import UserError
from polar_tools.fields import did_you_mean
from polar_tools.losses.base import Guided

PLAIN = "Trainer"
TRAINERS = {
    "use_sfttrainer": "SFTTrainer",
    "use_dpotrainer": "DPOTrainer",
    "use_ppotrainer": "PPOTrainer",
    "use_grpotrainer": "GRPOTrainer",
}
WRITERS = {"SFTTrainer": "sft", "DPOTrainer": "dpo", "PPOTrainer": "ppo", "GRPOTrainer": "grpo"}
PAIRS: dict[tuple[str, ...], dict[str, str]] = {
    ("cls", "classification"): {PLAIN: "classification"},
    ("mlm", "maskedlm"): {PLAIN: "masked_lm"},
    ("clm", "causallm"): {PLAIN: "causal_lm", **WRITERS},
    ("gemma", "gemma3"): {PLAIN: "multimodal", **WRITERS},
    ("image-text", "mmlm", "multimodal-lm"): {PLAIN: "multimodal", "SFTTrainer": "multimodal", "DPOTrainer": "dpo", "GRPOTrainer": "grpo"},
    ("cross-encoder", "ce"): {PLAIN: "cross_encoder"},
    ("sentence-transformer", "st", "sts"): {PLAIN: "sentence_transformer"},
    ("sft", "instruction"): {PLAIN: "sft", "SFTTrainer": "sft"},
    ("dpo",): {PLAIN: "dpo", "DPOTrainer": "dpo"},
}
"""Spellings of training_method -> trainer -> our method; what is missing makes no sense."""
ST_LOSS = "CosineSimilarityLoss"
"""POLAR Trainer's default."""
MLM_PROBABILITY = 0.3
"""POLAR Trainer's default."""
OF = {
    "classification": ("num_labels",),
    "cross_encoder": ("num_labels",),
    "masked_lm": ("mlm_probability",),
    "dpo": ("dpo_beta", "dpo_label_smoothing", "dpo_loss_type", "ref_model_path"),
    "sentence_transformer": (
        *("st_pooling_mode", "st_dense_feature", "st_loss_func", "st_evaluation", "st_guide_model", "st_cache_minibatch"),
        *("st_triplet_margin", "st_cache_gist_temperature"),
    ),
}
"""Method -> the arguments that it alone reads."""
NAMES = ("training_method", *TRAINERS, *dict.fromkeys(name for names in OF.values() for name in names))


def table() -> str:
    """training_method and trainer -> method, in Markdown."""
    trainers = [PLAIN, *TRAINERS.values()]
    head = ["| `training_method` | " + " | ".join(trainers) + " |", "|---" * (len(trainers) + 1) + "|"]
    rows = [
        f"| {', '.join(f'`{one}`' for one in spellings)} | "
        + " | ".join(f"`{methods[trainer]}`" if trainer in methods else "" for trainer in trainers)
        + " |"
        for spellings, methods in PAIRS.items()
    ]
    return "\n".join([*head, *rows]) + "\n"


def chosen(said: Mapping[str, Any], draft: Draft) -> str:
    """Our method, put into the draft; raises UserError where there is none for what is said."""
    asked = [flag for flag in TRAINERS if said.get(flag)]
    if len(asked) > 1:
        raise UserError(f"{' and '.join(asked)}: at most one trainer may be chosen; set all others to false")
    spelling = str(said.get("training_method", "")).removeprefix("trainer_")
    methods = next((methods for spellings, methods in PAIRS.items() if spelling in spellings), None)
    if methods is None:
        raise UserError(_unknown(spelling))
    trainer = TRAINERS[asked[0]] if asked else PLAIN
    if trainer not in methods:
        raise UserError(_no_pair(spelling, trainer, methods))
    place, method = f"{TRAINING_AT}.method", methods[trainer]
    draft.put(place, method, "training_method", f"with {trainer}")
    for flag in TRAINERS:
        if flag in said:
            draft.note("became", flag, (place,))
    return method


def _unknown(spelling: str) -> str:
    known = [one for spellings in PAIRS for one in spellings]
    if not spelling:
        return f"training_method is missing; POLAR Trainer has {', '.join(known)}"
    return f"POLAR Trainer has no training_method `{spelling}`{did_you_mean(spelling, known) or '; it has ' + ', '.join(known)}"


def _no_pair(spelling: str, trainer: str, methods: Mapping[str, str]) -> str:
    """What goes with a training_method, and with a trainer."""
    flags = {name: flag for flag, name in TRAINERS.items()}
    able = ", ".join(spellings[0] for spellings, others in PAIRS.items() if trainer in others)
    own = " or ".join("no trainer of trl" if name == PLAIN else flags[name] for name in methods)
    return (
        f"{flags[trainer]} doesn't go with training_method {spelling}: take {own} with it, or for the {trainer} a training_method of {able}"
    )


def settings(said: Mapping[str, Any], draft: Draft, method: str) -> None:
    """Put what one method alone reads."""
    own = OF.get(method, ())
    others = dict.fromkeys(name for names in OF.values() for name in names if name not in own)
    draft.drop(said, others, f"isn't read where the method is {method}")
    if method == "masked_lm":
        _put_or_choose(said, draft, "mlm_probability", MLM_PROBABILITY)
    elif method == "classification":
        _put_or_choose(said, draft, "num_labels", None)
    elif method == "dpo":
        _dpo(said, draft)
    elif method == "sentence_transformer":
        _sentence_transformer(said, draft)
    elif method in ("ppo", "grpo"):
        _judge(said, draft)


def _put_or_choose(said: Mapping[str, Any], draft: Draft, name: str, default: Any) -> None:
    if name in said:
        draft.put(f"{TRAINING_AT}.{name}", said[name], name)
    elif default is not None:
        draft.put(f"{TRAINING_AT}.{name}", default, text="POLAR Trainer's default")


def _dpo(said: Mapping[str, Any], draft: Draft) -> None:
    """Label smoothing is of the losses that read any: trl's sigmoid, which POLAR Trainer has by default, no longer does."""
    if "dpo_beta" in said:
        draft.put(f"{TRAINING_AT}.beta", said["dpo_beta"], "dpo_beta")
    loss, smoothing = said.get("dpo_loss_type", "sigmoid"), said.get("dpo_label_smoothing")
    if smoothing and loss == "sigmoid":
        draft.put(f"{TRAINING_AT}.loss_type", "robust", text="trl's sigmoid loss reads no label smoothing; `robust` is its loss that does")
        draft.drop(said, ["dpo_loss_type"], "`loss_type: robust` takes its place, for the sake of dpo_label_smoothing")
    elif "dpo_loss_type" in said:
        draft.put(f"{TRAINING_AT}.loss_type", loss, "dpo_loss_type")
    if smoothing is not None:
        draft.put(f"{TRAINING_AT}.label_smoothing", smoothing, "dpo_label_smoothing")
    if "ref_model_path" in said:
        draft.put("models.reference.source", places.located(str(said["ref_model_path"])), "ref_model_path")
        draft.put(f"{TRAINING_AT}.ref_model", "reference", text="the model above")


def _sentence_transformer(said: Mapping[str, Any], draft: Draft) -> None:
    pooling = f"{TRAINING_AT}.pooling_mode"
    if "st_pooling_mode" in said:
        draft.put(pooling, said["st_pooling_mode"], "st_pooling_mode")
    else:
        draft.put(pooling, "mean", text="POLAR Trainer's default")
    if said.get("st_dense_feature"):
        draft.put(f"{TRAINING_AT}.dense_out_features", said["st_dense_feature"], "st_dense_feature")
    else:
        draft.drop(said, ["st_dense_feature"], "0 is no dense layer")
    _loss(said, draft)
    _evaluator(said, draft)


def loss_of(said: Mapping[str, Any]) -> str:
    """The name of our loss; raises UserError where there is none."""
    given = str(said.get("st_loss_func", ST_LOSS))
    known = discovery.aliases("losses")
    if given not in known:
        hint = did_you_mean(given, list(known)) or f"; known are {', '.join(discovery.names('losses'))}"
        raise UserError(f"st_loss_func: there is no loss `{given}` here{hint}")
    return known[given]


def _loss(said: Mapping[str, Any], draft: Draft) -> None:
    name = loss_of(said)
    place = f"{TRAINING_AT}.loss.name"
    draft.put(place, name, *(("st_loss_func",) if "st_loss_func" in said else ("", "POLAR Trainer's default")))
    options = discovery.load("losses", name).Options
    for argument, field in {
        "st_cache_minibatch": "mini_batch_size",
        "st_triplet_margin": "triplet_margin",
        "st_cache_gist_temperature": "temperature",
    }.items():
        if argument in said and field in options.model_fields:
            draft.put(f"{TRAINING_AT}.loss.{field}", said[argument], argument)
        else:
            draft.drop(said, [argument], f"the loss {name} has no such setting")
    if not issubclass(options, Guided):
        draft.drop(said, ["st_guide_model"], f"the loss {name} has no guide")
        return
    if "st_guide_model" not in said:
        raise UserError(f"st_guide_model: the loss {name} needs a guide; name its model")
    draft.put("models.guide.source", places.located(str(said["st_guide_model"])), "st_guide_model")
    draft.put(f"{TRAINING_AT}.loss.guide_model", "guide", text="the model above")


def _evaluator(said: Mapping[str, Any], draft: Draft) -> None:
    watched = "eval_datasets" in draft.config["experiments"]["training"]
    if "st_evaluation" in said and watched:
        why = "which evaluator it is follows from the columns: similarity, retrieval, triplets or binary labels"
        draft.put(f"{TRAINING_AT}.evaluator", "auto", "st_evaluation", why)
    else:
        draft.drop(said, ["st_evaluation"], "no rows are looked at while training; the report's evaluation has what fits the columns")


def _judge(said: Mapping[str, Any], draft: Draft) -> None:
    """A reward, of which POLAR Trainer's arguments name none."""
    if "dataset_sub_column" not in said:
        raise UserError(
            "dataset_sub_column: what a model writes must be judged by something, and POLAR Trainer's arguments name no reward. Name the "
            "column with reference answers, of which ROUGE is taken; other rewards go into the config's `rewards`"
        )
    why = "POLAR Trainer's arguments name no reward; this is the overlap with `dataset_sub_column`. polar_tools/rewards has others"
    draft.put(f"{TRAINING_AT}.rewards", ["rouge"], text=why)
