"""Training loses no work: what it goes on from, how it stops when it is told to, and what it does where disk or memory end."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from polar_tools import aside, signals
from polar_tools.errors import ConfigError, DataError, RowError, UnfinishedError, WorldError
from polar_tools.records import read_json
from polar_tools.stages import train
from polar_tools.training import checkpoints, running
from tests import options
from tests.options import spec, trained

EVERY_STEP = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 9, "max_steps": 4}


@pytest.fixture(scope="module")
def rendered(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    options.render(folder, assets)
    return folder


@pytest.fixture(scope="module")
def untouched(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A training of EVERY_STEP that nobody touched, to be copied, and what is recorded of it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("untouched") / "t"
    with contextlib.chdir(rendered):
        return folder, trained(folder, **EVERY_STEP)


@pytest.fixture(autouse=True)
def here(rendered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(rendered)


def made(folder: Path) -> dict[str, bytes]:
    """What must be the same, to the byte, whatever happened on the way."""
    return {name: (folder / name).read_bytes() for name in ("model/model.safetensors", "metrics.jsonl")}


def forget_the_end(folder: Path, *steps: int) -> None:
    """As if it had been killed before these steps."""
    shutil.rmtree(folder / "model")
    for step in steps:
        shutil.rmtree(folder / f"checkpoints/checkpoint-{step}")


# Being told to stop


def telling(monkeypatch: pytest.MonkeyPatch, number: signal.Signals, before_step: int) -> None:
    """Have the training told, once, while it computes a step."""
    from polar_tools.trainers.answer_loss import AnswerLossTrainer

    whole, told = AnswerLossTrainer.compute_loss, list[int]()

    def compute_loss(self: Any, *args: Any, **named: Any) -> Any:
        if self.state.global_step == before_step - 1 and self.model.training and not told:
            told.append(before_step)
            os.kill(os.getpid(), number)
        return whole(self, *args, **named)

    monkeypatch.setattr(AnswerLossTrainer, "compute_loss", compute_loss)


WORSE = {"greater_is_better": True}
"""The first evaluation is the best then."""
BEST = {"metric_for_best_model": "here_loss"}
INTERRUPTED = {
    "in the middle of what a line of the log tells": (signal.SIGTERM, 3, 3, {"logging_steps": 5, "save_strategy": "no"}),
    "at an epoch's end, which is logged and measured": (
        *(signal.SIGUSR1, 6, 6),
        {"per_device_train_batch_size": 10, "eval_strategy": "epoch", "logging_strategy": "epoch", "logging_steps": 10},
    ),
    "where an evaluation decides what is saved": (
        *(signal.SIGTERM, 4, 5),
        {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "best", "load_best_model_at_end": True, **BEST, **WORSE},
    ),
}


@pytest.mark.parametrize("case", INTERRUPTED)
def test_training_that_is_told_to_stop_saves_and_goes_on_exactly(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number, told_in, saved_after, fields = INTERRUPTED[case]
    fields = {"max_steps": 9, "gradient_accumulation_steps": 1, **fields}
    facts = trained(tmp_path / "untouched", **fields)
    telling(monkeypatch, number, told_in)
    with signals.listening(), pytest.raises(UnfinishedError, match=f"stopped by {number.name}: step {saved_after} of 9 is saved"):
        trained(tmp_path / "t", **fields)
    assert (tmp_path / f"t/checkpoints/checkpoint-{saved_after}/complete").is_file()
    assert not (tmp_path / "t/model").exists()
    assert trained(tmp_path / "t", **fields) == facts
    assert made(tmp_path / "t") == made(tmp_path / "untouched")


@pytest.mark.slow
def test_evaluation_that_takes_longer_than_there_is_time_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {**EVERY_STEP, "max_steps": 3, "eval_strategy": "steps", "eval_steps": 2}
    trained(tmp_path / "untouched", **fields)
    telling(monkeypatch, signal.SIGTERM, 2)
    monkeypatch.setenv(signals.GRACE_VARIABLE, "0")
    with signals.listening(), pytest.raises(UnfinishedError, match="the evaluation took too long, and is repeated"):
        trained(tmp_path / "t", **fields)
    trained(tmp_path / "t", **fields)
    assert made(tmp_path / "t") == made(tmp_path / "untouched")


ALONE = """
import os, signal, sys, time
from polar_tools import signals
signals.ONE_WISH = 0.2
with signals.listening():
    if sys.argv[1] == "working":
        os.kill(os.getpid(), signal.SIGUSR1)
    with signals.saving_first():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        print("finishing", signals.asked(), flush=True)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)
        print("still here", flush=True)
