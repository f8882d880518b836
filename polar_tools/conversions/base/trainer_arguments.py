"""transformers' TrainingArguments, which programs take over by their names: what each is here, and what would read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polar_tools.conversions.base import DATA, EVALUATION, EXPERIMENT, TRAINING_AT, Draft, Dropped, Rule, To
from polar_tools.errors import UserError
from polar_tools.experiment.names import WITHOUT_ADAM

SAME = (
    *("num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "lr_scheduler_type"),
    *("lr_scheduler_kwargs", "weight_decay", "max_grad_norm", "label_smoothing_factor", "fp16", "bf16", "do_train"),
    *("auto_find_batch_size", "dataloader_num_workers", "dataloader_pin_memory", "logging_strategy", "logging_steps"),
    *("logging_first_step", "save_total_limit", "save_only_model", "optim_args", "train_sampling_strategy"),
)
"""Fields of an experiment by the same name, whatever else is said."""
ADAM = ("adam_beta1", "adam_beta2", "adam_epsilon")
EVALUATING = ("eval_strategy", "eval_steps", "per_device_eval_batch_size", "do_eval")
CHOOSING = ("load_best_model_at_end", "metric_for_best_model", "greater_is_better", "early_stopping_patience", "early_stopping_threshold")
"""What needs test rows while training."""
OLD_OPTIMIZERS = {"adamw_hf": "adamw_torch", "adamw_apex_fused": "adamw_torch_fused"}
"""Optimizers that transformers no longer has, and what computes the same."""
ALWAYS = "all that a training says is written down anyway, in metrics.jsonl and in the report"
IDLE: dict[str, Rule] = {
    "output_dir": Dropped("results lie below the folder in which the config is run, such as `--run FOLDER`"),
    "overwrite_output_dir": Dropped(
        "only a run at once (`--run`) has a folder of its own: true lets it replace a finished training of other settings"
    ),
    "logging_dir": Dropped(ALWAYS),
    "disable_tqdm": Dropped("bars are for a terminal, and not shown elsewhere"),
    "remove_unused_columns": Dropped("each method reads its own columns, and no others"),
    "ddp_find_unused_parameters": Dropped("it is chosen by whether there are such parameters"),
    "ddp_timeout": Dropped("processes that wait for each other are ended together where one fails"),
    "dataset_text_field": Dropped("the rows' columns are recognised, or named in the dataset's `columns`"),
    "dataset_num_proc": Dropped("rows are prepared once, by a stage of its own"),
    "dataloader_drop_last": Dropped("every row is trained on"),
    "prediction_loss_only": Dropped("evaluations have the metrics that they name"),
    "hub_private_repo": Dropped("`publish: {NAME: {private: true}}` says so of what is published"),
    "torch_compile": Dropped("models are not compiled here"),
    "tf32": Dropped("products are computed in the type that the config names"),
    "save_safetensors": Dropped("weights are always saved as safetensors"),
}
"""What has no equivalent."""
NAMES = (
    *SAME,
    *ADAM,
    *EVALUATING,
    *CHOOSING,
    *IDLE,
    *("optim", "seed", "warmup_ratio", "warmup_steps", "save_strategy", "save_steps", "gradient_checkpointing"),
    *("gradient_checkpointing_kwargs", "group_by_length", "report_to", "run_name"),
)
OLD_NAMES = {"evaluation_strategy": "eval_strategy"}
"""What transformers called some of them before."""
SEED = 42
"""TrainingArguments' own."""


def apply(arguments: Mapping[str, Any], draft: Draft, test_rows: bool) -> None:
    """Put those of NAMES that are among the arguments; `test_rows` says whether the dataset in the draft holds any out."""
    draft.apply(arguments, {name: To(f"{TRAINING_AT}.{name}") for name in SAME})
    draft.apply(arguments, IDLE)
    _optimizer(arguments, draft)
    _warm_up(arguments, draft)
    _saving(arguments, draft)
    _memory(arguments, draft)
    if "seed" in arguments:
        draft.put(f"{TRAINING_AT}.seeds", [arguments["seed"]], "seed")
    else:
        draft.put(f"{TRAINING_AT}.seeds", [SEED], text="what transformers takes where none is given")
    if arguments.get("group_by_length"):
        draft.put(f"{TRAINING_AT}.train_sampling_strategy", "group_by_length", "group_by_length")
    else:
        draft.drop(arguments, ["group_by_length"], "rows come in random order anyway")
    _watch(arguments, draft) if test_rows else _unwatched(arguments, draft)


def measure(draft: Draft, **settings: Any) -> None:
    """Have the untouched model and the trained one measured on the test rows, so that the report shows before and after."""
    why = "the untouched model and the trained one are measured on the test rows, which the report compares"
    draft.put(f"evaluations.{EVALUATION}", {"dataset": DATA, **settings}, text=why)
    draft.config.setdefault("experiments", {}).setdefault(EXPERIMENT, {})["evaluations"] = [EVALUATION]


