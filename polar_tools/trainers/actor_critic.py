"""A language model and beside it the critic that PPO needs: what each state is worth, and how much leaving the reference costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FILE = "critic.safetensors"


class ActorCritic(nn.Module):
    """The language model that is trained, and a value for each of its states by one linear layer on its last hidden states.

    The layer begins with zeros: at first every state is worth nothing, and the model feels the value's error only once the layer knows
    something. Its weight and that of the KL penalty, which may change while training, are the critic: beside every checkpoint, but no part
    of the trained model.
    """

    def __init__(self, policy: nn.Module, kl_coef: float) -> None:
        super().__init__()
        self.policy, self.config = policy, policy.config
        self.value_head = nn.Linear(policy.config.get_text_config().hidden_size, 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self.register_buffer("kl_coef", torch.tensor(kl_coef))

    def forward(self, ids: Tensor, mask: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [rows, places, words] and values [rows, places] behind the tokens at `places`."""
        output = self.policy(input_ids=ids, attention_mask=mask, logits_to_keep=places, output_hidden_states=True, use_cache=False)
        hidden = output.hidden_states[-1][:, -ids.size(1) :][:, places]  # prompt tuning puts states of its own in front
        with torch.autocast(hidden.device.type, enabled=False):
            return output.logits, self.value_head(hidden.float()).squeeze(-1)

    @property
    def device(self) -> torch.device:
        """The policy's."""
        return self.policy.device

    @property
    def dtype(self) -> torch.dtype:
        """The policy's."""
        return self.policy.dtype

    @property
    def generation_config(self) -> Any:
        """The policy's."""
        return self.policy.generation_config

    def generate(self, **options: Any) -> Any:
        """What the policy writes."""
        return self.policy.generate(**options)

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Save the policy, which is the trained model."""
        self.policy.save_pretrained(folder, **options)

    def activation_checkpointing_enable(self, **options: Any) -> None:
        """As the policy's."""
        self.policy.activation_checkpointing_enable(**options)

    def save_critic(self, folder: str | Path) -> None:
        """Write what is not the policy's."""
        critic = {name: value for name, value in self.state_dict().items() if not name.startswith("policy.")}
        save_file(critic, str(Path(folder) / FILE))

    def load_critic(self, folder: str | Path) -> None:
        """Read what save_critic wrote."""
        critic = load_file(Path(folder) / FILE)
        self.kl_coef.copy_(critic.pop("kl_coef"))
        self.value_head.load_state_dict({name.removeprefix("value_head."): value for name, value in critic.items()})
