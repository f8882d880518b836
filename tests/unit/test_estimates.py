"""What a plan will need: formulas beside what torch, transformers and peft really hold, and the command as a person types it."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from polar_tools import consumption
from polar_tools.cli import group
from polar_tools.errors import ConfigError
from polar_tools.estimates import activations, amounts, architecture, past, trained
from polar_tools.estimates.sharding import Sharding
from polar_tools.methods import classification, sft
from tests import learning

LARGE = {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4}
CONFIG = """\
models:
  small: {source: file://assets/llama}
  large: {source: file://assets/large}
datasets:
  sayings: {source: file://assets/rows.csv, columns: {prompt: question, completion: answer}}
experiments:
  say: {method: sft, model: large, dataset: sayings, max_steps: 100, per_device_train_batch_size: 64, chat_template: chatml}
  tell: {method: sft, model: small, dataset: sayings, max_steps: 4, per_device_train_batch_size: 4, threads: 1, preflight: false}
"""


def write_large(folder: Path, small: Path) -> None:
    """A model of 1.1 billion weights of which only the headers are there: no more of it is read before it is trained."""
    shutil.copytree(small, folder)
    told = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**told, **LARGE, "head_dim": 64, "vocab_size": 32000}))
    shapes = {"model.embed_tokens.weight": [32000, 2048], "lm_head.weight": [32000, 2048]}
    for layer in range(22):
        of = f"model.layers.{layer}"
        shapes |= {f"{of}.self_attn.{name}_proj.weight": [rows, 2048] for name, rows in (("q", 2048), ("k", 256), ("v", 256), ("o", 2048))}
        shapes |= {f"{of}.mlp.{name}_proj.weight": [5632, 2048] for name in ("gate", "up")} | {f"{of}.mlp.down_proj.weight": [2048, 5632]}
    header = json.dumps({name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)


@pytest.fixture(scope="module")
def tokenized(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which all is made that comes before the trainings."""
    folder = tmp_path_factory.mktemp("estimates")
    shutil.copytree(assets / "assets", folder / "assets")
    write_large(folder / "assets" / "large", folder / "assets" / "llama")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    with contextlib.chdir(folder):
        learning.make("config.yaml", learning.BEFORE_TRAINING)
    return folder


@pytest.fixture
def here(tokenized: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tokenized)
    return tokenized


@pytest.fixture
def fresh(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same project before anything is made."""
    shutil.copytree(assets / "assets", tmp_path / "assets")
    write_large(tmp_path / "assets" / "large", tmp_path / "assets" / "llama")
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*words: str, experiments: dict[str, dict[str, Any]] | None = None) -> Result:
    """`polar-tools plan` on the config, with other fields for its experiments."""
    told = yaml.safe_load(CONFIG)
    for name, fields in (experiments or {}).items():
        told["experiments"][name] |= fields
    Path("changed.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    return CliRunner().invoke(group, ["plan", "changed.yaml", *words])


def said(result: Result) -> str:
    """The message that ended a command for what the person wrote."""
    assert isinstance(result.exception, ConfigError), result.output
    return str(result.exception)


def training(name: str, **fields: Any) -> dict[str, Any]:
    """What is said of an experiment's training with these fields."""
    told = json.loads(plan("--json", experiments={name: fields}).output)
    found: dict[str, Any] = next(one for one in told["artifacts"] if one["path"] == f"results/{name}/seed0/train")
    return found


# Formulas, beside the libraries


def kept_by(model: torch.nn.Module, rows: int, length: int, padded: bool) -> int:
    """Bytes that a model's forward pass keeps for the backward pass, besides its weights."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    mask = torch.ones(rows, length, dtype=torch.long)
    mask[0, length // 2 :] = 0 if padded else 1
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(input_ids=torch.randint(3, 90, (rows, length)), attention_mask=mask)
    return sum(seen.values()) if output is not None else 0


def build(kind: str, layers: int, kernel: str) -> torch.nn.Module:
    from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel, Qwen3Config, Qwen3Model

    size = {"vocab_size": 100, "hidden_size": 128, "intermediate_size": 320, "num_hidden_layers": layers, "num_attention_heads": 4}
    grouped = {**size, "num_key_value_heads": 2, "head_dim": 32, "use_cache": False, "attn_implementation": kernel, "pad_token_id": 0}
    if kind == "bert":
        return BertModel(BertConfig(**size, attn_implementation=kernel)).train()
    return (LlamaModel(LlamaConfig(**grouped)) if kind == "llama" else Qwen3Model(Qwen3Config(**grouped))).train()


@pytest.mark.parametrize(
    ("kind", "padded", "kernel"),
    [("llama", True, "sdpa"), ("llama", False, "sdpa"), ("llama", True, "eager"), ("qwen3", True, "sdpa"), ("bert", True, "sdpa")],
)
def test_what_a_layer_keeps_is_what_torch_keeps(kind: str, padded: bool, kernel: str, tmp_path: Path) -> None:
    shallow, deep = (kept_by(build(kind, layers, kernel), 2, 96, padded) for layers in (2, 4))
    build(kind, 2, kernel).config.to_json_file(tmp_path / "config.json")  # type: ignore[union-attr, operator]
    [stack] = architecture.read(tmp_path).stacks
    foretold = sum(count * size for count, size in activations.kept(stack, 2 * 96, 96, kernel, padded))
    assert foretold == pytest.approx((deep - shallow) / 2, rel=0.03)


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_weights_are_counted_by_headers_and_nearly_by_sizes(name: str, assets: Path, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoModelForCausalLM

    folder = assets / "assets" / name
    model = (AutoModelForCausalLM if name == "llama" else AutoModel).from_pretrained(folder)
    whole = sum(weight.numel() for weight in model.parameters())
    assert architecture.read(folder).parameters == whole
    shutil.copy(folder / "config.json", tmp_path)
    assert architecture.read(tmp_path).parameters == pytest.approx(whole, rel=0.1)


@pytest.mark.parametrize(
    "fields",
    [{}, {"lora_r": 4, "target_modules": "q_proj,down_proj"}, {"lora_r": 8, "use_dora": True}, {"target_modules": ".*layers.0.*_proj"}],
)
def test_an_adapter_has_as_many_weights_as_peft_makes(fields: dict[str, Any], assets: Path) -> None:
    from polar_tools import adapters, modeling

    path = str(assets / "assets" / "llama")
    config = sft.Config(model=path, dataset="d", threads=1, use_peft=True, **fields)
    adapted = adapters.attach(modeling.pretrained(path, "AutoModelForCausalLM", config, {}), config, path, "CAUSAL_LM")
    made = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    assert trained.number(config, architecture.read(Path(path)), True) == made


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adamw_torch": lambda weights: torch.optim.AdamW(weights),
    "sgd": lambda weights: torch.optim.SGD(weights, 0.1),
    "adagrad": lambda weights: torch.optim.Adagrad(weights),
    "rmsprop": lambda weights: torch.optim.RMSprop(weights),
}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_optimizer_remembers_as_much_as_is_said(name: str) -> None:
    weight = torch.nn.Parameter(torch.ones(64, 64))
    optimizer = OPTIMIZERS[name]([weight])
    weight.sum().backward()
    optimizer.step()
    held = sum(value.nbytes for state in optimizer.state.values() for value in state.values() if value is not None and value.ndim)
    assert trained.states(classification.Config(model="m", dataset="d", optim=name), weight.nbytes) == held


def test_momentum_and_few_bits_count() -> None:
    config = sft.Config(model="m", dataset="d", optim="sgd", optim_args="momentum=0.9")
    assert trained.states(config, 400.0) == 400.0
    assert trained.states(sft.Config(model="m", dataset="d", optim="adamw_8bit"), 400.0) == 200.0
    with pytest.raises(amounts.UnknownError, match="galore"):
        trained.states(sft.Config(model="m", dataset="d", optim="galore_adamw"), 400.0)


def test_zero_divides_as_its_paper_says() -> None:
    """Rajbhandari et al. 2020, figure 1: 7.5 billion weights, 64 devices, mixed precision."""
    weights, gradients, optimizer = 2 * 7.5, 2 * 7.5, 12 * 7.5
    figures = [
        how.weights(weights) + how.gradients(gradients) + how.optimizer(optimizer)
        for how in (Sharding(64, 64, stage) for stage in (1, 2, 3))
    ]
    assert figures == pytest.approx([31.4, 16.6, 1.9], abs=0.05)
    offloaded = Sharding(8, 8, 3, offload_optimizer=True, offload_param=True)
    assert offloaded.weights(weights) + offloaded.optimizer(optimizer) == 0.0
    assert offloaded.on_host(weights, gradients, optimizer) == pytest.approx(weights + gradients + optimizer)


# Corrections


def test_like_runs_correct_more_than_others() -> None:
    runs = [past.Run("a", "sft", 1000, 1200), past.Run("b", "sft", 1000, 1200), past.Run("c", "dpo", 8000, 6000)]
    near, far = (past.corrected(figure, kind, runs) for figure, kind in ((1000, "sft"), (8000, "dpo")))
    assert 1150 < near.value < 1200 and near.runs == 3
    assert 6000 < far.value < 7000
    assert past.corrected(1000, "sft", []).value == 1000


def test_the_error_is_that_of_runs_which_had_no_say() -> None:
    alike = [past.Run(str(number), "sft", 1000, 1500) for number in range(5)]
    error = past.error(alike)
    assert error is not None and 0.0 < error < 0.06
    assert past.error(alike[:1]) is None
    odd = past.error([past.Run("a", "sft", 1000, 1000), past.Run("b", "sft", 1000, 3000)], 0.0)
    assert odd == pytest.approx((2 / 3 + 2) / 2)


def test_the_peak_of_a_process_can_be_begun_anew() -> None:
    held = torch.ones(64, 2**20)
    high = consumption.peak_mb()
    del held
    assert consumption.forget_peak()
    assert consumption.peak_mb() <= high - 200


# The command


def test_before_anything_is_made_it_says_what_is_unknown_and_why(fresh: Path) -> None:
    shown = plan().output
    assert "results/say/seed0/train and 3 more: unknown until the dataset is prepared" in shown
    assert "no past run here has corrected them yet" in shown
    told = {one["path"]: one for one in json.loads(plan("--json").output)["artifacts"]}
    assert told["resources/models/small"]["disk_mb"] == pytest.approx(
        sum(file.stat().st_size for file in Path("assets/llama").iterdir()) / 2**20
    )
    assert told["results/say/seed0/train"]["device_mb"] is None
    assert sorted(fresh.iterdir()) == [fresh / name for name in ("assets", "changed.yaml", "config.yaml")], "nothing is written"
    assert "it can't be told whether it fits: memory is unknown until" in said(plan("--device-memory", "80GB"))


def test_parts_are_those_of_the_model(here: Path) -> None:
    shown = plan()
    assert shown.exit_code == 0 and "weights 4.1 GB" in shown.output and "optimizer 8.2 GB" in shown.output
    told = training("say")
    memory, weights = told["device_mb"], 1_100_048_384 - 45 * 2048  # without the norms, which no header here names
    assert memory["weights"] == pytest.approx(weights * 4 / 2**20)
    assert memory["total"] == pytest.approx(sum(size for part, size in memory.items() if part != "total"))
    assert told["host_mb"] == memory["total"] and told["gpu_hours"] == 0.0
    report = json.loads(Path("results/say/tokenize/report.json").read_bytes())
    assert told["tokens"] == pytest.approx(100 * 64 * report["tokens"] / report["kept"])


@pytest.mark.parametrize(
    ("fields", "less"),
    [
        ({"use_peft": True}, ("optimizer", "gradients")),
        ({"activation_checkpointing": True}, ("activations",)),
        ({"per_device_train_batch_size": 8}, ("activations", "logits")),
        ({"max_length": 16, "on_too_long": "cut_right"}, ("activations", "logits")),
        ({"dtype": "bfloat16"}, ("weights", "optimizer", "activations")),
        ({"optim": "adafactor"}, ("optimizer",)),
        ({"tiled_mlp_num_shards": 8}, ("activations",)),
    ],
)
def test_what_saves_memory_is_seen_to_save_it(here: Path, fields: dict[str, Any], less: tuple[str, ...]) -> None:
    fields = {"preflight": False, **fields}
    whole, spared = training("say", preflight=False)["device_mb"], training("say", **fields)["device_mb"]
    assert all(spared[part] < whole[part] for part in less) and spared["total"] < whole["total"]


def test_what_waits_in_the_hosts_memory_is_counted_there(here: Path) -> None:
    fields = {"gpus": 1, "activation_checkpointing": True, "preflight": False}
    here_, there = (training("say", **fields, activation_offloading=moved) for moved in (False, True))
    spared = here_["device_mb"]["activations"] - there["device_mb"]["activations"]
    assert spared > 0 and there["host_mb"] - here_["host_mb"] == pytest.approx(spared, rel=0.01)


def test_a_plan_that_does_not_fit_is_refused_with_what_would(here: Path) -> None:
    message = said(refused := plan("--device-memory", "22GB"))
    assert isinstance(refused.exception, ConfigError) and refused.exception.exit_status == 2
    assert "results/say/seed0/train needs" in message and "results/tell" not in message
    assert all(
        word in message for word in ("activation_checkpointing: true", "use_peft: true", "per_device_train_batch_size", "max_length")
    )
    for line in [line for line in message.splitlines() if "it would fit with" in line]:
        change = line.partition("fit with ")[2].partition("  (")[0]
        fields = yaml.safe_load(f"{{{change}}}")
        assert plan("--device-memory", "22GB", experiments={"say": fields}).exit_code == 0, change


def test_stages_of_zero_are_tried_on_several_gpus(here: Path) -> None:
    gpus = {"gpus": 4, "per_device_train_batch_size": 4}
    words = ("--device-memory", "22GB", "--device-speed", "300TFLOPS")
    assert "deepspeed: zero1" in said(plan(*words, experiments={"say": gpus}))
    assert plan(*words, experiments={"say": {**gpus, "deepspeed": "zero1"}}).exit_code == 0
    whole, divided = training("say", **gpus)["device_mb"], training("say", **gpus, deepspeed="zero3", preflight=False)["device_mb"]
    assert divided["weights"] == pytest.approx(whole["weights"] / 4)


def test_rows_are_divided_among_the_processes_that_share_them(here: Path) -> None:
    gpus = {"gpus": 4, "preflight": False, "max_steps": -1, "packing": True, "packing_strategy": "wrapped", "max_length": 512}
    whole, divided = training("say", **gpus), training("say", **gpus, sequence_parallel_size=4)
    for part, share in (("weights", 1), ("optimizer", 1), ("activations", 4)):
        assert divided["device_mb"][part] == pytest.approx(whole["device_mb"][part] / share), part
    summed = training("say", **gpus, sequence_parallel_size=4, gradient_accumulation_steps=4)
    assert summed["tokens"] == whole["tokens"]
    fitting = {**gpus, "per_device_train_batch_size": 1, "max_length": 16384, "activation_checkpointing": True, "use_peft": True}
    message = said(plan("--device-memory", "10GB", "--device-speed", "300TFLOPS", experiments={"say": fitting}))
    assert "sequence_parallel_size: 2, gradient_accumulation_steps: 2  (" in message


def test_two_changes_are_named_where_one_is_not_enough(here: Path) -> None:
    message = said(plan("--device-memory", "12GB"))
    assert "activation_checkpointing: true, use_peft: true" in message
    hopeless = said(plan("--device-memory", "1GB"))
    assert "nor two of them together" in hopeless


def test_a_budget_is_kept(here: Path) -> None:
    gpu = {"gpus": 2, "max_steps": 10000}
    assert "state a device's speed" in said(plan("--budget", "40GPUh", experiments={"say": gpu}))
    speed = ("--device-speed", "50TFLOPS")
    told = json.loads(plan("--json", *speed, experiments={"say": gpu}).output)
    train = next(one for one in told["artifacts"] if one["path"] == "results/say/seed0/train")
    assert train["gpu_hours"] == pytest.approx(train["seconds"] / 3600 * 2)
    assert plan("--budget", f"{train['gpu_hours'] * 1.5:.2f}GPUh", *speed, experiments={"say": gpu}).exit_code == 0
    limit = f"{train['gpu_hours'] / 2:.3f}GPUh"
    message = said(plan("--budget", limit, *speed, experiments={"say": gpu}))
    assert "experiments.say: max_steps" in message or "experiments.say: use_peft: true" in message
    change = message.partition("experiments.say: ")[2].partition("  (")[0]
    assert plan("--budget", limit, *speed, experiments={"say": {**gpu, **yaml.safe_load(f"{{{change}}}")}}).exit_code == 0


@pytest.mark.parametrize("words", [("--budget", "40"), ("--device-memory", "much"), ("--device-memory", "0GB"), ("--device-speed", "9x")])
def test_amounts_that_are_none_are_refused(here: Path, words: tuple[str, str]) -> None:
    assert f"`{words[1]}` is no" in said(plan(*words))


def test_past_runs_are_measured_and_correct_what_comes(here: Path) -> None:
    before = training("tell", seeds=[0, 1])
    learning.command("train", "results/tell/seed0/train/spec.json", "--preflight", "off")
    measured = json.loads(Path("results/tell/seed0/train/manifest.json").read_bytes())["measured"]
    inside = measured["training"]
    assert inside["steps"] == 4 and inside["rows"] == 16
    assert 0 < inside["seconds_a_step"] <= inside["seconds"] <= measured["seconds"]
    assert 0 < inside["peak_memory_mb"] <= measured["peak_memory_mb"]
    told = json.loads(plan("--json", experiments={"tell": {"seeds": [0, 1]}}).output)
    after = next(one for one in told["artifacts"] if one["path"] == "results/tell/seed1/train")
    total = before["device_mb"]["total"]
    low, high = sorted((total, measured["peak_memory_mb"]))
    assert low < after["device_mb"]["total"] < high, "it goes towards what was measured"
    assert after["device_mb"]["correction"] == pytest.approx(after["device_mb"]["total"] - total)
    assert abs(after["seconds"] - measured["seconds"]) < abs(before["seconds"] - measured["seconds"])
    facts = json.loads(Path("results/tell/seed0/train/record.json").read_bytes())["facts"]
    assert "training" not in facts, "what differs from run to run is no part of the record"