"""


def test_work_without_anything_to_save_ends_at_once_and_a_second_wish_does_so_anyhow() -> None:
    ended = [options.alone(ALONE, "working"), options.alone(ALONE, "training")]
    assert [done.returncode for done in ended] == [75, 75]
    assert "stopped by SIGUSR1; nothing unfinished counts as done: run the same command again" in ended[0].stderr
    assert ended[1].stdout == "finishing SIGTERM\n"
    assert "SIGTERM: finishing this step, then saving" in ended[1].stderr
    assert "SIGTERM again: ending at once" in ended[1].stderr


@pytest.mark.slow
def test_checkpoints_of_the_model_alone_begin_anew_but_not_one_that_a_signal_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {**EVERY_STEP, "max_steps": 5, "save_only_model": True, "save_steps": 2, "save_total_limit": 1}
    facts = trained(tmp_path / "t", **fields)
    whole = made(tmp_path / "t")
    forget_the_end(tmp_path / "t")
    telling(monkeypatch, signal.SIGTERM, 3)
    capsys.readouterr()
    with signals.listening(), pytest.raises(UnfinishedError):
        trained(tmp_path / "t", **fields)
    assert "going on from" not in capsys.readouterr().out
    assert trained(tmp_path / "t", **fields) == facts
    assert "checkpoint-3" in capsys.readouterr().out
    assert made(tmp_path / "t") == whole
    assert [path.name for path in (tmp_path / "t/checkpoints").glob("checkpoint-*")] == ["checkpoint-5"]


@pytest.mark.slow
def test_adalora_goes_on_with_what_it_knows_of_its_ranks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adalora = {"use_peft": True, "peft_type": "adalora", "lora_r": 2, "peft_args": {"tinit": 1, "tfinal": 2, "deltaT": 1}}
    fields = {**EVERY_STEP, **adalora, "max_steps": 7}
    trained(tmp_path / "t", **fields)
    names = ("model/adapter_model.safetensors", "metrics.jsonl", "model/adapter_config.json")
    whole = {name: (tmp_path / "t" / name).read_bytes() for name in names}
    forget_the_end(tmp_path / "t", 7, 6, 5)
    trained(tmp_path / "t", **fields)
    assert "checkpoint-4" in capsys.readouterr().out
    assert {name: (tmp_path / "t" / name).read_bytes() for name in names} == whole


# Which checkpoint is chosen


def flip(file: Path) -> None:
    """Change one bit."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_checkpoint_with_one_flipped_bit_is_passed_over(
    untouched: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, facts = untouched
    shutil.copytree(whole, tmp_path / "t")
    forget_the_end(tmp_path / "t", 4)
    flip(tmp_path / "t/checkpoints/checkpoint-3/optimizer.pt")
    assert trained(tmp_path / "t", **EVERY_STEP) == facts
    said = capsys.readouterr().out
    assert "checkpoint-3 is damaged: the bytes of optimizer.pt aren't those that were written; it isn't used, and lies in " in said
    assert f"going on from {tmp_path}/t/checkpoints/checkpoint-2" in said
    assert made(tmp_path / "t") == made(whole)
    assert (tmp_path / ".t.aside/unusable/checkpoint-3/optimizer.pt").is_file()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "complete").unlink(), "it was never finished"),
        (lambda folder: (folder / "complete").write_text("{"), "it was never finished"),
        (lambda folder: (folder / "below/shard.bin").unlink(), "below/shard.bin is missing"),
        (lambda folder: os.truncate(folder / "weights.bin", 3), "weights.bin has 3 bytes, and 4 were written"),
        (lambda folder: flip(folder / "weights.bin"), "the bytes of weights.bin aren't those that were written"),
        (lambda folder: (folder / "more.txt").touch(), None),
    ],
    ids=["no marker", "half a marker", "missing", "short", "flipped", "more"],
)
def test_checkpoint_is_whole_or_says_why_not(damage: Any, says: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-1"
    (folder / "below").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"1234")
    (folder / "below/shard.bin").write_bytes(b"5")
    checkpoints.mark(folder, checkpoints.Origin("a", "b", {}), exact=True)
    assert checkpoints.fault(folder) is None
    damage(folder)
    assert checkpoints.fault(folder) == says


