"""The paper's equations: advantages within a group, and the losses that they weigh.

The losses are written once over what torch, mlx.core and numpy share.
The numpy run is the reference for both backends. `xp` is one of the three modules; arrays are
[B, T], advantages [B, 1], mask 1 on completion tokens and 0 on padding.
"""

from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import Any

Array = Any


def group_relative(rewards: Sequence[float]) -> list[float]:
    """(r - mean) / std within one group of rollouts, with the population std.

    Source: GRPO; arXiv 2510.25992, section 4.2.
    """
    mean, std = fmean(rewards), pstdev(rewards)
    return [(r - mean) / (std + 1e-6) for r in rewards]


def has_spread(rewards: Sequence[float], epsilon: float) -> bool:
    """Whether a group's rewards differ enough to compare: population std > epsilon.

    Source: arXiv 2510.25992, section 4.2 (dynamic sampling).
    """
    return len(rewards) > 1 and pstdev(rewards) > epsilon


def max_variance(rewards: Sequence[float], count: int) -> list[int]:
    """Indices, in order, of the `count` rewards whose variance is largest: some of the highest and
    the rest of the lowest.

    Source: rollout down-sampling, arXiv 2504.13818, section 3.
    """
    order = sorted(range(len(rewards)), key=lambda i: rewards[i])
    if count >= len(order):
        return sorted(order)

    def taken(low: int) -> list[int]:
        return order[:low] + order[len(order) - (count - low) :]

    best = max(range(count), key=lambda low: pstdev([rewards[i] for i in taken(low)]))
    return sorted(taken(best))


def clipped_objective(
    xp: Any,
    logprobs: Array,
    old_logprobs: Array,
    advantages: Array,
    clip_low: float,
    clip_high: float,
) -> Array:
    """min(rho A, clip(rho, 1 - low, 1 + high) A) for each token, rho = p / p_old [B, T].

    Source: GRPO; arXiv 2510.25992, equation 1.
    """
    ratio = xp.exp(logprobs - old_logprobs)
    clipped = xp.clip(ratio, 1 - clip_low, 1 + clip_high)
    return xp.minimum(ratio * advantages, clipped * advantages)


def weighted_objective(
    xp: Any, logprobs: Array, ratio: Array, advantages: Array, cap: float
) -> Array:
    """min(rho, cap) A log p for each token; rho = p / p_sampler [B, T] has no gradient.

    For rollouts from other numerics than the policy's. Source: truncated importance sampling,
    Ionides 2008; IMPALA, arXiv 1802.01561, section 4.1.
    """
    return xp.clip(ratio, 0.0, cap) * advantages * logprobs


def divergence(xp: Any, logprobs: Array, reference: Array) -> Array:
    """Estimate of KL(policy || reference) at each sampled token, never negative [B, T].

    r - log r - 1 with r = p_reference / p. Source: Schulman, "Approximating KL divergence" (k3).
    """
    log_ratio = reference - logprobs
    return xp.exp(log_ratio) - log_ratio - 1


def weighted_sum(per_token: Array, mask: Array, by_sequence: bool) -> Array:
    """Sum of sequence means (the paper's equation), or of tokens.

    The caller divides by the number of sequences, or tokens, of the whole batch, so that a batch
    cut into micro-batches gives the same loss.
    """
    kept = per_token * mask
    return (kept.sum(1) / mask.sum(1)).sum() if by_sequence else kept.sum()
