"""What the reports say of samples: intervals, percentiles, and paired tests."""

from collections.abc import Sequence
from math import comb
from random import Random
from statistics import fmean, stdev

from srl_edge.report.rows import Difference, Paired, Spread

Z = 1.96  # standard normal quantile of a 95% interval
RESAMPLES, SEED = 2000, 0  # of the bootstrap; a seed, so that a report says the same again


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """95% interval of the mean of values in [0, 1], by resampling them with replacement.

    Where all are 0 or all are 1 resampling knows no spread; Wilson's score interval stands in.
    """
    if len(set(values)) == 1 and values[0] in (0, 1):
        unseen = Z * Z / (len(values) + Z * Z)
        return (0.0, unseen) if values[0] == 0 else (1 - unseen, 1.0)
    return _interval_of_mean(values)


def difference(reference: Sequence[float], other: Sequence[float]) -> Difference:
    """Mean of `other` - `reference` at the same problems, and its 95% bootstrap interval."""
    each = [b - a for a, b in zip(reference, other, strict=True)]
    return Difference(fmean(each), *_interval_of_mean(each))


def summary(values: Sequence[float]) -> Spread | None:
    """mean, std, p50 and p95 of repeats, None of none; the percentiles are nearest-rank."""
    if not values:
        return None
    ordered = sorted(values)
    return Spread(
        mean=fmean(values),
        std=stdev(values) if len(values) > 1 else 0.0,
        p50=ordered[(len(ordered) - 1) // 2],
        p95=ordered[-(-len(ordered) * 95 // 100) - 1],
    )


def paired(reference: Sequence[float], other: Sequence[float]) -> Paired:
    """Scores at the same problems: how many `other` lost and won, and the exact sign test's p."""
    lost = sum(a > b for a, b in zip(reference, other, strict=True))
    won = sum(b > a for a, b in zip(reference, other, strict=True))
    tail = sum(comb(lost + won, k) for k in range(min(lost, won) + 1)) / 2 ** (lost + won)
    return Paired(len(other), lost, won, sign_test=min(1.0, 2 * tail))


def _interval_of_mean(values: Sequence[float]) -> tuple[float, float]:
    rng = Random(SEED)
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]