def test_checkpoint_of_another_spec_is_not_gone_on_from(
    untouched: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(untouched[0], tmp_path / "t")
    forget_the_end(tmp_path / "t", 4)
    wanted = trained(tmp_path / "wanted", **EVERY_STEP, weight_decay=0.5)
    capsys.readouterr()
    assert trained(tmp_path / "t", **EVERY_STEP, weight_decay=0.5) == wanted
    said = capsys.readouterr().out
    assert "checkpoint-3 is of a training with another spec, other data or another model; it isn't used" in said
    assert "going on from" not in said
    assert made(tmp_path / "t") == made(tmp_path / "wanted")


def test_path_that_is_no_whole_checkpoint_is_refused(untouched: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    shutil.copytree(untouched[0], tmp_path / "t")
    flip(given := tmp_path / "t/checkpoints/checkpoint-2/model.safetensors")
    with pytest.raises(DataError, match="resume_from_checkpoint: .*checkpoint-2 is damaged: the bytes of model.safetensors aren't"):
        trained(tmp_path / "u", **EVERY_STEP, resume_from_checkpoint=str(given.parent))
    with pytest.raises(ConfigError, match="is no whole checkpoint, it has no trainer_state.json"):
        trained(tmp_path / "u", **EVERY_STEP, resume_from_checkpoint="assets/llama")


def test_newest_checkpoints_and_the_best_stay(tmp_path: Path) -> None:
    best = {"eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True, **BEST, **WORSE}
    facts = trained(tmp_path / "t", **{**EVERY_STEP, **best, "max_steps": 6, "save_total_limit": 1})
    assert facts["best_step"] < 6
    stay = {f"checkpoint-{facts['best_step']}", "checkpoint-6"}
    assert {path.name for path in (tmp_path / "t/checkpoints").glob("checkpoint-*")} == stay


def test_what_a_trainer_holds_between_steps_is_kept_whatever_its_shape() -> None:
    from collections import defaultdict
    from types import SimpleNamespace

    def trainer() -> Any:
        return SimpleNamespace(_metrics={"train": defaultdict(list)}, _stored_metrics=defaultdict(lambda: defaultdict(list)), _step=0)

    before, after = trainer(), trainer()
    before._metrics["train"]["entropy"].append(1.5)
    before._stored_metrics["train"]["margin"].append(torch.tensor(2.0))
    before._step = 3
    running.restore(after, running.held(before))
    before._metrics["train"]["entropy"].append(9.0)
    after._metrics["train"]["entropy"].append(2.5)
    after._stored_metrics["eval"]["margin"].append(1)
    assert after._metrics["train"] == {"entropy": [1.5, 2.5]}
    assert after._stored_metrics == {"train": {"margin": [torch.tensor(2.0)]}, "eval": {"margin": [1]}}
    assert after._step == 3


# A longer training


def test_longer_training_goes_on_from_the_shorter_one_where_the_config_asks_for_it(tmp_path: Path) -> None:
    fields = {**EVERY_STEP, "lr_scheduler_type": "constant"}
    trained(tmp_path / "straight", **{**fields, "max_steps": 6})
    trained(tmp_path / "t", **{**fields, "max_steps": 3})
    (tmp_path / ".t.aside").mkdir()
    (tmp_path / "t/checkpoints").rename(aside.of(tmp_path / "t") / "checkpoints")  # as where a spec has changed
    longer = trained(tmp_path / "t", **{**fields, "max_steps": 6}, extend_training=True)
    assert made(tmp_path / "t") == made(tmp_path / "straight"), "under a constant rate it is the training that was longer from the start"
    (before,) = longer["went_on_from"]
    marker = aside.of(tmp_path / "t") / "checkpoints/checkpoint-3/complete"
    assert before == {"num_train_epochs": 3.0, "max_steps": 3, "step": 3, "checkpoint": checkpoints.sha256_of(marker)}
    forget_the_end(tmp_path / "t", 6)
    assert trained(tmp_path / "t", **{**fields, "max_steps": 6}, extend_training=True) == longer, "also after an interruption"
    with pytest.raises(ConfigError, match="extend_training: .*checkpoint-3 has all 3 steps; raise max_steps"):
        trained(tmp_path / "u", **{**fields, "max_steps": 3}, extend_training=True) if _move(tmp_path) else None


def _move(folder: Path) -> bool:
    """Give the shorter training's checkpoints to another folder."""
    aside.of(folder / "t").rename(aside.of(folder / "u"))
    return True


@pytest.mark.slow
def test_longer_training_has_the_rate_of_its_own_schedule(tmp_path: Path) -> None:
    trained(tmp_path / "t", **{**EVERY_STEP, "max_steps": 2})
    (tmp_path / ".t.aside").mkdir()
    (tmp_path / "t/checkpoints").rename(aside.of(tmp_path / "t") / "checkpoints")
    trained(tmp_path / "t", **{**EVERY_STEP, "max_steps": 4}, extend_training=True)
    lines = [json.loads(line) for line in (tmp_path / "t/metrics.jsonl").read_text().splitlines()]
    assert [line["learning_rate"] for line in lines] == pytest.approx([0.01, 0.005, 0.005, 0.0025])


# A disk that ends


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


DISK = 8_192_000


def test_full_disk_keeps_the_checkpoint_before_and_says_so(untouched: tuple[Path, dict[str, Any]], disk: Path) -> None:
    whole, facts = untouched
    size = sum(file.stat().st_size for file in (whole / "checkpoints/checkpoint-1").rglob("*"))
    (disk / "other").write_bytes(bytes(DISK - int(1.8 * size)))
    with pytest.raises(WorldError, match=r"checkpoint of step 2 couldn't be written, because there is no space left .*checkpoint-1\. "):
        trained(disk / "t", **EVERY_STEP)
    assert [path.name for path in (disk / "t/checkpoints").glob("checkpoint-*")] == ["checkpoint-1"]
    (disk / "other").unlink()
    assert trained(disk / "t", **EVERY_STEP) == facts
    assert made(disk / "t") == made(whole)


def test_disk_that_turns_read_only_is_named(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polar_tools.training import saving

    rotate, saved = saving._rotate, disk / "t/checkpoints"

    def then_lock(*args: Any) -> None:
        rotate(*args)
        subprocess.run(["mount", "--bind", str(saved), str(saved)], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(saved)], check=True)

    monkeypatch.setattr(saving, "_rotate", then_lock)
    try:
        with pytest.raises(WorldError, match=r"step 2 couldn't be written, because .*t/checkpoints can't be written to .*checkpoint-1\. "):
            trained(disk / "t", **EVERY_STEP)
        assert checkpoints.fault(saved / "checkpoint-1") is None
    finally:
        subprocess.run(["umount", str(saved)], check=True)


# Memory that ends


def little_memory(patch: pytest.MonkeyPatch, most: int, error: type[Exception] = torch.OutOfMemoryError, from_step: int = 0) -> list[Any]:
    """Have no more than `most` rows fit at once, while training and while evaluating; gives what was trained on, by its step."""
    from polar_tools.trainers.answer_loss import AnswerLossTrainer

    whole, seen = AnswerLossTrainer.compute_loss, list[Any]()

    def compute_loss(self: Any, model: Any, inputs: Any, *args: Any, **named: Any) -> Any:
        loss = whole(self, model, inputs, *args, **named)
        if len(inputs["input_ids"]) > most and self.state.global_step >= from_step:
            raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        if self.model.training:
            seen.extend((self.state.global_step, tuple(row[row != 0].tolist())) for row in inputs["input_ids"])
        return loss

    patch.setattr(AnswerLossTrainer, "compute_loss", compute_loss)
    return seen


def figures(folder: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


SLOW = [pytest.param(error, marks=pytest.mark.slow) for error in (RuntimeError, MemoryError)]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, *SLOW])
def test_memory_that_runs_out_changes_neither_the_batch_nor_its_order(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {**EVERY_STEP, "per_device_train_batch_size": 6, "gradient_accumulation_steps": 2, "max_steps": 6}
    fields |= {"eval_strategy": "steps", "eval_steps": 3, "per_device_eval_batch_size": 4}
    with monkeypatch.context() as patch:
        rows = little_memory(patch, most=100)
        trained(tmp_path / "much", **fields)
    same = little_memory(monkeypatch, most=3, error=error, from_step=2)
    (tmp_path / "t").mkdir()
    found = train.run(spec("say", **{**options.QUICK, **fields}), tmp_path / "t", preflight=False)
    told = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 4, "per_device_eval_batch_size": 2}
    assert found.measured["memory_ran_out"] == {"went_on_with": told}
    assert same == rows
    for name in ("loss", "grad_norm", "eval_here_loss"):
        assert figures(tmp_path / "t", name) == pytest.approx(figures(tmp_path / "much", name), rel=1e-4)


def test_odd_batch_is_halved_to_a_divisor_and_kept_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {**EVERY_STEP, "per_device_train_batch_size": 9}
    with monkeypatch.context() as patch:
        rows = little_memory(patch, most=100)
        trained(tmp_path / "much", **fields)
    same = little_memory(monkeypatch, most=4)
    trained(tmp_path / "t", **fields)
    assert same == rows
    told = read_json(tmp_path / "t/checkpoints/fitting.json")
    assert told == {"per_device_train_batch_size": 3}
    whole = made(tmp_path / "t")
    forget_the_end(tmp_path / "t", 4, 3)
    trained(tmp_path / "t", **fields)
    assert made(tmp_path / "t") == whole


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {},
            "memory ran out while training, with a single row at a time: shorten rows .*activation_checkpointing: true, .*use_peft",
        ),
        ({"auto_find_batch_size": False}, "memory ran out with 2 rows at a time; set auto_find_batch_size: true to halve them, or shorten"),
    ],
)
def test_memory_that_no_smaller_batch_fits_ends_with_what_would_help(
    fields: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    little_memory(monkeypatch, most=0)
    with pytest.raises(WorldError, match=message):
        trained(tmp_path / "t", **fields)


def test_rows_that_are_compared_with_each_other_are_not_divided() -> None:
    from polar_tools.methods import dpo, kto, sentence_transformer

    common = {"model": "m", "dataset": "d"}
    assert "pairs the prompts of a batch" in (kto.Config(**common).compares_rows() or "")
    assert kto.Config(**common, loss_type="apo_zero_unpaired").compares_rows() is None
    assert "loss_type aot compares the pairs" in (dpo.Config(**common, loss_type="aot").compares_rows() or "")
    assert dpo.Config(**common).compares_rows() is None
    assert "its loss compares the rows" in (sentence_transformer.Config(**common).compares_rows() or "")
    assert sentence_transformer.Config(**common, loss={"name": "contrastive"}).compares_rows() is None


def test_batches_of_completions_stay_what_they_are() -> None:
    from polar_tools.methods import grpo

    asked = {"rewards": [{"name": "length", "target": 3}], "num_generations": 4, "per_device_train_batch_size": 8}
    config = grpo.Config(model="m", dataset="d", **asked, gradient_accumulation_steps=2, steps_per_generation=4)
    smaller = config.in_micro_batches(2)
    assert (smaller.per_device_train_batch_size, smaller.gradient_accumulation_steps, smaller.steps_per_generation) == (2, 8, 16)


def test_evaluation_with_fewer_rows_predicts_the_same(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import LlamaForCausalLM

    from polar_tools import inference, memory, modeling
    from polar_tools.methods import sft

    config = sft.Config(model="assets/llama", dataset="d", threads=1)
    model = modeling.load_model(config.model, sft, config, {}).eval()
    examples = [{"input_ids": list(range(3, 5 + length)), "labels": list(range(3, 5 + length))} for length in range(9)]
    wanted = inference.reference_losses(model, examples)
    forward = LlamaForCausalLM.forward

    def little(self: Any, *args: Any, input_ids: Any, **named: Any) -> Any:
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, *args, input_ids=input_ids, **named)

    monkeypatch.setattr(LlamaForCausalLM, "forward", little)
    with memory.noting() as fitting:
        found = inference.reference_losses(model, examples)
    assert [one.tokens for one in found] == [one.tokens for one in wanted]
    assert [one.loss for one in found] == pytest.approx([one.loss for one in wanted], rel=1e-5)
    assert fitting == {"measuring losses": 2}
    assert "memory ran out while measuring losses; going on with 2 rows at a time" in capsys.readouterr().out
    monkeypatch.setattr(LlamaForCausalLM, "forward", lambda *args, **named: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(WorldError, match="memory ran out while measuring losses, with a single row: set a shorter max_length"):
        inference.reference_losses(model, examples)


def test_pictures_are_shown_fewer_at_a_time_and_a_wrong_row_keeps_its_place() -> None:
    from polar_tools import pictures

    def work(some: Sequence[int]) -> list[int]:
        if len(some) > 5:
            raise MemoryError
        if 33 in some:
            raise RowError(some.index(33), "is wrong")
        return [10 * row for row in some]

    assert [made for found in pictures.each(range(30), work) for made in found] == [10 * row for row in range(30)]
    with pytest.raises(RowError) as caught:
        list(pictures.each(range(40), work))
    assert caught.value.place == 33


# Who watches


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_shows_steps_time_loss_and_speed_at_a_terminal_and_plain_lines_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    trained(tmp_path / "t", **EVERY_STEP)
    shown = terminal.getvalue()
    assert re.search(r"100%.*4/4 \[\d\d:\d\d<\d\d:\d\d, .*step.*, loss \d\.\d{4}, [\d,]+ tokens/s\]", shown)
    assert "step 4/4  loss" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    trained(tmp_path / "u", **EVERY_STEP)
    assert "tokens/s" not in log.getvalue()
    assert "step 4/4  loss" in capsys.readouterr().out
