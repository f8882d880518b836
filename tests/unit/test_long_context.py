"""Rows so long that what is usually kept of them would not fit: the loss without logits, feed-forward layers in slices, the preset."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from polar_tools import head_loss
from polar_tools.artifact import read_json
from polar_tools.training import tiling
from tests import tiny
from tests.training import Trial, sayings

SIZE = {"vocab_size": 400, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 16}
KINDS = {
    "llama": {},
    "qwen3": {"tie_word_embeddings": True},
    "gemma2": {"query_pre_attn_scalar": 16, "final_logit_softcapping": 5.0},
    "cohere": {"logit_scale": 0.3},
    "granite": {"logits_scaling": 4.0},
}
WIDE = {**SIZE, "vocab_size": 262_144, "hidden_size": 64, "num_hidden_layers": 1, "head_dim": 32, "max_position_embeddings": 65_536}
LONG = 32_768


def model_of(kind: str, **more: Any) -> Any:
    torch.manual_seed(0)
    told = {**SIZE, "num_key_value_heads": 2, "pad_token_id": 0, **more}
    return transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(kind, **told)).train(False)


def gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return found


def both_ways(model: Any, ids: torch.Tensor, kept: torch.Tensor) -> tuple[float, float]:
    """How far the loss in the head and its gradients are from those of all logits, as shares."""
    targets, columns = ids[:, 1:], torch.arange(ids.shape[1] - 1)
    given = {"input_ids": ids, "use_cache": False, "logits_to_keep": columns}
    logits = model(**given).logits[kept].float()
    plain = torch.nn.functional.cross_entropy(logits, targets[kept], reduction="sum")
    plain.backward()
    wanted = gradients(model)
    outputs, found = head_loss.run(model, model.config, model.get_output_embeddings(), given, targets, kept)
    assert outputs.logits.numel() <= model.config.vocab_size
    found.loss.backward()
    assert torch.equal(found.best, logits.argmax(-1)) and found.losses.sum() == pytest.approx(float(plain.detach()), rel=1e-5)
    share = logits.detach().log_softmax(-1)
    assert found.entropy == pytest.approx(float(-(share.exp() * share).sum()), rel=1e-4)
    far = {name: float((gradient - wanted[name]).abs().max() / wanted[name].abs().max()) for name, gradient in gradients(model).items()}
    assert set(far) == set(wanted)
    return abs(float(plain.detach() - found.loss.detach())) / float(plain.detach()), max(far.values())


@pytest.mark.parametrize("kind", KINDS)
def test_loss_in_the_head_is_that_of_all_logits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLICE", "SLICE_OF_TRAINED_HEAD"):
        monkeypatch.setattr(head_loss, name, 3 * SIZE["vocab_size"])  # three places at a time
    model = model_of(kind, **KINDS[kind])
    ids = torch.randint(3, 400, (2, 9))
    assert max(both_ways(model, ids, torch.rand(2, 8) > 0.3)) < 1e-5


def test_a_model_that_does_more_to_its_logits_keeps_them(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"prompt": row["question"], "completion": row["answer"]} for row in sayings(assets)[:8]]
    forward = transformers.LlamaForCausalLM.forward

    def sharper(self: Any, *inputs: Any, **named: Any) -> Any:
        outputs = forward(self, *inputs, **named)
        outputs.logits = outputs.logits * 3
        return outputs

    def first_step(folder: str) -> dict[str, float]:
        return Trial("sft", assets / "assets/llama", rows, tmp_path / folder, max_steps=1, per_device_train_batch_size=8).first_step()

    plain = first_step("plain")
    monkeypatch.setattr(transformers.LlamaForCausalLM, "forward", sharper)
    seen = first_step("sharper")
    assert seen["loss"] != pytest.approx(plain["loss"], rel=1e-3)
    monkeypatch.setattr(head_loss.Transform, "of", lambda config: head_loss.Transform(factor=3.0))
    assert first_step("known") == pytest.approx(seen, rel=1e-4)


def test_feed_forward_layers_take_slices(assets: Path, tmp_path: Path) -> None:
    rows = [{"prompt": row["question"], "completion": row["answer"]} for row in sayings(assets)[:8]]
    fields = {"max_steps": 1, "per_device_train_batch_size": 8, "use_peft": True, "lora_r": 2, "padding_free": False}
    plain = Trial("sft", assets / "assets/llama", rows, tmp_path / "plain", **fields).first_step()
    widths: list[int] = []
    trial = Trial("sft", assets / "assets/llama", rows, tmp_path / "tiled", **fields)
    tiling.tile(trial.model, 4)
    gate = next(module for name, module in trial.model.named_modules() if name.endswith("mlp.gate_proj"))
    gate.register_forward_hook(lambda module, given, output: widths.append(output.shape[-2]))
    assert trial.first_step() == pytest.approx(plain, rel=1e-5)
    assert len(widths) == 8 and max(widths) <= max(len(example["input_ids"]) for example in trial.rendered()) / 4 + 1


CONFIG = """
models: {{m: {{source: file://assets/llama}}}}
datasets: {{d: {{source: file://assets/rows.csv, columns: {{prompt: question, completion: answer}}, split: {{test_size: 5}}}}}}
experiments: {{e: {{method: sft, model: m, dataset: d, {fields}}}}}
"""


def specs(project: Path, fields: str) -> dict[str, Any]:
    (project / "config/config.yaml").write_text(CONFIG.format(fields=fields))
    done = tiny.run("snakemake", "-n", cwd=project)
    assert done.returncode == 0, done.stderr
    return (read_json(project / "results/e/seed0/train/spec.json") or {})["experiment"]


def test_a_preset_is_what_the_experiment_does_not_say(fresh: Path) -> None:
    found = specs(fresh, "preset: long-context, max_length: 64000")
    assert (found["max_length"], found["tiled_mlp_num_shards"], found["activation_offloading"], found["use_peft"]) == (
        64000,
        16,
        True,
        True,
    )
    assert "preset" not in found


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("preset: long-contxt", "preset: there is no `long-contxt`, did you mean `long-context`?"),
        ("activation_offloading: true", "activation_offloading would be ignored without a GPU"),
        ("tiled_mlp_num_shards: 1", "tiled_mlp_num_shards: must be at least 2"),
    ],
)
def test_what_makes_no_sense(fields: str, says: str, fresh: Path) -> None:
    (fresh / "config/config.yaml").write_text(CONFIG.format(fields=fields))
    done = tiny.inside("check", cwd=fresh)
    assert done.returncode == 2 and says in done.stderr, done.stderr


@pytest.mark.slow
def test_a_wide_vocabulary_takes_no_room(assets: Path, tmp_path: Path) -> None:
    """Logits of 32,768 tokens would take 34 GB."""
    model = model_of("llama", **WIDE)
    transformers.AutoTokenizer.from_pretrained(assets / "assets/llama").save_pretrained(tmp_path / "model")
    model.save_pretrained(tmp_path / "model")
    text = " ".join(f"{row['question']} {row['answer']}" for row in sayings(assets))
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": " ".join([text] * 60)}) + "\n")
    words = ["--method", "causal_lm", "--model-name-or-path", "model", "--train-data", "rows.jsonl", "--output-dir", "out"]
    words += ["--block-size", str(LONG), "--max-steps", "1", "--per-device-train-batch-size", "1", "--preflight", "off"]
    done = tiny.run("polar-tools", "train", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = read_json(tmp_path / "out/results/training/seed0/train/manifest.json") or {}
    assert manifest["measured"]["peak_memory_mb"] < 6 * 1024
    ids = torch.randint(3, WIDE["vocab_size"], (1, 2048))  # afterwards: a child's peak begins at its parent's
    assert max(both_ways(model, ids, torch.ones(1, 2047, dtype=torch.bool))) < 1e-4
