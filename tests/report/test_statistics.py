from srl_edge.report.statistics import bootstrap_interval, summary


def test_intervals_and_percentiles() -> None:
    low, high = bootstrap_interval([1.0] * 5 + [0.0] * 15)
    assert 0.05 <= low < 0.25 < high <= 0.5
    low, high = bootstrap_interval([0.0] * 24)
    assert low == 0 and abs(high - 0.138) < 1e-3  # Wilson, 0 of 24
    stats = summary([float(i) for i in range(1, 101)])
    assert stats is not None and summary([]) is None
    assert (stats.p50, stats.p95, stats.mean) == (50.0, 95.0, 50.5)