def trackers(arguments: Mapping[str, Any], draft: Draft, **wandb: Any) -> None:
    """Put `report_to` and `run_name`, with what else W&B is told."""
    asked = arguments.get("report_to")
    names = [asked] if isinstance(asked, str) else list(asked or ())
    names = [name for name in names if name not in ("none", "all")]
    named = {"name": str(arguments["run_name"])} if "run_name" in arguments and names else {}
    settings = {"wandb": wandb}
    there = draft.config.get("run", {}).get("trackers", [])
    more = [name for name in names if name not in [one["tracker"] for one in there]]
    if names:
        draft.put("run.trackers", [*there, *({"tracker": name, **named, **settings.get(name, {})} for name in more)], "report_to")
    else:
        draft.drop(arguments, ["report_to"], "no tracker is named; `run: {trackers: [...]}` would")
    if named:
        draft.note("became", "run_name", ("run.trackers",))
    else:
        draft.drop(arguments, ["run_name"], "runs bear the name of their experiment; a tracker would show another")


def _optimizer(arguments: Mapping[str, Any], draft: Draft) -> None:
    given = arguments.get("optim")
    if given is not None:
        known = OLD_OPTIMIZERS.get(str(given), given)
        draft.put(f"{TRAINING_AT}.optim", known, "optim", "" if known == given else f"transformers has no {given} any more; the same")
    if draft.config["experiments"][EXPERIMENT].get("optim") in WITHOUT_ADAM:
        draft.drop(arguments, ADAM, "transformers hands this optimizer none of Adam's settings")
    else:
        draft.apply(arguments, {name: To(f"{TRAINING_AT}.{name}") for name in ADAM})


def _warm_up(arguments: Mapping[str, Any], draft: Draft) -> None:
    """Steps where both are given, as TrainingArguments has it."""
    steps, share = arguments.get("warmup_steps"), arguments.get("warmup_ratio")
    if steps:
        draft.put(f"{TRAINING_AT}.warmup_steps", steps, "warmup_steps")
        draft.drop(arguments, ["warmup_ratio"], "`warmup_steps` counts where both are given")
        return
    draft.drop(arguments, ["warmup_steps"] if steps is not None else [], "there is no warm-up by steps")
    if share is None:
        return
    if not 0 <= share < 1:
        raise UserError(f"warmup_ratio: {share} is no share of the steps; write a number from 0 to below 1")
    draft.put(f"{TRAINING_AT}.warmup_steps", share, "warmup_ratio", "below 1 it is a share of all steps")


def _saving(arguments: Mapping[str, Any], draft: Draft) -> None:
    strategy = arguments.get("save_strategy", "steps" if "save_steps" in arguments else None)
    if strategy is not None:
        draft.put(f"{TRAINING_AT}.save_strategy", strategy, "save_strategy" if "save_strategy" in arguments else "")
    if strategy == "steps":
        draft.apply(arguments, {"save_steps": To(f"{TRAINING_AT}.save_steps")})
    else:
        draft.drop(arguments, ["save_steps"], "read only where `save_strategy` is steps")


def _memory(arguments: Mapping[str, Any], draft: Draft) -> None:
    """What recomputes activations."""
    draft.apply(arguments, {"gradient_checkpointing": To(f"{TRAINING_AT}.activation_checkpointing")})
    if arguments.get("gradient_checkpointing"):
        draft.apply(arguments, {"gradient_checkpointing_kwargs": To(f"{TRAINING_AT}.activation_checkpointing_kwargs")})
    else:
        draft.drop(arguments, ["gradient_checkpointing_kwargs"], "read only with gradient_checkpointing")


def _watch(arguments: Mapping[str, Any], draft: Draft) -> None:
    """Test rows looked at while training, and afterwards."""
    strategy = arguments.get("eval_strategy", "steps" if arguments.get("eval_steps") else "no")
    if strategy == "no" and not arguments.get("do_eval"):
        draft.drop(arguments, [*EVALUATING, *CHOOSING], "nothing is looked at while training (`eval_strategy`); the report compares anyway")
        return
    draft.put(f"{TRAINING_AT}.eval_datasets", {EVALUATION: DATA}, text="the rows that are looked at while training")
    read: Sequence[str] = EVALUATING if strategy == "steps" else [name for name in EVALUATING if name != "eval_steps"]
    draft.apply(arguments, {name: To(f"{TRAINING_AT}.{name}") for name in read})
    if strategy != "steps":
        draft.drop(arguments, ["eval_steps"], "read only where `eval_strategy` is steps")
    elif "eval_strategy" not in arguments:
        draft.put(f"{TRAINING_AT}.eval_strategy", "steps", text="`eval_steps` says so")
    _choose_best(arguments, draft)


def _choose_best(arguments: Mapping[str, Any], draft: Draft) -> None:
    if arguments.get("load_best_model_at_end"):
        draft.apply(arguments, {name: To(f"{TRAINING_AT}.{name}") for name in CHOOSING})
    else:
        draft.drop(arguments, CHOOSING, "read only with load_best_model_at_end")


def _unwatched(arguments: Mapping[str, Any], draft: Draft) -> None:
    draft.drop(arguments, [*EVALUATING, *CHOOSING], "no rows are held out to look at; give test data, or a share to hold out")
