from collections.abc import Sequence

from srl_edge.method.solving import Attempt, solve
from srl_edge.method.types import Trajectory
from srl_edge.report.statistics import bootstrap_interval, summary

PROBLEMS = [Trajectory(str(i), f"p{i}", ("a", "b"), "7") for i in range(4)]


def scripted(asked: Sequence[Attempt]) -> list[tuple[str, bool]]:
    replies = []
    for attempt in asked:
        match attempt.problem, len(attempt.steps):
            case "p0", 0:
                replies.append(("<think>a</think>\n3 + 4 = 7", True))
            case "p0", 1:
                replies.append(("<think>b</think>\nso seven\n#### 7", True))
            case "p1", 0:
                replies.append(("I think it is 7.", True))  # no format: judged by its answer
            case "p2", _:
                replies.append(("<think>a</think>\nnot 8", True))  # never ends by itself
            case "p3", 0:
                replies.append(("<think>7 7 7", False))
    return replies


def test_each_way_an_attempt_can_end() -> None:
    ended: list[int] = []
    attempts = solve(PROBLEMS, scripted, 3, lambda: ended.append(1))
    assert [a.correct for a in attempts] == [True, True, False, True]
    assert attempts[0].steps == ["3 + 4 = 7", "so seven\n#### 7"]
    assert len(attempts[2].steps) == 3 and attempts[2].given == "8"
    assert len(ended) == 4


def test_intervals_and_percentiles() -> None:
    low, high = bootstrap_interval([1.0] * 5 + [0.0] * 15)
    assert 0.05 <= low < 0.25 < high <= 0.5
    low, high = bootstrap_interval([0.0] * 24)
    assert low == 0 and abs(high - 0.138) < 1e-3  # Wilson, 0 of 24
    stats = summary([float(i) for i in range(1, 101)])
    assert stats is not None and summary([]) is None
    assert (stats["p50"], stats["p95"], stats["mean"]) == (50.0, 95.0, 50.5)
