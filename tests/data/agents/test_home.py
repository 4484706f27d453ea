"""A home with state, and requests that are recorded in one."""

import pytest

from srl_edge.data.agents.home import Home
from srl_edge.data.agents.home_requests import FAMILIES, SPLITS, problems
from srl_edge.data.agents.worlds import enter, recorded
from srl_edge.data.values import Unusable
from srl_edge.method.prompt_form import DONE

STATE = {
    "hall": {"lamp": "off", "door": "open", "heating": 19},
    "list": ["milk"],
    "timers": {"tea": 4},
}


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("look hall", "lamp off, door open, heating 19"),
        ("look list", "milk"),
        ("look timers", "tea 4"),
        ("look attic", "there is no attic"),
        ("turn_on lamp hall", "ok"),
        ("turn_on door hall", "there is no door in the hall to turn on"),
        ("close door hall", "ok"),
        ("heat hall 21", "ok"),
        ("heat hall warm", "warm is no whole number"),
        ("heat list 21", "there is no list"),
        ("turn_on lamp timers", "there is no timers"),
        ("remove eggs", "eggs is not on the list"),
        ("timer nap 10", "ok"),
        ("stop nap", "there is no timer nap"),
        ("turn_on lamp hall\nlook hall", "ok\nlamp on"),
        ("turn_on lamp", "say: turn_on THING PLACE"),
        (f"turn_on lamp hall{' ' * 400}way", "that is too long"),
        ("", "no command ; there are look, turn_on"),
        ("rm -rf /", "no command rm; there are look, turn_on"),
    ],
)
def test_what_a_home_answers(action: str, said: str) -> None:
    home = Home({"state": STATE})
    assert home.act(action).startswith(said)
    assert home.failed == (not said.startswith(("ok", "lamp", "milk", "tea")))


def test_the_goal_is_the_whole_state() -> None:
    observed, record = recorded({"kind": "home", "state": STATE}, ["turn_on lamp hall", DONE])
    assert observed == ("ok", "")
    assert record["state"]["hall"]["lamp"] == "off" and record["goal"]["hall"]["lamp"] == "on"
    for actions, holds in (
        (["turn_on lamp hall"], True),
        (["turn_on lamp hall", "add eggs"], False),
        (["turn_on lamp hall", "add eggs", "remove eggs"], True),
        ([], False),
    ):
        with enter(record) as home:
            for action in actions:
                home.act(action)
            assert home.fulfilled() is holds, actions


def test_a_list_has_no_order() -> None:
    _, record = recorded({"kind": "home", "state": STATE}, ["add eggs", "add tea"])
    with enter(record) as home:
        home.act("add tea\nadd eggs")
        assert home.fulfilled()
        home.act("remove milk")
        assert not home.fulfilled()


@pytest.mark.parametrize(
    ("record", "steps", "why"),
    [
        ({"kind": "home"}, [], "a home without its state"),
        ({"kind": "home", "state": {"hall": {"lamp": "blue"}}}, [], "a home whose hall has lamp"),
        ({"kind": "home", "state": {"list": {}}}, [], "a home whose list is no list"),
        ({"kind": "boat"}, [], "a world of no known kind ('boat')"),
        ({"kind": "home", "state": STATE}, ["turn_on fan hall"], "an action that failed"),
        ({"kind": "home", "state": STATE, "goal": STATE}, ["add tea"], "actions that do not reach"),
    ],
)
def test_what_cannot_be_recorded(record: dict[str, object], steps: list[str], why: str) -> None:
    with pytest.raises(Unusable, match=why.replace("(", r"\(").replace(")", r"\)")):
        recorded(record, steps)


def test_requests_are_fulfilled_by_their_expert_and_not_by_doing_nothing() -> None:
    found = problems("test", 300, 0)
    assert found == problems("test", 300, 0) != problems("test", 300, 1)
    assert {t.id.partition("/")[0] for t in found} == set(FAMILIES)
    for t in found:
        assert t.world is not None and len(t.steps) == len(t.observations)
        with enter(t.world) as home:
            assert not home.fulfilled()
            assert [home.act(step) for step in t.steps[:-1]] == list(t.observations[:-1])
            assert home.fulfilled() and t.steps[-1] == DONE
    assert any("look" in t.steps[0] and len(t.steps) > 3 for t in found)


def test_splits_share_no_words() -> None:
    said = {
        name: {*w.things.rooms, *w.things.devices, *w.things.openings, *w.items, *w.timers}
        | {sentence for each in w.sentences.values() for sentence in each}
        for name, w in SPLITS.items()
    }
    assert not said["train"] & said["test"]
    assert not said["validation"] & said["test"]
