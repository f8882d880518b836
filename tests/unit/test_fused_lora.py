"""A layer and its adapter as one step of the backward pass: the same as peft's own, wherever it takes its place."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear
from transformers import AutoModelForCausalLM, Qwen2Config

from polar_tools.specs import TrainSpec
from polar_tools.training import building, fused_lora
from tests.training import Trial, sayings

SIZE = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
IDS = torch.arange(5, 29).view(2, 12)


def adapted(dtype: torch.dtype = torch.float32, **told: Any) -> Any:
    """A model whose attention has biases, and an adapter that does something."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(Qwen2Config(**SIZE, num_key_value_heads=1), dtype=dtype)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", task_type="CAUSAL_LM", **told))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return model.train()


def gradients(model: Any, seed: int = 0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss, and gradients by weight."""
    torch.manual_seed(seed)
    model.zero_grad()
    loss = model(input_ids=IDS, labels=IDS).loss
    loss.backward()
    return loss.detach(), {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def apart(model: Any, other: Any, rounding: float = 1e-5) -> float:
    """The largest difference of two models' gradients, as a share of the largest."""
    (loss, found), (wanted_loss, wanted) = gradients(model), gradients(other)
    assert set(found) == set(wanted) and loss == pytest.approx(float(wanted_loss), rel=rounding)
    return max(float((found[name] - one).abs().max()) for name, one in wanted.items()) / max(
        float(one.abs().max()) for one in wanted.values()
    )


def fused(model: Any) -> Any:
    fused_lora.fuse(model)
    assert any(isinstance(module, fused_lora.FusedLinear) for module in model.modules())
    return model


@pytest.fixture()
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ranks of the layers that were run fused."""
    seen: list[int] = []
    forward = fused_lora._Adapted.forward

    def watched(ctx: Any, x: Any, weight: Any, bias: Any, down: Any, up: Any, scale: float) -> Any:
        seen.append(len(down))
        return forward(ctx, x, weight, bias, down, up, scale)

    monkeypatch.setattr(fused_lora._Adapted, "forward", staticmethod(watched))
    return seen


def test_a_training_has_fused_layers(assets: Path, tmp_path: Path) -> None:
    rows, model = sayings(assets), assets / "assets/llama"
    config = Trial("sft", model, rows, tmp_path, use_peft=True).config
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer/features.json").write_text("{}")
    made = building.model(TrainSpec(tokenizer=str(tmp_path / "tokenizer"), seed=0, experiment=config))
    assert {type(layer) for layer in made.modules() if isinstance(layer, Linear)} == {fused_lora.FusedLinear}


@pytest.mark.parametrize("told", [{}, {"use_rslora": True}, {"target_modules": ["q_proj", "down_proj"]}])
def test_gradients_are_those_of_peft(steps: list[int], told: dict[str, Any]) -> None:
    model = adapted()
    assert apart(fused(copy.deepcopy(model)), model) < 1e-5
    assert len(steps) == 14


def test_checkpointed_activations_are_computed_again(steps: list[int]) -> None:
    model, other = adapted(), adapted()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()
    assert apart(fused(model), other) < 1e-5
    assert len(steps) == 28


@pytest.mark.parametrize("told", [{"lora_dropout": 0.5}, {"use_dora": True}, {"lora_bias": True}])
def test_what_is_more_than_lora_is_left_to_peft(steps: list[int], told: dict[str, Any]) -> None:
    assert apart(fused(adapted(**told)), adapted(**told)) == 0
    assert not steps


def test_a_base_of_other_type_is_left_to_peft(steps: list[int]) -> None:
    assert apart(fused(adapted(torch.bfloat16)), adapted(torch.bfloat16)) == 0
    assert not steps


def test_all_in_bfloat16(steps: list[int]) -> None:
    model, other = adapted(torch.bfloat16).bfloat16(), adapted(torch.bfloat16).bfloat16()
    assert apart(fused(model), other, rounding=1e-2) < 0.05
    assert steps


def test_autocast_is_left_to_peft(steps: list[int]) -> None:
    model, other = fused(adapted()), adapted()
    with torch.autocast("cpu", torch.bfloat16):
        assert apart(model, other) == 0
    assert not steps


def test_an_adapter_that_is_off_or_merged_is_not_run(steps: list[int]) -> None:
    model, other = fused(adapted()).eval(), adapted().eval()
    with torch.no_grad(), model.disable_adapter(), other.disable_adapter():
        assert torch.equal(model(IDS).logits, other(IDS).logits)
    model.merge_adapter()
    other.merge_adapter()
    assert torch.equal(model(IDS).logits, other(IDS).logits)
    assert not steps


def test_who_waits_for_a_layer_to_be_called_sees_it(steps: list[int]) -> None:
    model, called = fused(adapted()), []
    for layer in (module for module in model.modules() if isinstance(module, Linear)):
        layer.base_layer.register_forward_hook(lambda *_: called.append(1))
    model(IDS)
    assert len(called) == 14 and not steps


def test_a_copy_has_weights_of_its_own() -> None:
    model = fused(adapted())
    other = copy.deepcopy(model)
    gradients(other)
    assert all(weight.grad is None for weight in model.parameters())
    assert model.state_dict().keys() == adapted().state_dict().keys()


def test_a_layer_that_is_trained_itself_is_left_to_peft() -> None:
    model = adapted()
    layer = next(module for module in model.modules() if isinstance(module, Linear))
    layer.base_layer.weight.requires_grad_(True)
    fused_lora.fuse(model)
    assert type(layer) is Linear
