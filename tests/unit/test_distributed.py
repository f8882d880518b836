"""Trainings in several processes: what makes sense, what DeepSpeed is told, and that two train as one does."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from polar_tools import config as configs
from polar_tools import discovery
from polar_tools.errors import ConfigError, UserError, WorldError
from polar_tools.experiment import distributing
from polar_tools.methods import sft
from polar_tools.plan import Plan
from polar_tools.specs import freeze
from polar_tools.training import launch, nodes
from tests import learning, options, tiny
from tests.contract.test_learning import case
from tests.options import refused, spec

TOOL = str(Path(sys.executable).parent / "polar-tools")
TWO: dict[str, Any] = {"nproc_per_node": 2, "per_device_train_batch_size": 2}
STEPS: dict[str, Any] = {"max_steps": 6, "logging_steps": 1, "learning_rate": 1e-2, "save_strategy": "no"}


@pytest.fixture(scope="module")
def rendered(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distributed")
    options.render(folder, assets)
    return folder


@pytest.fixture
def here(rendered: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.set_num_threads(1)
    monkeypatch.chdir(rendered)
    return rendered


def config(**fields: Any) -> sft.Config:
    return sft.Config(model="m", dataset="d", **fields)


# What makes no sense is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gpus": 2, "nproc_per_node": 2}, "nproc_per_node would be ignored without `gpus: 0`"),
        ({"fsdp": True, "nproc_per_node": 2}, "fsdp: runs on GPUs only .* on a CPU take `deepspeed: zero3`"),
        ({"fsdp": True, "gpus": 1}, "fsdp: there is nothing to divide in one process"),
        ({"fsdp": True, "gpus": 2, "deepspeed": "zero3"}, "choose either fsdp or deepspeed"),
        ({"deepspeed": "zero4"}, "there is no preset `zero4`, did you mean `zero3`"),
        ({"deepspeed": "stage"}, "there are zero1, zero2, .* or a path that ends with .json"),
        ({"sub_group_size": 9}, "sub_group_size would be ignored without `deepspeed: "),
        ({"deepspeed": "own.json", "reduce_bucket_size": 9}, "reduce_bucket_size would be ignored"),
        ({"deepspeed": "zero2", "sub_group_size": 9}, "sub_group_size would be ignored without `deepspeed: zero3`"),
        ({"deepspeed": "zero3", "allgather_bucket_size": 9}, "allgather_bucket_size would be ignored without `deepspeed: zero1 or zero2`"),
        ({"deepspeed": "zero1", "offload_optimizer": True}, "offload_optimizer would be ignored without `deepspeed: zero2` or zero3"),
        ({"deepspeed": "zero2", "offload_param": True}, "offload_param would be ignored without `deepspeed: zero3`"),
        ({"deepspeed": "zero2", "optim": "adafactor"}, "optim: adafactor looks at a weight as a whole"),
        ({"deepspeed": "zero2", "use_peft": True, "peft_type": "adalora"}, "peft_type: adalora looks at gradients as a whole"),
        ({"deepspeed": "zero3", "use_peft": True, "quantization": "int4"}, "quantized weights can't be divided .* zero2"),
        ({"deepspeed": "zero2", "dtype": "bfloat16"}, "would train bfloat16 weights as float32; say `bf16: true`"),
        ({"nproc_per_node": 2, "do_train": False, "do_eval": True, "eval_datasets": {"e": "d"}}, "without `do_train` there is nothing"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(fields: dict[str, Any], message: str) -> None:
    with refused(message):
        config(**fields)


@pytest.mark.parametrize("fields", [{"nproc_per_node": 2}, {"gpus": 2}, {"deepspeed": "zero2"}, {"nodes": 2}], ids=str)
def test_a_method_that_needs_one_process_says_which_do_not(fields: dict[str, Any]) -> None:
    with refused(f"{next(iter(fields))}: `ppo` can't be trained so.*these can: .*grpo.*rloo"):
        discovery.load("methods", "ppo").Config(model="m", dataset="d", rewards=("exact_match",), **fields)


def test_a_reference_that_follows_is_in_no_checkpoint_of_deepspeed() -> None:
    with refused("sync_ref_model: no checkpoint of deepspeed holds"):
        discovery.load("methods", "dpo").Config(model="m", dataset="d", deepspeed="zero2", sync_ref_model=True)


# What DeepSpeed is told


def test_a_preset_is_filled_in_from_the_fields() -> None:
    told = distributing.settings(
        config(
            **{"deepspeed": "zero3", "nodes": 3, "gpus": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 5},
            **{"max_grad_norm": 0.5, "bf16": True, "offload_optimizer": True, "offload_param": True},
            **{"reduce_bucket_size": 11, "stage3_prefetch_bucket_size": 12, "stage3_param_persistence_threshold": 13, "sub_group_size": 14},
        )
    )
    assert (told["train_micro_batch_size_per_gpu"], told["gradient_accumulation_steps"], told["train_batch_size"]) == (4, 5, 120)
    assert (told["gradient_clipping"], told["bf16"], told["fp16"]) == (0.5, {"enabled": True}, {"enabled": False})
    zero = told["zero_optimization"]
    assert zero["stage"] == 3 and zero["offload_optimizer"] == zero["offload_param"] == {"device": "cpu"}
    sizes = ("reduce_bucket_size", "stage3_prefetch_bucket_size", "stage3_param_persistence_threshold", "sub_group_size")
    assert [zero[name] for name in sizes] == [11, 12, 13, 14]
    assert distributing.settings(config(deepspeed="zero1", allgather_bucket_size=15))["zero_optimization"]["allgather_bucket_size"] == 15
    same = config(deepspeed="zero2", offload_optimizer=True)
    assert same.zero == config(deepspeed="zero2-offload").zero


def test_deepspeed_itself_reads_every_preset() -> None:
    zero = pytest.importorskip("deepspeed.runtime.zero.config")
    for name, preset in distributing.PRESETS.items():
        read = zero.DeepSpeedZeroConfig(**preset)
        assert int(read.stage) == preset["stage"], name
        assert (read.offload_optimizer is not None) == name.endswith("-offload")
    assert {*distributing.SIZES} <= {field.alias or key for key, field in zero.DeepSpeedZeroConfig.model_fields.items()}


OWN = {
    "train_micro_batch_size_per_gpu": "auto",
    "zero_optimization": {"stage": 2, "round_robin_gradients": True},
    "optimizer": {"type": "AdamW", "params": {"lr": "auto"}},
    "bf16": {"enabled": "auto"},
}


def test_an_own_configuration_is_filled_in_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.json").write_text(json.dumps(OWN), encoding="utf-8")
    mine = config(deepspeed="own.json", learning_rate=0.25, **TWO)
    distributing.refuse_contradiction(mine)
    told = distributing.settings(mine)
    assert told["train_micro_batch_size_per_gpu"] == 2 and told["train_batch_size"] == 4
    assert told["zero_optimization"] == {"stage": 2, "round_robin_gradients": True}
    assert (told["optimizer"]["type"], told["optimizer"]["params"]["lr"], told["bf16"]["enabled"]) == ("AdamW", 0.25, False)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"train_micro_batch_size_per_gpu": 8}, r"`train_micro_batch_size_per_gpu`: 8, .* `per_device_train_batch_size`: 2"),
        ({"train_batch_size": 64}, r"`train_batch_size`: 64, the experiment says .*: 4"),
        ({"gradient_accumulation_steps": 3}, r"`gradient_accumulation_steps`: 3, .* `gradient_accumulation_steps`: 1"),
        ({"bf16": {"enabled": True}}, r"`bf16.enabled`: true, the experiment says `bf16`: false"),
        ({"gradient_clipping": 0.5}, r"`gradient_clipping`: 0.5, the experiment says `max_grad_norm`: 1.0"),
        ({"optimizer": {"type": "AdamW", "params": {"lr": 0.5}}}, r"`optimizer.params.lr`: 0.5, the experiment says `learning_rate`: 0.01"),
        ({"optimizer": {"type": "Lamb"}}, r"`optimizer.type`: Lamb, the experiment says `optim`: adamw_torch"),
        ({"scheduler": {"type": "WarmupLR"}}, r"has a `scheduler`; leave it out"),
        ([], "is no configuration of DeepSpeed"),
        (None, "there is no own.json"),
    ],
    ids=str,
)
def test_an_own_configuration_that_says_something_else_is_refused(own: Any, message: str, here: Path) -> None:
    Path("own.json").unlink(missing_ok=True)
    if own is not None:
        Path("own.json").write_text(json.dumps(own), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        spec(deepspeed="own.json", **TWO, **STEPS).local_files()


def test_an_own_configuration_is_a_file_that_the_training_is_made_from(here: Path) -> None:
    Path("own.json").write_text(json.dumps(OWN), encoding="utf-8")
    assert spec(deepspeed="own.json", **TWO).local_files() == ["own.json"]


# The machine


def test_devices_and_memory_are_settled_before_anyone_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", launch.ALLOCATOR, launch.FORMER_ALLOCATOR):
        monkeypatch.delenv(name, raising=False)
    launch.set_up(0)
    assert launch.ALLOCATOR not in os.environ and "CUDA_VISIBLE_DEVICES" not in os.environ
    launch.set_up(2)
    assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ[launch.ALLOCATOR]) == ("0,1", "expandable_segments:True")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,3,1")
    monkeypatch.setenv(launch.ALLOCATOR, "backend:native")
    launch.set_up(2)
    assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ[launch.ALLOCATOR]) == ("5,3", "backend:native")


def test_more_gpus_than_there_are() -> None:
    there = torch.cuda.device_count()
    with pytest.raises(WorldError, match=f"asks for gpus: {there + 1}, but this machine shows {there}"):
        launch.check(config(gpus=there + 1))


def test_a_missing_deepspeed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WorldError, match=r"pip install 'polar-tools\[distributed\]'"):
        launch.check(config(deepspeed="zero2"))


def test_which_of_several_machines_this_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_") or name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")]:
        monkeypatch.delenv(name)
    with pytest.raises(UserError, match="nodes: 2, but nothing says which of them this is"):
        nodes.here(2)
    monkeypatch.setenv("NODE_RANK", "1")
    with pytest.raises(UserError, match="MASTER_ADDR is None"):
        nodes.here(2)
    monkeypatch.setenv("MASTER_ADDR", "first")
    assert nodes.here(2) == nodes.Node(1, "first", nodes.PORT) and not nodes.is_first()
    for name in ("NODE_RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name)
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\n[ "$2" = hostnames ] && printf "gpu01\\ngpu02\\n" || echo "NodeName=gpu01 NodeAddr=10.0.0.7 Port=1"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    slurm = {"STEP_NUM_NODES": "2", "STEP_NUM_TASKS": "2", "JOB_ID": "7", "NODEID": "1", "STEP_NODELIST": "gpu[01-02]"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert nodes.here(2) == nodes.Node(1, "10.0.0.7", 20007) and not nodes.is_first()
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    with pytest.raises(UserError, match="start it by srun --nodes=2 --ntasks-per-node=1"):
        nodes.here(2)


def test_jobs_ask_for_what_the_processes_need(here: Path) -> None:
    def plan(**fields: Any) -> Plan:
        data = yaml.safe_load(options.CONFIG)
        data["experiments"] = {"say": {**data["experiments"]["say"], "threads": 3, **fields}}
        return Plan(configs.parse(data, "config.yaml"))

    training = "results/say/seed0/train"
    assert plan(nproc_per_node=4).threads(training) == 12 and plan(nproc_per_node=4).threads("results/say/tokenize") == 2
    one = plan(gpus=4)
    assert (one.threads(training), one.allocation(training)["gpu"], one.allocation(training)["nodes"]) == (12, 4, 1)
    several = {name: value for name, value in plan(gpus=4, nodes=2).allocation(training).items() if value is not None}
    assert several == {"nodes": 2, "tasks": 2, "mpi": "srun", "gres": "gpu:4", "tasks_per_gpu": 0}


# Two processes train as one


def make(folder: Path, **fields: Any) -> Path:
    """A training's folder with its spec; gives the path that `polar-tools train` takes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_bytes(freeze(spec(**{**STEPS, **fields})))
    return folder


