from collections.abc import Sequence
from dataclasses import replace

from srl_edge.data.agents.worlds import enter, recorded
from srl_edge.method.prompt_form import PRESETS
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


def test_in_a_world_the_world_answers_and_judges() -> None:
    """Each attempt acts in a home of its own; a broken or a missing end is no success."""
    home = {"kind": "home", "state": {"hall": {"lamp": "off"}}}
    _, world = recorded(home, ["turn_on lamp hall"])
    tasks = [Trajectory(str(n), "Light!", (), "", world=world) for n in range(6)]
    plans = (
        ["look hall", "turn_on lamp hall", "done"],
        ["turn_on fan hall", "turn_on lamp hall", "done"],  # a mistake that does no harm
        ["done"],
        ["turn_on lamp hall", "look hall", "look hall"],  # reached, and not said to be
        ["turn_on lamp 'hall"],
        ["look hall\nturn_on lamp hall\ndone"],  # the whole of it in one reply
    )
    seen: list[list[str]] = []

    def reply(asked: Sequence[Attempt]) -> list[tuple[str, bool]]:
        seen.append([" | ".join(attempt.observations) for attempt in asked])
        return [(plans[int(a.id)][len(a.steps)], True) for a in asked]

    form = replace(PRESETS["agent"], think=False)
    attempts = solve(tasks, reply, 3, lambda: None, form, enter)
    assert [a.correct for a in attempts] == [True, True, False, False, False, True]
    assert seen[2] == [
        "lamp off | ok",
        "there is no fan in the hall to turn on | ok",
        "ok | lamp on",
    ]
    assert attempts[4].fault == "an action that cannot be read (No closing quotation)"
