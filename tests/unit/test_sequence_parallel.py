"""Rows whose tokens several processes share: what can't be is refused, and what can trains as one process does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from polar_tools import discovery
from polar_tools.errors import ConfigError
from polar_tools.experiment import distributing
from polar_tools.methods import sft
from polar_tools.specs import freeze
from polar_tools.stages import train as stage
from polar_tools.trainers import ulysses
from polar_tools.trainers.sequence_parallel import Dividing
from tests import options, tiny
from tests.dividing import MORE, SIZE
from tests.options import refused, spec

CONFIG = options.CONFIG.replace(
    "experiments:\n", "  texts: {source: sayings, columns: {text: answer}, split: {test_size: 12, seed: 0}}\nexperiments:\n"
)
CONFIG += "  tell: {method: causal_lm, model: llama, dataset: texts, threads: 1}\n"
SHARED: dict[str, Any] = {"nproc_per_node": 2, "sequence_parallel_size": 2}
COMMON: dict[str, Any] = {"logging_steps": 1, "learning_rate": 1e-2, "save_strategy": "no", "lr_scheduler_type": "constant"}
EVALUATED = {"eval_strategy": "epoch", "per_device_eval_batch_size": 5, "do_eval": True}
SAVED = {"max_steps": 4, "per_device_train_batch_size": 4, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 2}
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "all weights": ("say", {"num_train_epochs": 1, "per_device_train_batch_size": 7, "gradient_accumulation_steps": 2, **EVALUATED}),
    "adapter": (
        "say",
        {
            **{"max_steps": 3, "per_device_train_batch_size": 3, "use_peft": True, "lora_r": 2, "loss_type": "dft"},
            **{"activation_checkpointing": True, "tiled_mlp_num_shards": 2},
        },
    ),
    "packed": ("say", {"max_steps": 2, "per_device_train_batch_size": 2, "packing": True, "packing_strategy": "wrapped", "max_length": 37}),
    "blocks": ("tell", {"max_steps": 3, "per_device_train_batch_size": 2, "block_size": 37}),
    "saved": ("say", SAVED),
}
"""Rows and blocks of odd lengths; `all weights` ends with a smaller batch, in a step of only one."""


@pytest.fixture(scope="module")
def here(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("shared")
    options.render(folder, assets, CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        torch.set_num_threads(1)
        yield folder


def config(**fields: Any) -> sft.Config:
    return sft.Config(model="m", dataset="d", **fields)


def make(name: str, experiment: str = "say", **fields: Any) -> Path:
    """A training's folder with its spec."""
    folder = Path("results", name, "seed0", "train").absolute()
    folder.mkdir(parents=True)
    (folder / "spec.json").write_bytes(freeze(spec(experiment, **{**COMMON, **fields})))
    return folder


