"""The ways of bench/training.py: each tool's command for the one job, by its defaults and as fast as its own options make it on a CPU.

"Default" leaves everything to the tool but the job itself, `use_cpu` (without it the peers stop on a machine without a GPU), a line of
the log a step, and no network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bench.training_job import Job

HF = r"^\s*\{'loss': "
"""What transformers' own trainer, and what is built on it, prints for each step that is logged."""
BARE = Path(__file__).parent / "bare_loops.py"


@dataclass(frozen=True)
class Way:
    """One tool with one set of options."""

    name: str
    environment: str | None
    """The folder of the tool's own environment; None for POLAR's."""
    command: Callable[[Job, Path], list[str]]
    """What is typed, by the job and the folder to write to. The first word is a program of the environment."""
    step: str = HF
    variables: Mapping[str, str] = field(default_factory=dict)


def _polar(*further: str) -> Callable[[Job, Path], list[str]]:
    def command(job: Job, out: Path) -> list[str]:
        told = ["polar-tools", "train", "--method", "sft", "--model-name-or-path", str(job.model), "--train-data", str(job.train)]
        told += ["--output-dir", str(out), "--max-steps", str(job.steps), "--per-device-train-batch-size", str(job.batch)]
        told += ["--learning-rate", str(job.learning_rate), "--lr-scheduler-type", "linear", "--use-peft", "--lora-r", str(job.rank)]
        told += ["--lora-alpha", str(job.alpha), "--target-modules", "all-linear", "--logging-steps", "1"]
        return [*told, *([] if job.threads is None else ["--threads", str(job.threads)]), *further]

    return command


def _trainer(job: Job, out: Path) -> dict[str, object]:
    """What trl, LLaMA-Factory and ms-swift call the same, for they all have transformers' arguments."""
    return {
        **{"output_dir": str(out), "max_steps": job.steps, "per_device_train_batch_size": job.batch, "gradient_accumulation_steps": 1},
        **{"learning_rate": job.learning_rate, "lr_scheduler_type": "linear", "logging_steps": 1, "use_cpu": True},
    }


def _options(told: Mapping[str, object]) -> list[str]:
    """As options of a command line."""
    return [word for name, value in told.items() for word in (f"--{name}", str(value).lower() if isinstance(value, bool) else str(value))]


def _trl(**further: object) -> Callable[[Job, Path], list[str]]:
    def command(job: Job, out: Path) -> list[str]:
        told = {"model_name_or_path": job.model, "dataset_name": job.train.parent / "trl", **_trainer(job, out)}
        lora = {"use_peft": True, "lora_r": job.rank, "lora_alpha": job.alpha, "lora_dropout": 0.0, "lora_target_modules": "all-linear"}
        return ["trl", "sft", *_options({**told, **lora, **further})]

    return command


def _llamafactory(**further: object) -> Callable[[Job, Path], list[str]]:
    def command(job: Job, out: Path) -> list[str]:
        told = {"stage": "sft", "do_train": True, "model_name_or_path": str(job.model), "template": "smollm2", **_trainer(job, out)}
        told |= {"finetuning_type": "lora", "lora_rank": job.rank, "lora_alpha": job.alpha, "lora_dropout": 0.0, "lora_target": "all"}
        told |= {"dataset": "job", "dataset_dir": str(out.parent / "llamafactory-data"), **further}
        data = out.parent / "llamafactory-data"
        data.mkdir(exist_ok=True)
        (data / "train.jsonl").write_bytes(job.train.read_bytes())
        (data / "dataset_info.json").write_bytes((job.train.parent / "llamafactory.json").read_bytes())
        file = out.parent / f"{out.name}.yaml"
        file.write_text(yaml.safe_dump(told))
        return ["llamafactory-cli", "train", str(file)]

    return command


def _swift(**further: object) -> Callable[[Job, Path], list[str]]:
    def command(job: Job, out: Path) -> list[str]:
        told = {"model": job.model, "model_type": "llama", "template": "chatml", "dataset": job.train, "check_model": False}
        told |= {"tuner_type": "lora", "lora_rank": job.rank, "lora_alpha": job.alpha, "lora_dropout": 0.0, "target_modules": "all-linear"}
        return ["swift", "sft", *_options({**told, **_trainer(job, out), **further})]

    return command


def _bare(*further: str) -> Callable[[Job, Path], list[str]]:
    def command(job: Job, out: Path) -> list[str]:
        told = [str(job.model), str(job.train), str(out), "--steps", str(job.steps), "--batch", str(job.batch), "--rank", str(job.rank)]
        told += ["--alpha", str(job.alpha), "--learning-rate", str(job.learning_rate)]
        return [Path(sys.executable).name, str(BARE), *told, *further]

    return command


OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
ALONE = {**OFFLINE, "USE_MODELSCOPE_HUB": "0", "DISABLE_VERSION_CHECK": "1"}

WAYS = [
    Way("polar, default", None, _polar(), r"^step \d+/\d+  loss "),
    Way(
        "polar, tuned",
        None,
        _polar("--train-sampling-strategy", "group_by_length", "--preflight", "false"),
        r"^step \d+/\d+  loss ",
    ),
    Way("trl sft, default", "trl", _trl(), variables=OFFLINE),
    Way(
        "trl sft, tuned",
        "trl",
        _trl(bf16=False, activation_checkpointing=False, train_sampling_strategy="group_by_length", save_strategy="no"),
        variables=OFFLINE,
    ),
    Way("LLaMA-Factory, default", "llamafactory", _llamafactory(), variables=ALONE),
    Way(
        "LLaMA-Factory, tuned",
        "llamafactory",
        _llamafactory(disable_gradient_checkpointing=True, train_sampling_strategy="group_by_length", save_strategy="no"),
        variables=ALONE,
    ),
    Way("ms-swift, default", "ms-swift", _swift(), variables=ALONE),
    Way(
        "ms-swift, tuned",
        "ms-swift",
        _swift(gradient_checkpointing=False, group_by_length=True, report_to="none", dataloader_num_workers=0),
        variables=ALONE,
    ),
    Way("bare loop, simplest", None, _bare(), r"^step \d+/\d+  loss "),
    Way("bare loop, best", None, _bare("--best"), r"^step \d+/\d+  loss "),
]
