"""A language model's training: each trainer of AutoTrain's, and what the method here is told so that it is the same training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polar_tools.conversions.autotrain import adapter, data, training
from polar_tools.conversions.autotrain.given import FIELDS, Given
from polar_tools.conversions.autotrain.names import LLM, dashed
from polar_tools.conversions.base import Draft, places
from polar_tools.errors import UserError
from polar_tools.fields import did_you_mean

TRAINERS = {"default": "causal_lm", "generic": "causal_lm", "sft": "sft", "dpo": "dpo", "orpo": "orpo", "reward": "reward"}
"""AutoTrain's trainer -> the method here; `generic` is what its YAML calls the default."""
TEMPLATES = ("tokenizer", "chatml", "zephyr")
BLOCK = 1024
"""Tokens, where nothing is said."""
OF_TEXT = ("loss", "token_accuracy")
"""What can be measured of `sft` on plain text."""
LENGTHS = {"causal_lm": "block_size", "sft": "packing_length"}
"""Method -> the field that `block_size` is there, if not `max_length`."""
COMPARING = ("dpo", "orpo", "reward")


def convert(arguments: Mapping[str, Any], draft: Draft) -> None:
    """Fill the draft; `arguments` are by the names of LLM."""
    trainer, says = _trainer(arguments)
    template = _template(arguments)
    method = "sft" if trainer in ("default", "generic") and template else TRAINERS[trainer]
    given = Given(arguments, LLM, draft, method)
    draft.put(f"{FIELDS}.method", method, says, "" if says else "AutoTrain's default of --trainer")
    if given.said("task") and says != "task":
        draft.note("became", "task", (f"{FIELDS}.method",))
    if method != TRAINERS[trainer]:
        draft.note("became", "chat_template", (f"{FIELDS}.method",), "AutoTrain's default trainer with a template trains on dialogues")
    data.put_model(given)
    held_out = data.put_rows(given, _columns(given, trainer, template))
    _put_template(given, trainer, template)
    _put_lengths(given, method)
    training.put(given)
    _put_memory(given)
    adapter.put(given)
    _put_reference(given, method)
    if held_out:
        data.put_evaluation(given, OF_TEXT if method == "sft" and not template else ())
        why = "AutoTrain 0.8.36 leaves the split unread where it is a file, and fails where it is on the Hub"
        draft.note("safer", "", (f"{FIELDS}.eval_datasets",), why)
    else:
        given.unread(["eval_strategy"], "nothing is held out, so there is nothing to look at; AutoTrain does nothing with it either")
        if not given.said("save_strategy"):
            text = "a checkpoint each epoch, so that a training that was interrupted goes on; AutoTrain keeps none"
            draft.note("safer", "", (f"{FIELDS}.save_strategy",), text)
        draft.note("chosen", "", ("evaluations",), "nothing is held out, as in AutoTrain: give it a --valid-split, and it is measured")


def _trainer(arguments: Mapping[str, Any]) -> tuple[str, str]:
    """The trainer, and the argument that says it."""
    _, _, of_task = str(arguments.get("task", "")).partition("-")
    says = "trainer" if "trainer" in arguments else "task" if of_task else ""
    trainer = str(arguments.get("trainer", of_task or LLM["trainer"]))
    if trainer not in TRAINERS:
        raise UserError(
            f"--trainer: AutoTrain has no trainer `{trainer}`{did_you_mean(trainer, [*TRAINERS])}; it has {', '.join(TRAINERS)}"
        )
    return trainer, says


def _template(arguments: Mapping[str, Any]) -> str | None:
    """The chat template; AutoTrain leaves rows as they are for any other word."""
    said = arguments.get("chat_template")
    if said in (None, "none", "None", "null", ""):
        return None
    if said not in TEMPLATES:
        raise UserError(f"--chat-template: AutoTrain knows {', '.join(TEMPLATES)} and none, not `{said}`; here it may be jinja in a config")
    return str(said)


def _columns(given: Given, trainer: str, template: str | None) -> dict[str, str]:
    """Our columns -> the parameters that name them; raises UserError where AutoTrain needs one that it isn't told."""
    if trainer not in COMPARING:
        given.unread(["prompt_text_column", "rejected_text_column"], "AutoTrain reads it for dpo, orpo and reward only")
        return {"messages" if template else "text": "text_column"}
    wanted = {"chosen": "text_column", "rejected": "rejected_text_column"}
    if trainer == "reward":
        given.unread(["prompt_text_column"], "AutoTrain's reward reads no prompt: both texts hold it")
    elif template:
        given.unread(["prompt_text_column"], "the prompt is what both dialogues begin with, as with AutoTrain's chat templates")
    else:
        wanted = {"prompt": "prompt_text_column", **wanted}
    if missing := [dashed(name) for name in wanted.values() if given[name] is None]:
        raise UserError(f"--trainer {trainer} needs {' and '.join(missing)}: the name of that column in the data")
    return wanted


