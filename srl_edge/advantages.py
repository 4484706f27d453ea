"""Group-relative advantages, and which groups have anything to learn from."""

from collections.abc import Sequence
from statistics import fmean, pstdev


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
