"""What the reports say of samples: intervals, percentiles, and paired tests."""

from collections.abc import Sequence
from random import Random
from statistics import fmean, stdev


def bootstrap_interval(
    values: Sequence[float], resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95% interval of the mean, by resampling values with replacement."""
    rng = Random(seed)
    means = sorted(fmean(rng.choices(values, k=len(values))) for _ in range(resamples))
    return means[int(0.025 * resamples)], means[int(0.975 * resamples) - 1]


def summary(values: Sequence[float]) -> dict[str, float]:
    """mean, std, p50 and p95 of repeats; the percentiles are nearest-rank."""
    ordered = sorted(values)
    return {
        "mean": fmean(values),
        "std": stdev(values) if len(values) > 1 else 0.0,
        "p50": ordered[(len(ordered) - 1) // 2],
        "p95": ordered[-(-len(ordered) * 95 // 100) - 1],
    }