def _put_template(given: Given, trainer: str, template: str | None) -> None:
    if template is None and trainer in COMPARING:
        given.field("chat_template", "chat_template", "none", "prompt and answers as they are")
    elif template is None:
        given.unread(["chat_template"], "the text is trained on as it is")
    else:
        own = "" if template == "tokenizer" else "in the model's own vocabulary, where AutoTrain adds tokens that an adapter never trains"
        given.field("chat_template", "chat_template", template, own, "safer" if own else None)
        if not given.said("chat_template"):
            raise AssertionError("a template is always said")
        if trainer not in COMPARING:
            what = "only what the assistant says is trained on; AutoTrain trains on the question too"
            given.draft.note("safer", "", (f"{FIELDS}.method",), what)
    if template is None and trainer not in COMPARING:
        given.field("add_eos_token", "add_eos_token")
    else:
        given.unread(
            ["add_eos_token"], "AutoTrain's default trainer alone reads it; here the template, or the method, says how answers end"
        )


def _put_lengths(given: Given, method: str) -> None:
    """How long blocks or rows are; `model_max_length` bounds them, as in AutoTrain."""
    size, bound = _block(given), int(given.number("model_max_length"))
    block, short = min(size, bound), "--model-max-length bounds it" if size > bound else ""
    if short and given.said("model_max_length"):
        given.draft.note("became", "model_max_length", (f"{FIELDS}.{LENGTHS.get(method, 'max_length')}",), "it bounds --block-size")
    if method == "causal_lm":
        given.field("block_size", "block_size", block, short)
    elif method == "sft":
        given.draft.put(f"{FIELDS}.packing", True, "", "as AutoTrain's sft does")
        given.draft.put(f"{FIELDS}.packing_strategy", "wrapped", "", "as AutoTrain's sft does; `bfd` keeps rows whole and apart")
        given.field("packing_length", "block_size", block, short)
    else:
        given.field("max_length", "block_size", block, short)
        cut = "drop" if method == "reward" else "cut_right"
        given.draft.put(f"{FIELDS}.on_too_long", cut, "", "as AutoTrain does unsaid; tokenize/report.html counts and shows them", "safer")
    if method in ("dpo", "orpo"):
        given.field("max_prompt_length", "max_prompt_length", text="longer prompts lose their beginning; tokenize/report.html counts them")
        given.field("max_completion_length", "max_completion_length")
    else:
        given.unread(["max_prompt_length", "max_completion_length"], "AutoTrain reads it for dpo and orpo only")
    _put_tokenizer(given)


def _block(given: Given) -> int:
    """`block_size`, -1 for AutoTrain's own choice."""
    value = given["block_size"]
    if isinstance(value, list) or (isinstance(value, str) and "," in value):
        raise UserError("--block-size: AutoTrain 0.8.36 fails on several sizes too; give one")
    size = int(given.number("block_size"))
    return BLOCK if size == -1 else size


def _put_tokenizer(given: Given) -> None:
    if given.said("model_max_length"):
        given.field("tokenizer_max_len", "model_max_length")
    else:
        text = "stays the model's own; AutoTrain saves a tokenizer that cuts at 2,048 tokens"
        given.draft.note("safer", "", (f"{FIELDS}.tokenizer_max_len",), text)
    if given["padding"] in ("left", "right"):
        given.field("padding_side", "padding")
    else:
        given.unread(["padding"], "the tokenizer's own side")


def _put_memory(given: Given) -> None:
    """Gradient checkpointing, attention, and what spreads a training over GPUs."""
    given.field("activation_checkpointing", "disable_gradient_checkpointing", not given["disable_gradient_checkpointing"])
    if given["use_flash_attention_2"]:
        given.field("attn_implementation", "use_flash_attention_2", "flash_attention_2")
        text = "flash-attn needs a GPU and weights of 16 bits (`dtype: bfloat16`); without them torch's kernel is taken, and said"
        given.field("attn_fallback", "use_flash_attention_2", True, text, "safer")
    else:
        given.unread(["use_flash_attention_2"], "torch's kernel")
    given.unread(["unsloth"], "a library of faster kernels that isn't used here; the training is the same")
    backend = given["distributed_backend"]
    if backend == "deepspeed":
        given.field("deepspeed", "distributed_backend", "zero3", "AutoTrain's, where there are several GPUs; leave it out for one")
    elif backend in (None, "ddp"):
        given.unread(["distributed_backend"], "several GPUs (`gpus: 2`) train so anyway")
    else:
        raise UserError(f"--distributed-backend: AutoTrain knows ddp and deepspeed, not `{backend}`")


def _put_reference(given: Given, method: str) -> None:
    if method != "dpo":
        given.unread(["dpo_beta", "model_ref"], "AutoTrain reads it for dpo only")
        return
    given.field("beta", "dpo_beta")
    if given["model_ref"] is None or given["peft"]:
        given.unread(["model_ref"], "with --peft, and without it, the reference is the untouched model, as in AutoTrain")
        return
    given.put("models.reference.source", "model_ref", places.located(str(given["model_ref"])))
    given.field("ref_model", "model_ref", "reference")
