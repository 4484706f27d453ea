"""What a batch of samples is trained towards, and what is watched meanwhile, for every backend.

Arrays are [B, T], padded; `xp` is torch or mlx.core. `frozen` are the log-probabilities without
gradient, `before` those of the sampler, `reference` those of the model without adapter.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from srl_edge.method import algorithm
from srl_edge.method.types import Sample
from srl_edge.trainers.policy.contract import Loss
from srl_edge.trainers.policy.packing import LEARNED_AT_ONCE, Pack, chunks, gathered, pack

Array = Any
Part = tuple[Pack, Sequence[Sample]]  # and the samples that the pack's owners count in


def objective(
    xp: Any,
    loss: Loss,
    logprobs: Array,
    frozen: Array,
    before: Array,
    advantages: Array,
    reference: Array,
) -> Array:
    """What each token's log-probability adds to what is maximized."""
    if loss.kind == "nll":
        wanted = logprobs
    elif loss.importance_cap is None:
        wanted = algorithm.clipped_objective(
            xp, logprobs, before, advantages, loss.clip_low, loss.clip_high
        )
    else:
        wanted = algorithm.weighted_objective(
            xp, logprobs, xp.exp(frozen - before), advantages, loss.importance_cap
        )
    if loss.kl:
        wanted = wanted - loss.kl * algorithm.divergence(xp, logprobs, reference)
    return wanted


def watched(
    xp: Any,
    loss: Loss,
    frozen: Array,
    before: Array,
    advantages: Array,
    reference: Array,
    mask: Array,
) -> dict[str, float]:
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
        sums["kl"] = float((algorithm.divergence(xp, frozen, reference) * mask).sum())
    return sums


def over_packs(
    groups: Sequence[Sequence[Sample]],
    loss: Loss,
    backward: Callable[[Sequence[Part], Loss, int], dict[str, float]],
    together: int = 0,
) -> dict[str, float]:
    """Gradient of a batch, in packs; its metrics under TRL's names.

    backward: takes packs, the loss and what the batch's sum is divided by, and returns sums over
    the packs' completion tokens. together: most tokens of several packs that it takes at once.
    token_ratio: tokens of all sequences, over those that were computed.
    """
    count = sum(map(len, groups))
    tokens = sum(len(s.completion_ids) for group in groups for s in group)
    sums: dict[str, float] = {}
    flat = computed = 0
    # A pass reads all weights, so that small packs cost little more together.
    for parts in chunks(_packs(groups), together, lambda part: part[0].tokens):
        members = [samples[i] for packed, samples in parts for i in packed.owners]
        flat += sum(len(s.prompt_ids) + len(s.completion_ids) for s in members)
        computed += sum(packed.tokens for packed, _ in parts)
        add(sums, backward(parts, loss, count if loss.by_sequence else tokens))
    return {
        "loss": sums["loss"],
        "entropy": sums["entropy"] / tokens,
        "clip_ratio/region_mean": sums.get("clip_ratio", 0.0) / tokens,
        "sampling/sampling_logp_difference/mean": sums.get("mismatch", 0.0) / tokens,
        "token_ratio": flat / computed,
        "num_tokens": float(computed),
    } | ({"kl": sums["kl"] / tokens} if "kl" in sums else {})


def _packs(groups: Sequence[Sequence[Sample]]) -> Iterator[Part]:
    """Packs with the samples that their owners count in: of groups, and those that are alone."""
    grouped = [s for group in groups if len(group) > 1 for s in group]
    for packed in pack([s.prompt_ids for s in grouped], [s.completion_ids for s in grouped]):
        yield packed, grouped
    alone = [s for group in groups if len(group) == 1 for s in group]
    prompts, tails = [s.prompt_ids for s in alone], [s.completion_ids for s in alone]
    packs = gathered(pack(prompts, tails), prompts, tails, most_tokens=LEARNED_AT_ONCE)
    for packed in packs:
        yield packed, alone


def add(sums: dict[str, float], more: dict[str, float]) -> None:
    """Add sums to sums, in place."""
    for key, value in more.items():
        sums[key] = sums.get(key, 0.0) + value