def torchrun(program: str, *words: str, processes: int = 2) -> str:
    """What a program of `tests` prints in so many processes."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    paths = os.pathsep.join([str(tiny.REPOSITORY), os.environ.get("PYTHONPATH", "")])
    done = tiny.run(*start, str(tiny.REPOSITORY / "tests" / program), *words, cwd=Path.cwd(), PYTHONPATH=paths, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def train(folder: Path) -> subprocess.CompletedProcess[str]:
    return tiny.run("polar-tools", "train", str(folder), "--preflight", "off", cwd=Path.cwd())


def logged(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def far(one: Path, other: Path) -> float:
    """How far the weights of two trained models, or adapters, are from each other."""
    left, right = (load_file(next((folder / "model").glob("*.safetensors"))) for folder in (one, other))
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


# What makes no sense is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sequence_parallel_size": 2}, "2 processes are to share rows, but there is 1; set `gpus` .* to 2 or a multiple"),
        ({"sequence_parallel_size": 2, "gpus": 3}, "2 processes are to share rows, but there are 3"),
        ({**SHARED, "attn_implementation": "eager"}, "eager attention can't be divided .* sdpa can, or flash_attention_2"),
        ({**SHARED, "padding_free": True}, "padding_free: rows behind each other can't be divided"),
        ({**SHARED, "packing": True, "max_length": 8}, "packing: rows that don't see each other .* `packing_strategy: wrapped`"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(fields: dict[str, Any], message: str) -> None:
    with refused(message):
        config(**fields)


@pytest.mark.parametrize("method", ["dpo", "multimodal", "classification", "grpo"])
def test_a_method_that_needs_whole_rows_says_which_do_not(method: str) -> None:
    more = {"rewards": ("exact_match",)} if method == "grpo" else {}
    with refused(f"sequence_parallel_size: `{method}` can't be trained on parts of rows; these can: causal_lm, sft"):
        discovery.load("methods", method).Config(model="m", dataset="d", **SHARED, **more)


def test_heads_that_the_processes_cannot_share_are_refused_before_they_are_started(here: Path) -> None:
    done = train(make("heads", nproc_per_node=3, sequence_parallel_size=3))
    assert done.returncode == 2 and "3 processes would share the 2 attention heads of this model" in done.stderr
    assert "it could be 2" in done.stderr and "Traceback" not in done.stderr and not Path("results/heads/seed0/train/model").exists()


def test_an_own_configuration_of_deepspeed_says_the_batch_that_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = {**SHARED, "nproc_per_node": 4, "deepspeed": "own.json", "per_device_train_batch_size": 3, "gradient_accumulation_steps": 5}
    Path("own.json").write_text('{"train_batch_size": 30}')
    distributing.refuse_contradiction(config(**own))
    assert distributing.settings(config(**own))["train_batch_size"] == 60, "DeepSpeed counts each process"
    Path("own.json").write_text('{"train_batch_size": 60}')
    with pytest.raises(ConfigError, match="`train_batch_size`: 60, the experiment says .*: 30"):
        distributing.refuse_contradiction(config(**own))


# Parts of a row


def test_each_token_and_each_target_is_in_one_part() -> None:
    def whole(examples: list[dict[str, Any]]) -> dict[str, Any]:
        ids, labels, mask = [[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]], [[-100, 2, 3, 4, 5], [-100, 7, 8, -100, -100]], [[1] * 5, [1, 1, 1, 0, 0]]
        return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "attention_mask": torch.tensor(mask)}

    first, second = ({name: value.tolist() for name, value in Dividing(whole, 2, place)([]).items()} for place in (0, 1))
    assert first == {
        "input_ids": [[1, 2, 3], [6, 7, 8]],
        "attention_mask": [[1, 1, 1], [1, 1, 1]],
        "position_ids": [[0, 1, 2], [0, 1, 2]],
        "labels": [[-100, 2, 3, 4], [-100, 7, 8, -100]],
    }
    assert second == {
        "input_ids": [[4, 5, 0], [0, 0, 0]],
        "attention_mask": [[1, 1, 0], [0, 0, 0]],
        "position_ids": [[3, 4, 5], [3, 4, 5]],
        "labels": [[4, 5, -100, -100], [-100, -100, -100, -100]],
    }


@pytest.mark.parametrize(("heads", "groups", "size", "kept"), [(4, 4, 2, 4), (8, 2, 4, 4), (8, 1, 8, 8), (12, 3, 4, 12), (6, 2, 3, 6)])
def test_keys_are_repeated_until_each_process_has_those_of_its_queries(heads: int, groups: int, size: int, kept: int) -> None:
    found = ulysses._shared(torch.arange(groups)[None, :, None, None], heads, size).flatten().tolist()
    assert len(found) == kept
    of_query = [query * groups // heads for query in range(heads)]
    assert of_query == [found[query * kept // heads] for query in range(heads)]
    assert all(
        {*of_query[place * heads // size :][: heads // size]} == {*found[place * kept // size :][: kept // size]} for place in range(size)
    )


# Processes train on parts as one trains on the whole


@pytest.mark.slow
def test_two_processes_train_on_parts_of_rows_as_one_on_whole_ones(here: Path) -> None:
    two = {name: make(f"{name} of two", experiment, **fields, **SHARED) for name, (experiment, fields) in JOBS.items()}
    checkpoint = f"{two['saved']}/checkpoints/checkpoint-2"
    resumed = make("resumed of two", **SAVED, **SHARED, resume_from_checkpoint=checkpoint)
    torchrun("several.py", *map(str, two.values()), str(resumed))
    assert far(two["saved"], resumed) == 0.0 and logged(two["saved"]) == logged(resumed), "another training goes on from the checkpoint"
    for name, (experiment, fields) in JOBS.items():
        one = make(f"{name} of one", experiment, **fields)
        alone = stage.run(spec(experiment, **{**COMMON, **fields}), one, preflight=False).recorded
        shared = json.loads((two[name] / "facts.json").read_bytes())
        lines = zip(logged(one), logged(two[name]), strict=True)
        assert all(left == pytest.approx(right, abs=1e-4) for left, right in lines), name
        assert far(one, two[name]) < 1e-5, name
        assert (shared["world_size"], shared["sequence_parallel_size"], shared["steps"]) == (2, 2, alone["steps"])
        assert alone.get("eval_metrics") == pytest.approx(shared.get("eval_metrics"))


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_each_architecture_makes_of_parts_what_it_makes_of_the_whole(processes: int, here: Path) -> None:
    for line in torchrun("dividing.py", *MORE, processes=processes).splitlines():
        found = json.loads(line)
        if found["kind"] == "lfm2":
            assert not found["same"] and found["outputs"] > 0.1, "nobody sees that a convolution misses tokens"
        else:
            assert found["same"] and max(found["outputs"], found["gradients"]) < 1e-6, found


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, {"deepspeed": "zero2"}, {"deepspeed": "zero3", "use_peft": True}], ids=str)
def test_groups_of_processes_take_rows_of_their_own(fields: dict[str, Any], here: Path) -> None:
    """Four processes, two to a row, and each step of the rows of two batches."""
    name = "-".join(map(str, fields.values())) or "plain"
    steps = {"max_steps": 4, "gradient_accumulation_steps": 2, "eval_strategy": "steps", "eval_steps": 2, "per_device_eval_batch_size": 4}
    four = make(f"{name} four", **steps, **fields, per_device_train_batch_size=3, nproc_per_node=4, sequence_parallel_size=2)
    alone = {**steps, **{field: value for field, value in fields.items() if field != "deepspeed"}}
    one = make(f"{name} one", **alone, per_device_train_batch_size=6)
    done = train(four)
    assert done.returncode == 0, done.stderr
    stage.run(spec(**{**COMMON, **alone, "per_device_train_batch_size": 6}), one, preflight=False)
    assert [line["loss"] for line in logged(four) if "loss" in line] == pytest.approx(
        [line["loss"] for line in logged(one) if "loss" in line], abs=2e-5
    )
    assert far(one, four) < 1e-4


@pytest.mark.slow
def test_a_model_whose_tokens_meet_outside_of_attention_is_refused(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(assets / "assets", tmp_path / "assets")
    told = {**SIZE, "vocab_size": 400, **MORE["lfm2"], "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model("lfm2", **told))
    model.save_pretrained(tmp_path / "assets/llama")
    options.render(tmp_path / "project", tmp_path, CONFIG)
    monkeypatch.chdir(tmp_path / "project")
    done = train(folder := make("conv", max_steps=1, **SHARED))
    assert done.returncode == 2 and "tokens of this model see each other in layers that can't be divided (conv)" in done.stderr
    assert "Traceback" not in done.stderr and not (folder / "metrics.jsonl").exists()


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("fields", [{}, {"deepspeed": "zero3"}, {"use_peft": True, "activation_checkpointing": True}], ids=str)
@pytest.mark.parametrize("kernel", [{}, {"dtype": "bfloat16", "bf16": True, "attn_implementation": "flash_attention_2"}], ids=str)
def test_two_gpus_train_on_parts_of_rows_as_one_on_whole_ones(fields: dict[str, Any], kernel: dict[str, Any], here: Path) -> None:
    name, steps = (
        f"{len(fields)} {len(kernel)} {fields.get('deepspeed')}",
        {"max_steps": 4, "per_device_train_batch_size": 4, **kernel, **fields},
    )
    alone = {field: value for field, value in steps.items() if field != "deepspeed"}
    one, two = make(f"{name} one", **alone, gpus=1), make(f"{name} two", **steps, gpus=2, sequence_parallel_size=2)
    for folder in (one, two):
        done = train(folder)
        assert done.returncode == 0, done.stderr
    losses = [[line["loss"] for line in logged(folder) if "loss" in line] for folder in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=5e-2 if kernel else 1e-3)
