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
