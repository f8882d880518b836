"""The arithmetic of proximal policy optimization (Schulman et al. 2017), one token an action.

Every tensor is [rows, places] and goes with a mask of the places at which a token was chosen: one run in each row, which the padding of
shorter rows surrounds. What stands at other places is never read.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of `values` where `mask` is true."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whiten(values: Tensor, mask: Tensor, shift_mean: bool = True) -> Tensor:
    """`values` with variance 1 where `mask` is true, and there with mean 0 unless the mean is to stay; 0 elsewhere."""
    mean = masked_mean(values, mask)
    variance = ((values - mean).square() * mask).sum() / (mask.sum() - 1).clamp(min=1)
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    return (whitened if shift_mean else whitened + mean) * mask


def divergence(logps: Tensor, reference: Tensor, estimator: Literal["k1", "k3"]) -> Tensor:
    """How far each token's log-probability is from the reference's: Schulman's estimators of the Kullback-Leibler divergence.

    k1 has no bias, k3 is never negative and varies less.
    """
    difference = reference - logps
    return -difference if estimator == "k1" else difference.exp() - 1 - difference


def token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, kl_coef: Tensor | float) -> Tensor:
    """What each token earns: the penalty for leaving the reference, and at a row's last token the row's score as well."""
    last = mask & (mask.flip(1).cumsum(1).flip(1) == 1)
    return (scores[:, None] * last - kl_coef * kl) * mask


def advantages(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalized advantage estimates (Schulman et al. 2016) and the returns that the values are to predict.

    A row ends behind its last token, and what would follow is worth nothing: the score is that of the text as it stands, also where it
    was cut off at its longest length.
    """
    estimates = torch.zeros_like(rewards)
    ahead, value_ahead = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards[:, 0])
    for place in reversed(range(rewards.size(1))):
        surprise = rewards[:, place] + gamma * value_ahead - values[:, place]
        ahead = (surprise + gamma * lam * ahead) * mask[:, place]
        value_ahead = values[:, place] * mask[:, place]
        estimates[:, place] = ahead
    return estimates, (estimates + values) * mask


def policy_losses(logps: Tensor, old: Tensor, advantages: Tensor, cliprange: float) -> tuple[Tensor, Tensor]:
    """The clipped objective of each token, to be made small, and where the clipping is what counts."""
    ratio = (logps - old).exp()
    free, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - cliprange, 1 + cliprange)
    return torch.maximum(free, clipped), clipped > free


def value_losses(values: Tensor, old: Tensor, returns: Tensor, cliprange: float) -> tuple[Tensor, Tensor]:
    """Half the squared error of each value, which may not gain by moving more than `cliprange`, and where that is what counts."""
    free, clipped = (values - returns).square(), (old + (values - old).clamp(-cliprange, cliprange) - returns).square()
    return 0.5 * torch.maximum(free, clipped), clipped > free


def adapted(kl_coef: Tensor, kl: Tensor, target: float, share: float) -> Tensor:
    """The weight of the penalty for the next iteration, by the controller of Ziegler et al. (2019).

    It grows where `kl`, the mean divergence of a row, is above `target`, by at most 20 % a horizon; `share` is how much of the horizon
    an iteration is.
    """
    return kl_coef * (1 + (kl / target - 1).clamp(-0.2, 0.2) * share)
