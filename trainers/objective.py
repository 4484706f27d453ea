"""What a batch of samples is trained towards, and what is watched meanwhile, for every backend.

Arrays are [B, T], padded; `xp` is torch or mlx.core. `frozen` are the log-probabilities without
gradient, `before` those of the sampler, `reference` those of the model without adapter.
"""

from typing import Any

from srl_edge import losses
from srl_edge.trainers.policy import Loss

Array = Any


def objective(
    xp: Any, loss: Loss, logprobs: Array, frozen: Array, before: Array, advantages: Array,
    reference: Array,
) -> Array:  # fmt: skip
    """What each token's log-probability adds to what is maximized."""
    if loss.kind == "nll":
        wanted = logprobs
    elif loss.importance_cap is None:
        wanted = losses.clipped_objective(
            xp, logprobs, before, advantages, loss.clip_low, loss.clip_high
        )
    else:
        wanted = losses.weighted_objective(
            xp, logprobs, xp.exp(frozen - before), advantages, loss.importance_cap
        )
    if loss.kl:
        wanted = wanted - loss.kl * losses.divergence(xp, logprobs, reference)
    return wanted


def watched(
    xp: Any, loss: Loss, frozen: Array, before: Array, advantages: Array, reference: Array,
    mask: Array,
) -> dict[str, float]:  # fmt: skip
    """Sums over tokens: of those clipped, the distance from the sampler, and the divergence."""
    sums = {}
    if loss.kind == "clipped":
        ratio = xp.exp(frozen - before)
        if loss.importance_cap is None:
            high = (ratio > 1 + loss.clip_high) & (advantages > 0)
            outside = high | ((ratio < 1 - loss.clip_low) & (advantages < 0))
        else:
            outside = ratio > loss.importance_cap
        sums["clip_ratio"] = float((outside * mask).sum())
        sums["mismatch"] = float((abs(frozen - before) * mask).sum())
    if loss.kl:
        sums["kl"] = float((losses.divergence(xp, frozen, reference) * mask).sum())
    return sums


def add(sums: dict[str, float], more: dict[str, float]) -> None:
    """Add sums to sums, in place."""
    for key, value in more.items():
        sums[key] = sums.get(key, 0.0) + value


def metrics_of(
    sums: dict[str, float], tokens: int, flat_tokens: int, packed_tokens: int
) -> dict[str, float]:
    """A batch's metrics under TRL's names, from sums over its completion tokens.

    token_ratio: tokens of all sequences, over those that were computed.
    """
    return {
        "loss": sums["loss"],
        "entropy": sums["entropy"] / tokens,
        "clip_ratio/region_mean": sums.get("clip_ratio", 0.0) / tokens,
        "sampling/sampling_logp_difference/mean": sums.get("mismatch", 0.0) / tokens,
        "token_ratio": flat_tokens / packed_tokens,
        "num_tokens": float(packed_tokens),
    } | ({"kl": sums["kl"] / tokens} if "kl" in sums else {})