def train(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return tiny.run("polar-tools", "train", str(folder), "--preflight", "off", cwd=Path.cwd(), **environment)


def lives(process: int) -> bool:
    """Whether a process is there, and not only its name until somebody asks how it ended."""
    words = Path(f"/proc/{process}/cmdline")
    return words.exists() and bool(words.read_bytes())


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()) if "loss" in line]


def facts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "record.json").read_bytes())["facts"]
    return found


def far(one: Path, other: Path) -> float:
    """How far the weights of two trained models are from each other."""
    left, right = (load_file(folder / "model/model.safetensors") for folder in (one, other))
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.fixture(scope="module")
def alone(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What one process makes of a batch of four."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(rendered)
        torch.set_num_threads(1)
        folder = tmp_path_factory.mktemp("alone") / "training"
        options.trained(folder, **STEPS, per_device_train_batch_size=4)
        yield folder


def test_two_processes_train_as_one(here: Path, alone: Path, tmp_path: Path) -> None:
    done = train(make(tmp_path / "two", **TWO))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step 1/6") == 1, "each process speaks for itself"
    assert losses(tmp_path / "two") == pytest.approx(losses(alone), abs=2e-5)
    assert far(tmp_path / "two", alone) < 1e-4
    assert facts(tmp_path / "two")["world_size"] == 2 and facts(tmp_path / "two")["engine"] == "DistributedDataParallel"
    assert not (tmp_path / "two/.ranks").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zero1", "zero2", "zero3", "zero2-offload", "zero3-offload"])
def test_zero_trains_as_one_process(name: str, here: Path, alone: Path, tmp_path: Path) -> None:
    done = train(make(tmp_path / name, deepspeed=name, **TWO))
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / name) == pytest.approx(losses(alone), abs=2e-5)
    assert far(tmp_path / name, alone) < 1e-4, "what was divided is put together in the wrong way"
    assert facts(tmp_path / name)["zero_stage"] == int(name[4])


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, {"deepspeed": "zero2"}, {"deepspeed": "zero3"}, {"sequence_parallel_size": 2}], ids=str)
def test_a_killed_training_goes_on_bit_by_bit_and_leaves_no_orphans(fields: dict[str, Any], here: Path, tmp_path: Path) -> None:
    long = {**TWO, **fields, "max_steps": 60, "save_strategy": "steps", "save_steps": 20}
    folders = [make(tmp_path / name, **long) for name in ("untouched", "killed")]
    assert train(folders[0]).returncode == 0
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen([TOOL, "train", str(folders[1]), "--preflight", "off"], env=environment, stdout=subprocess.DEVNULL)
    marker = folders[1] / "checkpoints/checkpoint-20/complete"
    until = time.monotonic() + 300
    while not marker.is_file() and time.monotonic() < until:
        time.sleep(0.05)
    ranks = [int(file.read_text()) for file in (folders[1] / ".ranks").glob("*.pid")]
    process.kill()
    process.wait()
    time.sleep(1)
    assert len(ranks) == 2 and not [rank for rank in ranks if lives(rank)], "an orphan goes on training"
    done = train(folders[1])
    assert done.returncode == 0 and "going on from" in done.stdout, done.stderr
    assert far(*folders) == 0.0 and losses(folders[0]) == losses(folders[1])


