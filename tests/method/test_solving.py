from collections.abc import Sequence

from srl_edge.method.solving import Attempt, solve
from srl_edge.method.types import Trajectory

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
