"""Every option of an experiment, with another value than its default, seen to reach the object that uses it."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from polar_tools import adapters, modeling
from polar_tools import config as configs
from polar_tools.errors import ConfigError, WorldError
from polar_tools.experiment import names
from polar_tools.experiment.adapting import Adapting
from polar_tools.experiment.optimizing import Optimizing
from polar_tools.experiment.running import Running
from polar_tools.methods import classification, sft
from polar_tools.plan import Plan
from polar_tools.training import checkpoints, saving
from tests import options
from tests.options import refused, spec, trained, trainer

LLAMA, BERT = "assets/llama", "assets/bert"
WATCHED = {"eval_strategy": "steps", "eval_steps": 1}
BEST = {**WATCHED, "save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True, "metric_for_best_model": "here_loss"}


@pytest.fixture(scope="module")
def rendered(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("options")
    options.render(folder, assets)
    return folder


@pytest.fixture(autouse=True)
def here(rendered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(rendered)


def config(**fields: Any) -> sft.Config:
    return sft.Config(model=LLAMA, dataset="d", **fields)


def load(method: Any = sft, path: str = LLAMA, adapter: bool = False, **fields: Any) -> Any:
    features = {} if method is sft else {"num_labels": 2}
    return modeling.load_model(path, method, method.Config(model=path, dataset="d", threads=1, **fields), features, adapter=adapter)


# Names


def test_names_are_those_of_the_libraries() -> None:
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING
    from transformers.trainer_utils import SchedulerType
    from transformers.training_args import OptimizerNames

    assert set(names.OPTIMIZERS) == {name.value for name in OptimizerNames}
    assert set(names.SCHEDULERS) == {name.value for name in SchedulerType}
    assert {*names.PEFT_TYPES, *names.NO_PEFT_TYPES} == {name.value.lower() for name in PEFT_TYPE_TO_CONFIG_MAPPING}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optim": "adamw_torsh"}, "there is no optimizer `adamw_torsh`, did you mean `adamw_torch`"),
        ({"lr_scheduler_type": "cosin"}, "there is no schedule `cosin`, did you mean `cosine`"),
        ({"use_peft": True, "peft_type": "lorra"}, "there is no peft type `lorra`, did you mean `lora`"),
        ({"use_peft": True, "peft_type": "prefix_tuning"}, "`prefix_tuning` puts tokens of its own before each row"),
        ({"use_peft": True, "peft_type": "lily", "merge_adapter": True}, "merge_adapter: lily can't be merged"),
        ({"quantization": "int4"}, "quantization would be ignored without `use_peft: true`"),
        ({"use_peft": True, "quantization": "int8", "bnb_4bit_quant_type": "fp4"}, "bnb_4bit_quant_type would be ignored"),
        ({"optim": "sgd", "adam_beta1": 0.5}, "adam_beta1 would be ignored without another `optim` than sgd"),
        ({"optim_args": "momentum=0.5"}, "optim_args would be ignored without another `optim` than adamw_torch"),
        ({"optim": "sgd", "optim_args": "momentun=0.5"}, "sgd has no argument `momentun`, did you mean `momentum`"),
        ({"bf16": True, "fp16": True}, "choose either bf16 or fp16"),
        ({"fp16": True}, "fp16: needs a GPU .* on a CPU take bf16"),
        ({"fp16": True, "gpus": 1, "dtype": "float16"}, "fp16: scales the gradients of float32 weights"),
        ({"activation_checkpointing_kwargs": {"use_reentrant": False}}, "would be ignored without `activation_checkpointing: true`"),
        ({"attn_implementation": "flash_attention_2"}, r"flash_attention_2 needs a GPU \(`gpus: 1`\) and `dtype: bfloat16`"),
        ({"eval_strategy": "epoch"}, "eval_strategy would be ignored without `eval_datasets`"),
        ({"do_eval": True}, "do_eval would be ignored without `eval_datasets`"),
        ({"lr_scheduler_type": "reduce_lr_on_plateau"}, "reduce_lr_on_plateau looks at evaluations"),
        ({"load_best_model_at_end": True}, "what is best can't be known without evaluations"),
        ({"early_stopping_patience": 2}, "early_stopping_patience would be ignored without `load_best_model_at_end: true`"),
        ({"do_train": False}, "with neither do_train nor do_eval there is nothing to do"),
        ({"is_resume": False, "resume_from_checkpoint": "c"}, "resume_from_checkpoint would be ignored without `is_resume: true`"),
        ({"save_only_model": True, "save_strategy": "no"}, "save_only_model would be ignored without a `save_strategy`"),
        ({"logging_strategy": "epoch", "logging_steps": 3}, "logging_steps would be ignored without `logging_strategy: steps`"),
        ({"is_resume": False, "extend_training": True}, "extend_training would be ignored without `is_resume: true`"),
        ({"resume_from_checkpoint": "c", "extend_training": True}, "extend_training: `resume_from_checkpoint` names what is gone on from"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(fields: dict[str, Any], message: str) -> None:
    with refused(message):
        config(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**BEST, "save_steps": 2, "eval_steps": 3}, "save_steps: 2 is no multiple of eval_steps 3"),
        ({**BEST, "save_strategy": "epoch", "save_steps": 500}, "set it to best, or to steps as eval_strategy"),
        ({**BEST, "metric_for_best_model": "loss"}, "say of which of eval_datasets: here_loss, there_loss"),
        ({**WATCHED, "early_stopping_threshold": 0.5}, "early_stopping_threshold would be ignored"),
        ({**WATCHED, "greater_is_better": True}, "greater_is_better would be ignored without `load_best_model_at_end: true`"),
    ],
    ids=str,
)
def test_evaluations_that_make_no_sense_are_refused(fields: dict[str, Any], message: str) -> None:
    with refused(message):
        spec("say", **fields)


# The trainer's arguments

ARGUMENTS: list[dict[str, Any]] = [
    {
        "num_train_epochs": 2.5,
        "per_device_train_batch_size": 3,
        "gradient_accumulation_steps": 2,
        "learning_rate": 0.25,
        "lr_scheduler_type": "cosine_with_restarts",
        "lr_scheduler_kwargs": {"num_cycles": 3},
        "warmup_steps": 0.25,
        "weight_decay": 0.125,
        "max_grad_norm": 0.5,
        "optim": "adafactor",
        "bf16": True,
        "activation_checkpointing": True,
        "activation_checkpointing_kwargs": {"use_reentrant": False},
        "train_sampling_strategy": "group_by_length",
        "dataloader_num_workers": 1,
        "dataloader_pin_memory": False,
        "logging_strategy": "epoch",
        "save_only_model": True,
    },
    {
        "max_steps": 7,
        "optim": "sgd",
        "optim_args": "momentum=0.5",
        "logging_steps": 9,
        "logging_first_step": True,
        "save_strategy": "no",
        "do_train": False,
        "do_eval": True,
        "per_device_eval_batch_size": 3,
    },
    {
        "adam_beta1": 0.75,
        "adam_beta2": 0.5,
        "adam_epsilon": 0.125,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "steps",
        "save_steps": 4,
        "load_best_model_at_end": True,
        "metric_for_best_model": "there_accuracy",
        "greater_is_better": True,
        "resume_from_checkpoint": "some/checkpoint",
    },
]
ELSEWHERE = {
    *("fp16", "label_smoothing_factor", "is_resume", "early_stopping_patience", "early_stopping_threshold"),
    *("auto_find_batch_size", "save_total_limit", "extend_training", "activation_offloading", "tiled_mlp_num_shards"),
}
"""Seen below, in test_resume and test_long_context; fp16 and offloading need a GPU."""


@pytest.mark.parametrize("fields", ARGUMENTS, ids=lambda fields: next(iter(fields)))
def test_fields_reach_the_trainer(fields: dict[str, Any], tmp_path: Path) -> None:
    args = trainer(tmp_path, **fields).args
    told = {name: getattr(args, name) for name in fields}
    assert told == {**fields, **({"metric_for_best_model": "eval_there_accuracy"} if "metric_for_best_model" in fields else {})}
    assert (args.logging_nan_inf_filter, args.report_to, args.use_cpu) == (False, [], True)


def test_every_field_was_looked_at() -> None:
    seen = {name for fields in ARGUMENTS for name in fields}
    assert {*Running.model_fields, *Optimizing.model_fields} == seen | ELSEWHERE
    for fields in ARGUMENTS:
        defaults = sft.Config.model_fields
        assert not [name for name, value in fields.items() if value == defaults[name].default]


@pytest.mark.filterwarnings("ignore:.*label_smoothing_factor")
def test_label_smoothing_reaches_the_loss(tmp_path: Path) -> None:
    from transformers.trainer_pt_utils import LabelSmoother

    smoother = trainer(tmp_path, "sort", label_smoothing_factor=0.25).label_smoother
    assert isinstance(smoother, LabelSmoother) and smoother.epsilon == 0.25
    with pytest.raises(ConfigError, match="label_smoothing_factor: sft computes its loss itself and doesn't read it"):
        trainer(tmp_path, label_smoothing_factor=0.25)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"neftune_noise": 1}, "extra_args.neftune_noise: SFTConfig has no such argument, did you mean `neftune_noise_alpha`"),
        ({"learning_rate": 1}, "extra_args.learning_rate: write `learning_rate` beside `extra_args`"),
        ({"seed": 1}, "extra_args.seed: write `seed` beside `extra_args`, or leave it: POLAR sets it itself"),
        ({"torch_compile": "perhaps"}, 'extra_args.torch_compile: must be true or false, but it is "perhaps"'),
        ({"torch_empty_cache_steps": 1.5}, "extra_args.torch_empty_cache_steps: must be a whole number, but it is 1.5"),
        ({"label_names": [1]}, "extra_args.label_names.0: must be text, but it is 1"),
        ({"hub_strategy": "no_such"}, "refuses these settings"),
    ],
    ids=str,
)
def test_further_arguments_are_checked_by_name_and_type(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        trainer(tmp_path, extra_args=given)


def test_further_arguments_reach_the_trainer(tmp_path: Path) -> None:
    args = trainer(tmp_path, extra_args={"neftune_noise_alpha": 5, "include_num_input_tokens_seen": "all"}).args
    assert (args.neftune_noise_alpha, args.include_num_input_tokens_seen) == (5, "all")


# Optimizers and schedules


def test_optimizer_and_schedule_are_those_that_were_named(tmp_path: Path) -> None:
    adam = {"adam_beta1": 0.75, "adam_beta2": 0.5, "adam_epsilon": 0.125, "weight_decay": 0.25, "learning_rate": 0.5}
    made = trainer(tmp_path, warmup_steps=0.5, lr_scheduler_type="cosine", lr_scheduler_kwargs={"num_cycles": 1}, **adam)
    made.create_optimizer_and_scheduler(8)
    group = made.optimizer.param_groups[0]
    assert type(made.optimizer) is torch.optim.AdamW
    assert (group["betas"], group["eps"], group["weight_decay"], group["initial_lr"]) == ((0.75, 0.5), 0.125, 0.25, 0.5)
    rates = [made.lr_scheduler.lr_lambdas[0](step) for step in range(9)]
    assert rates == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0.5, 0, 0.5, 1])


@pytest.mark.parametrize(
    ("optim", "cls", "given", "told"),
    [
        ("stable_adamw", "optimi.stableadamw.StableAdamW", "decouple_lr=True,max_lr=0.5", {"decouple_lr": True}),
        ("sgd", "torch.optim.sgd.SGD", "momentum=0.5", {"momentum": 0.5}),
        ("adafactor", "transformers.optimization.Adafactor", None, {"relative_step": False}),
        ("adamw_8bit", "bitsandbytes.optim.adamw.AdamW", None, {}),
        ("lion_32bit", "bitsandbytes.optim.lion.Lion", None, {}),
        ("paged_ademamix_8bit", "bitsandbytes.optim.ademamix.AdEMAMix", "alpha=4", {"alpha": 4.0}),
        ("rmsprop", "torch.optim.rmsprop.RMSprop", "alpha=0.5,centered=true", {"alpha": 0.5, "centered": True}),
    ],
)
def test_optimizers_of_other_packages_get_their_arguments(
    optim: str, cls: str, given: str | None, told: dict[str, Any], tmp_path: Path
) -> None:
    optimizer = trainer(tmp_path, optim=optim, optim_args=given).create_optimizer()
    assert f"{type(optimizer).__module__}.{type(optimizer).__name__}" == cls
    assert {name: optimizer.param_groups[0][name] for name in told} == told


def test_stable_adamw_trains(tmp_path: Path) -> None:
    told = trained(tmp_path / "t", optim="stable_adamw", max_steps=4)
    assert told["last_loss"] < told["first_loss"]


@pytest.mark.parametrize(
    ("optim", "package"), [("galore_adamw", "galore_torch"), ("schedule_free_sgd", "schedulefree"), ("adalomo", "lomo_optim")]
)
def test_missing_package_of_an_optimizer_is_named(optim: str, package: str, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=f"optim: {optim} needs the package {package}, which isn't here: pip install"):
        trained(tmp_path / "t", optim=optim)


def test_early_stopping_fields_reach_the_callback(tmp_path: Path) -> None:
    made = trainer(tmp_path, **BEST, early_stopping_patience=3, early_stopping_threshold=0.25)
    [callback] = [callback for callback in made.callback_handler.callbacks if type(callback).__name__ == "EarlyStopping"]
    assert (callback.early_stopping_patience, callback.early_stopping_threshold) == (3, 0.25)


# Models


def test_type_and_attention_of_a_loaded_model() -> None:
    model = load(dtype="bfloat16", attn_implementation="eager")
    assert (model.dtype, model.config._attn_implementation) == (torch.bfloat16, "eager")


def test_attention_that_cannot_be_had_is_replaced_only_where_that_is_allowed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    told = trained(tmp_path / "t", attn_implementation="flash_attention_2", attn_fallback=True)
    assert told["attn_implementation"] == "sdpa"
    assert "flash_attention_2 attention can't be had, sdpa is used: flash_attention_2 needs a GPU" in capsys.readouterr().err


@pytest.fixture
def custom(rendered: Path, tmp_path: Path) -> Iterator[Path]:
    """A model of an architecture of its own, whose code lies beside it."""
    folder = tmp_path / "custom"
    shutil.copytree(rendered / LLAMA, folder)
    told = json.loads((folder / "config.json").read_text())
    code = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    (folder / "config.json").write_text(
        json.dumps({**told, "model_type": "polar-own", "architectures": ["OwnForCausalLM"], "auto_map": code})
    )
    (folder / "own.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'polar-own'\n"
        "class OwnForCausalLM(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    yield folder


def test_code_that_comes_with_a_model_runs_only_where_that_is_allowed(custom: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="transformers doesn't know the architecture `polar-own` .*`trust_remote_code: true`"):
        load(path=str(custom))
    model = load(path=str(custom), trust_remote_code=True)
    assert type(model).__name__ == "OwnForCausalLM"
    modeling.save_model(model, tmp_path / "saved")
    assert type(load(path=str(tmp_path / "saved"), trust_remote_code=True)).__name__ == "OwnForCausalLM"


@pytest.mark.parametrize("model", ["hf://some/one@main", "hf://some/one", "s3://bucket/one"])
@pytest.mark.parametrize("where", ["model", "fallback_model", "start", "tokenizer_name"])
def test_code_runs_only_of_models_that_are_pinned(model: str, where: str) -> None:
    data: dict[str, Any] = {
        "models": {"mine": {"source": f"hf://some/one@{'a' * 40}"}, "theirs": {"source": model}},
        "datasets": {"d": {"source": "file://assets/rows.csv"}},
        "experiments": {"x": {"method": "sft", "model": "mine", "dataset": "d", "trust_remote_code": True}},
    }
    Plan(configs.parse(data))
    told = data["experiments"]["x"]
    if where == "start":
        data["experiments"]["before"] = {"method": "sft", "model": "theirs", "dataset": "d"}
        told["model"] = "before"
    elif where == "tokenizer_name":
        data["models"]["mine"]["tokenizer_name"] = model
    else:
        told[where] = "theirs"
    with pytest.raises(ConfigError, match=f"experiments.x.trust_remote_code: would run whatever code {model} has tomorrow; pin it"):
        Plan(configs.parse(data))


def test_evaluation_sets_that_nothing_looks_at_are_refused() -> None:
    text = options.CONFIG.replace("do_eval: true, ", "")
    with pytest.raises(ConfigError, match="experiments.say.eval_datasets: would be ignored without `eval_strategy` or `do_eval: true`"):
        configs.parse(yaml.safe_load(text))


def test_code_of_another_repository_is_refused(custom: Path) -> None:
    told = json.loads((custom / "config.json").read_text())
    (custom / "config.json").write_text(json.dumps({**told, "auto_map": {"AutoConfig": "some/one--own.OwnConfig"}}))
    with pytest.raises(ConfigError, match="asks for code of another repository, which nobody pinned: some/one--own.OwnConfig"):
        load(path=str(custom), trust_remote_code=True)


def test_fallback_model_is_taken_and_said(custom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = trained(tmp_path / "t", model=str(custom), fallback_model=LLAMA)
    assert told["fallback_model"] == LLAMA
    assert f"warning: transformers doesn't know the architecture `polar-own` in {custom}" in capsys.readouterr().err
    assert json.loads((tmp_path / "t/model/config.json").read_text())["model_type"] == "llama"
    assert modeling.load_processor(str(custom), sft, config(fallback_model=LLAMA)).name_or_path == LLAMA


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        (sft, BERT, "`sft` makes no sense for the model in .*bert, a BertModel; it would go with .*classification"),
        (classification, "vit", "`classification` makes no sense for the model in vit, of type vit; "),
    ],
)
def test_pairs_of_method_and_model_that_make_no_sense_are_refused(
    method: Any, path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "vit":
        monkeypatch.chdir(tmp_path)
        Path("vit").mkdir()
        Path("vit/config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ConfigError, match=message):
        load(method, path)


# Adapters

SMALL = {
    "c3a": {"block_size": 8},
    "road": {"group_size": 8},
    "vblora": {"vector_length": 8, "num_vectors": 16},
    "waveft": {"n_frequency": 16},
    "adaption_prompt": {"adapter_len": 4, "adapter_layers": 1},
    "trainable_tokens": {"token_indices": [3, 4]},
}
"""What a type needs on a model as tiny as this."""
RANK = {"adalora": "target_r", "osf": "effective_rank"}


def stepped(model: Any) -> Any:
    """`model` after one step, so that its adapter does something."""
    ids = torch.arange(3, 23).reshape(2, 10)
    model(input_ids=ids, labels=ids).loss.backward()
    torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1.0).step()
    return model


@pytest.mark.parametrize("peft_type", names.PEFT_TYPES)
def test_every_peft_type_trains_and_merges(peft_type: str) -> None:
    small = {"lora_r": 4} if peft_type in ("miss", "shira") else {}
    model = stepped(load(adapter=True, use_peft=True, peft_type=peft_type, peft_args=SMALL.get(peft_type, {}), **small))
    [settings] = model.peft_config.values()
    assert settings.peft_type.value.lower() == peft_type
    assert {name: getattr(settings, name) for name in SMALL.get(peft_type, {})} == SMALL.get(peft_type, {})
    assert adapters.can_merge(model) == (peft_type not in names.NEVER_MERGED)
    if adapters.can_merge(model):
        merged, distance = adapters.merged(model, [list(range(3, 20)), [5, 6]], "float32")
        assert type(merged).__name__ == "LlamaForCausalLM"
        assert distance < 1e-5


@pytest.mark.parametrize("peft_type", ["lora", "adalora", "vera", "loha", "oft", "randlora", "hra", "psoft", "gralora"])
def test_rank_alpha_and_dropout_get_the_names_of_the_type(peft_type: str) -> None:
    known = adapters._own_names(peft_type, _settings_class(peft_type))
    fields = {name: value for name, value in {"lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.25}.items() if name in known}
    assert "lora_r" in fields
    settings = adapters.settings(config(use_peft=True, peft_type=peft_type, **fields), "CAUSAL_LM")
    assert {known[name]: getattr(settings, known[name]) for name in fields} == {known[name]: value for name, value in fields.items()}
    if peft_type == "adalora":
        assert (settings.target_r, settings.init_r) == (4, 6)


def _settings_class(peft_type: str) -> Any:
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING

    return PEFT_TYPE_TO_CONFIG_MAPPING[peft_type.upper()]


def test_all_of_loras_fields_reach_peft() -> None:
    model = load(
        adapter=True,
        use_peft=True,
        lora_r=4,
        lora_alpha=6,
        lora_dropout=0.25,
        use_rslora=True,
        use_dora=True,
        target_modules="q_proj, v_proj",
        modules_to_save=["lm_head"],
        peft_args={"init_lora_weights": "gaussian", "rank_pattern": {"q_proj": 2}},
    )
    settings = model.peft_config["default"]
    assert (settings.r, settings.lora_alpha, settings.lora_dropout, settings.use_rslora, settings.use_dora) == (4, 6, 0.25, True, True)
    assert (settings.target_modules, set(settings.modules_to_save)) == ({"q_proj", "v_proj"}, {"lm_head"})
    assert (settings.init_lora_weights, settings.rank_pattern) == ("gaussian", {"q_proj": 2})
    assert (settings.task_type, settings.base_model_name_or_path) == ("CAUSAL_LM", LLAMA)
    assert model.base_model.model.model.layers[0].self_attn.q_proj.lora_A["default"].weight.shape[0] == 2


@pytest.mark.parametrize(
    ("targets", "adapted"),
    [
        (None, ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]),
        ("all-linear", ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]),
        ("q_proj", ["q_proj"]),
        ("q_proj,k_proj", ["k_proj", "q_proj"]),
        (["v_proj"], ["v_proj"]),
        (".*mlp.*(up|down)_proj", ["down_proj", "up_proj"]),
    ],
)
def test_target_modules_may_be_written_in_every_usual_way(targets: Any, adapted: list[str]) -> None:
    model = load(adapter=True, use_peft=True, target_modules=targets)
    assert sorted({name.split(".lora_A")[0].split(".")[-1] for name, _ in model.named_modules() if name.endswith("lora_A")}) == adapted


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target_modules": "nothing_like_it"}, "target_modules: lora can't be put on LlamaForCausalLM: .*nothing_like_it"),
        ({"target_modules": ["no", "such"]}, "target_modules: lora can't be put on LlamaForCausalLM"),
        ({"peft_args": {"rank_patern": {}}}, "peft_args.rank_patern: LoraConfig has no such argument, did you mean `rank_pattern`"),
        ({"peft_args": {"fan_in_fan_out": "perhaps"}}, 'peft_args.fan_in_fan_out: must be true or false, but it is "perhaps"'),
        ({"peft_args": {"r": 3}}, "peft_args.r: write `lora_r` beside `peft_args`"),
        ({"peft_args": {"task_type": "SEQ_CLS"}}, "peft_args.task_type: POLAR sets it itself"),
        (
            {"peft_type": "ia3", "lora_r": 4},
            "lora_r: ia3 has no such setting; its own, which go into `peft_args`, are .*feedforward_modules",
        ),
        ({"peft_type": "vera", "use_dora": True}, "use_dora: vera has no such setting"),
        ({"peft_type": "adalora", "use_dora": True}, "peft_type: adalora: .*DoRA"),
        ({"peft_type": "c3a"}, "peft_type: c3a can't be put on LlamaForCausalLM: The block size"),
    ],
    ids=str,
)
def test_adapters_that_make_no_sense_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(adapter=True, use_peft=True, **fields)


def test_adalora_gives_its_ranks_away_while_it_trains(tmp_path: Path) -> None:
    fields = {"use_peft": True, "peft_type": "adalora", "lora_r": 2, "max_steps": 6}
    trained(tmp_path / "t", **fields, peft_args={"tinit": 1, "tfinal": 2, "deltaT": 1})
    told = json.loads((tmp_path / "t/model/adapter_config.json").read_text())
    assert (told["total_step"], told["init_r"], told["target_r"]) == (6, 3, 2)
    given = [sum(ranks) for ranks in told["rank_pattern"].values()]
    assert sum(given) == 2 * len(given)
    with pytest.raises(ConfigError, match="adalora's tinit 5 and tfinal 2 leave none of the 6 steps"):
        trained(tmp_path / "u", **fields, peft_args={"tinit": 5, "tfinal": 2})


@pytest.mark.parametrize("further", [{}, {"use_dora": True, "dtype": "bfloat16"}, {"peft_type": "ia3"}], ids=str)
def test_merged_model_is_whole_and_the_same(further: dict[str, Any], tmp_path: Path) -> None:
    kept, whole = trained(tmp_path / "a", use_peft=True, **further), trained(tmp_path / "b", use_peft=True, merge_adapter=True, **further)
    assert kept == whole
    assert (tmp_path / "a/model/adapter_config.json").exists() and not (tmp_path / "b/model/adapter_config.json").exists()
    assert not (tmp_path / "b/adapter").exists()
    one, other = (load(path=str(tmp_path / name / "model"), dtype=further.get("dtype", "float32")).state_dict() for name in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_merge_that_changes_the_model_is_no_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(adapters.TOLERANCE, "float32", 1e-12)
    with pytest.raises(WorldError, match="the merged model's outputs are not those of the adapter: .* Set `merge_adapter: false`"):
        trained(tmp_path / "t", use_peft=True, merge_adapter=True)
    assert (tmp_path / "t/adapter/adapter_model.safetensors").is_file()
    assert not (tmp_path / "t/model").exists()


# Quantization


@pytest.mark.parametrize(
    ("fields", "layer"),
    [
        (
            {
                "quantization": "int4",
                "bnb_4bit_quant_type": "fp4",
                "bnb_4bit_use_double_quant": False,
                "bnb_4bit_compute_dtype": "bfloat16",
            },
            "Linear4bit",
        ),
        ({"quantization": "int8"}, "Linear8bitLt"),
    ],
    ids=["int4", "int8"],
)
def test_quantized_base_is_what_was_asked_for(fields: dict[str, Any], layer: str) -> None:
    model = load(adapter=True, use_peft=True, **fields)
    projection = model.base_model.model.model.layers[0].self_attn.q_proj.base_layer
    assert type(projection).__name__ == layer
    if layer == "Linear4bit":
        state = projection.weight.quant_state
        assert (state.quant_type, state.nested, projection.compute_dtype) == ("fp4", False, torch.bfloat16)


@pytest.mark.parametrize(("quantization", "experiment"), [("int4", "say"), ("int8", "say"), ("int4", "sort")])
def test_adapter_on_a_quantized_base_trains_and_merges_into_the_whole_one(quantization: str, experiment: str, tmp_path: Path) -> None:
    fields = {"use_peft": True, "quantization": quantization, "merge_adapter": True, "max_steps": 3}
    told = trained(tmp_path / "t", experiment, **fields)
    assert math.isfinite(told["last_loss"])
    saved = json.loads((tmp_path / "t/model/config.json").read_text())
    assert "quantization_config" not in saved
    weights = load_file(tmp_path / "t/model/model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}


def test_an_evaluation_leaves_the_gradients_on_a_quantized_base_as_they_were() -> None:
    model, ids = load(adapter=True, use_peft=True, quantization="int4", lora_r=2, lora_dropout=0.0), torch.arange(3, 19).view(2, 8)

    def gradients() -> torch.Tensor:
        model.train().zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])

    before = gradients()
    with torch.no_grad():
        model.eval()(input_ids=ids)
    assert before.norm() > 0 and torch.equal(gradients(), before)


def test_missing_bitsandbytes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WorldError, match="quantization: int4 needs the package bitsandbytes, .* pip install 'polar-tools\\[quantize\\]'"):
        load(adapter=True, use_peft=True, quantization="int4")


def test_quantized_training_starts_from_whole_weights(tmp_path: Path) -> None:
    trained(tmp_path / "t", use_peft=True)
    with pytest.raises(ConfigError, match="is an adapter; train it with `merge_adapter: true` first"):
        load(path=str(tmp_path / "t/model"), adapter=True, use_peft=True, quantization="int4")


def test_what_cannot_be_merged_is_evaluated_but_not_trained_on(tmp_path: Path) -> None:
    trained(tmp_path / "t", use_peft=True, peft_type="lily")
    assert type(load(path=str(tmp_path / "t/model"))).__name__ == "PeftModelForCausalLM"
    with pytest.raises(ConfigError, match="can't be merged into its base, so nothing more can be trained on it"):
        load(path=str(tmp_path / "t/model"), adapter=True)


# The run


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


STOPPING = {**BEST, "max_steps": 12, "learning_rate": 1.0, "early_stopping_patience": 2, "save_total_limit": 9, "max_grad_norm": 0.0}
"""A learning rate that makes it worse soon."""


def test_early_stopping_stops_and_the_best_model_is_what_is_saved(tmp_path: Path) -> None:
    told = trained(tmp_path / "t", **STOPPING)
    losses = [entry["eval_here_loss"] for entry in logged(tmp_path / "t") if "eval_here_loss" in entry]
    best = losses.index(min(losses))
    assert told["stopped_early"] and told["steps"] == best + 3 < 12
    assert (told["best_step"], told["best_metric"]) == (best + 1, min(losses))
    assert same(tmp_path / "t/model", tmp_path / f"t/checkpoints/checkpoint-{best + 1}")


def test_early_stopping_goes_on_counting_after_an_interruption(tmp_path: Path) -> None:
    told = trained(tmp_path / "t", **STOPPING)
    whole = logged(tmp_path / "t")
    for last in (told["steps"] - 1, told["steps"]):
        again = tmp_path / f"after-{last}"
        shutil.copytree(tmp_path / "t/checkpoints", again / "checkpoints")
        for step in range(last + 1, told["steps"] + 1):
            shutil.rmtree(again / f"checkpoints/checkpoint-{step}")
        _lead_to(again, tmp_path / "t")
        assert trained(again, **STOPPING) == told
        assert same(again / "model", tmp_path / "t/model")
        assert logged(again) == whole


def _lead_to(folder: Path, before: Path) -> None:
    """The best checkpoint is known by its path."""
    for state in folder.glob("checkpoints/*/trainer_state.json"):
        state.write_text(state.read_text().replace(str(before), str(folder)))
        checkpoints.mark(state.parent, checkpoints.origin_of(spec(**{**options.QUICK, **STOPPING})), exact=True)


def test_save_strategy_best_keeps_the_best(tmp_path: Path) -> None:
    told = trained(tmp_path / "t", "alone", **WATCHED, save_strategy="best", load_best_model_at_end=True, max_steps=3)
    assert same(tmp_path / "t/model", tmp_path / f"t/checkpoints/checkpoint-{told['best_step']}")


def test_metric_that_no_evaluation_gives_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="metric_for_best_model: no evaluation gives `eval_here_lost`, did you mean `eval_here_loss`"):
        trained(tmp_path / "t", **{**BEST, "metric_for_best_model": "here_lost"})


def test_finished_model_is_measured_where_that_is_asked_for(tmp_path: Path) -> None:
    told = trained(tmp_path / "t", do_eval=True)
    assert set(told["eval_metrics"]) >= {"eval_here_loss", "eval_there_loss"}
    untouched = trained(tmp_path / "u", do_eval=True, do_train=False)
    assert (untouched["steps"], untouched["eval_metrics"]["eval_here_loss"] > told["eval_metrics"]["eval_here_loss"]) == (0, True)
    assert same(tmp_path / "u/model", Path(LLAMA))


BAD = 7
"""A row whose loss is no number."""


def test_loss_that_is_no_number_stops_at_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polar_tools.trainers.answer_loss import AnswerLossTrainer

    whole, bad = AnswerLossTrainer.compute_loss, trainer(tmp_path).train_dataset[BAD]["input_ids"]

    def compute_loss(self: Any, model: Any, inputs: Any, *further: Any, **named: Any) -> Any:
        loss = whole(self, model, inputs, *further, **named)
        there = any(row[: len(bad)].tolist() == bad for row in inputs["input_ids"])
        return loss * float("nan") if there and self.model.training else loss

    monkeypatch.setattr(AnswerLossTrainer, "compute_loss", compute_loss)
    fields = {"train_sampling_strategy": "sequential", "gradient_accumulation_steps": 2, "save_strategy": "steps", "save_steps": 1}
    message = (
        r"the loss became nan in step 2, batch 2 of it \(training rows 7, 8, counted from 1\). Look at these rows, lower learning_rate"
    )
    with pytest.raises(WorldError, match=message) as caught:
        trained(tmp_path / "t", **fields, max_steps=4)
    assert f"The last good checkpoint is {tmp_path}/t/checkpoints/checkpoint-1" in str(caught.value)
    assert [path.name for path in (tmp_path / "t/checkpoints").glob("checkpoint-*")] == ["checkpoint-1"]
    assert not (tmp_path / "t/model").exists()


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    from transformers import TrainerCallback

    class Break(TrainerCallback):  # type: ignore[misc]
        def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step == 1:
                next(model.parameters()).data[0, 0] = float("inf")

    made = trainer(tmp_path, **{**options.QUICK, "save_strategy": "steps", "save_steps": 1})
    made.add_callback(Break())
    saving.watch(made, checkpoints.origin_of(spec()), 1)
    with pytest.raises(WorldError, match="weights became NaN or infinite in step 2; they aren't saved. .* is .*checkpoint-1"):
        made.train()


def test_training_begins_anew_where_it_must_not_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 9, "max_steps": 3}
    told = trained(tmp_path / "t", **fields)
    _forget_the_end(tmp_path / "t")
    assert trained(tmp_path / "t", **fields) == told
    assert "going on from" in capsys.readouterr().out
    for further in ({"is_resume": False}, {"save_only_model": True}):
        _forget_the_end(tmp_path / "t")
        assert trained(tmp_path / "t", **fields, **further) == told
        assert "going on from" not in capsys.readouterr().out
    assert not (tmp_path / "t/checkpoints/checkpoint-3/optimizer.pt").exists()


def _forget_the_end(folder: Path) -> None:
    shutil.rmtree(folder / "model")
    shutil.rmtree(folder / "checkpoints/checkpoint-3")


def test_training_goes_on_from_a_checkpoint_by_path(tmp_path: Path) -> None:
    fields = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 9, "max_steps": 3}
    told = trained(tmp_path / "t", **fields)
    given = tmp_path / "t/checkpoints/checkpoint-2"
    assert trained(tmp_path / "u", **fields, resume_from_checkpoint=str(given)) == told
    assert same(tmp_path / "u/model", tmp_path / "t/model")
    made = spec("say", resume_from_checkpoint=str(given))
    assert {Path(path).name for path in made.local_files()} >= {"optimizer.pt", "model.safetensors", "trainer_state.json"}
    with pytest.raises(ConfigError, match="resume_from_checkpoint: .*checkpoint-3 has all 3 steps; raise max_steps"):
        trained(tmp_path / "v", **fields, resume_from_checkpoint=str(given.with_name("checkpoint-3")))
    with pytest.raises(ConfigError, match="llama is no whole checkpoint, it has no trainer_state.json, optimizer.pt, scheduler.pt"):
        trained(tmp_path / "w", **fields, resume_from_checkpoint=LLAMA)
    with pytest.raises(ConfigError, match="resume_from_checkpoint: there is no checkpoint in nowhere"):
        spec("say", resume_from_checkpoint="nowhere").local_files()


def test_log_file_lies_beside_the_results(tmp_path: Path) -> None:
    trained(tmp_path / "t")
    assert "INFO polar_tools.training.metrics_log: step 2/2  loss " in (tmp_path / "t/train.log").read_text()


def test_no_field_of_adapters_was_forgotten() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert not [name for name in Adapting.model_fields if name not in source]