@pytest.mark.slow
def test_what_ends_a_process_is_said_once_and_kept(here: Path, tmp_path: Path) -> None:
    broken = train(make(tmp_path / "broken", **TWO, optim="sgd", optim_args="momentum=much"))
    assert broken.returncode in (1, 2) and broken.stderr.count("error:") == 1 and "Traceback" not in broken.stderr
    folder = make(tmp_path / "shot", **{**TWO, "max_steps": 5000})
    process = subprocess.Popen([TOOL, "train", str(folder), "--preflight", "off"], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 300
    while not (folder / "metrics.jsonl").is_file() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(2)
    os.kill(int((folder / ".ranks/1.pid").read_text()), signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and "process 1 of 2 was ended by SIGKILL" in said and "Traceback" not in said


@pytest.mark.slow
def test_two_machines_by_hand(here: Path, alone: Path, tmp_path: Path) -> None:
    folder = make(tmp_path / "nodes", nodes=2, per_device_train_batch_size=2)
    by_hand = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29613"}
    other = subprocess.Popen([TOOL, "train", str(folder)], env={**os.environ, **by_hand, "NODE_RANK": "1"})
    first = train(folder, **by_hand, NODE_RANK="0")
    assert (first.returncode, other.wait(120)) == (0, 0), first.stderr
    assert losses(folder) == pytest.approx(losses(alone), abs=2e-5) and facts(folder)["world_size"] == 2
    again = train(folder, **by_hand, NODE_RANK="1")
    assert again.returncode == 0 and "up to date" in again.stdout


@pytest.mark.slow
def test_what_zero3_saves_is_measured(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = case("sft")
    told.make(tmp_path, assets)
    spread = told.CONFIG.replace(
        "    threads: 1\n", "    threads: 1\n    nproc_per_node: 2\n    deepspeed: zero3\n    use_peft: true\n    merge_adapter: true\n", 1
    )
    learning.run_plan(tmp_path, spread, monkeypatch)
    before, after = (learning.report(tmp_path, run)["metrics"]["loss"] for run in ("base", "seed0"))
    assert after < before


DRAWS = ("grpo", "rloo")
"""Methods whose processes each write completions of their own."""
COMPARES = ("kto",)
"""Methods that compare the rows of a process's batch."""
ABLE = [name for name in discovery.names("methods") if "ddp" in discovery.load("methods", name).Config.ENGINES]


@pytest.mark.slow
def test_every_method_trains_in_two_processes_as_in_one(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {name: _prepared(name, tmp_path / name, assets, monkeypatch) for name in ABLE}
    for one, _ in made.values():
        monkeypatch.chdir(one.parents[3])
        learning.command("train", str(one), "--preflight", "off")
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(tiny.REPOSITORY / "tests/several.py"),
    ]
    paths = os.pathsep.join([str(tiny.REPOSITORY), os.environ.get("PYTHONPATH", "")])
    done = tiny.run(*torchrun, *(str(two) for _, two in made.values()), cwd=tmp_path, PYTHONPATH=paths, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-3000:]
    for name, (one, two) in made.items():
        assert json.loads((two / "facts.json").read_bytes())["engine"] == "DistributedDataParallel"
        if name not in DRAWS:
            assert losses(two) == pytest.approx(losses(one), abs=2e-3 if name in COMPARES else 5e-5), name


def _prepared(name: str, folder: Path, assets: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A method's tiny training without dropout, of one process and of two, with all that comes before it made."""
    folder.mkdir()
    told = case(name)
    told.make(folder, assets)
    for file in folder.glob("assets/*/config.json"):
        settings = json.loads(file.read_bytes())
        file.write_text(json.dumps({key: 0.0 if "dropout" in key and value else value for key, value in settings.items()}))
    data = yaml.safe_load(told.CONFIG)
    rows = 8 if name in DRAWS else 4
    groups = {"num_generations": 4} if name in DRAWS else {}
    common = {"max_steps": 4, "logging_steps": 1, "save_strategy": "no", "gradient_accumulation_steps": 1, "evaluations": [], **groups}
    experiment = {**data["experiments"]["learn"], **common}
    data["experiments"] |= {
        "learn": {**experiment, "per_device_train_batch_size": rows},
        "two": {**experiment, "per_device_train_batch_size": rows // 2, "nproc_per_node": 2},
    }
    monkeypatch.chdir(folder)
    plan = Plan(configs.parse(data, "config.yaml"))
    plan.settle()
    for path, one in plan.artifacts.items():
        if one.spec.stage not in ("train", "evaluate", "report", "overlap"):
            learning.command(learning.COMMANDS.get(one.spec.stage, one.spec.stage), f"{path}/spec.json")
    return folder / "results/learn/seed0/train", folder / "results/two/seed0/train"


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("fields", [{}, {"deepspeed": "zero2"}, {"deepspeed": "zero3"}, {"fsdp": True}], ids=str)
def test_two_gpus_train_as_one(fields: dict[str, Any], here: Path, tmp_path: Path) -> None:
    one = make(tmp_path / "one", gpus=1, per_device_train_batch_size=4)
    two = make(tmp_path / "two", gpus=2, per_device_train_batch_size=2, **fields)
    for folder in (one, two):
        done = train(folder)
        assert done.returncode == 0, done.stderr
    assert losses(two) == pytest.approx(losses(one), abs=1e-3) and far(one, two) < 1e-2
    assert facts(two)["world_size"] == 2


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 1, reason="needs a GPU")
def test_deepspeed_on_a_single_gpu(here: Path, tmp_path: Path) -> None:
    one, zero = make(tmp_path / "one", gpus=1), make(tmp_path / "zero", gpus=1, deepspeed="zero2-offload")
    for folder in (one, zero):
        done = train(folder)
        assert done.returncode == 0, done.stderr
    assert losses(zero) == pytest.approx(losses(one), abs=1e-3)
