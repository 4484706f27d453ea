"""A copy of the expert's action earns all there is, and words that look like calls are none."""

from dataclasses import replace

import pytest

from srl_edge.method import calls
from srl_edge.method.actions import Kind, agreement, fault, same
from srl_edge.method.prompt_form import PRESETS
from srl_edge.method.rewards import step_reward
from srl_edge.method.types import Rollout, StepPrompt

WORDS = (
    "It's done!",  # an open quote to a shell
    'She said "hello',
    "Your order (#1) isn't there; shall I cancel it?",
    "# Summary\n# Nothing was left",  # comments alone
    "\\",
    "[1] Smith, 2020, says so.",
    "{x | x > 2} is the set that you want.",
    "[see the note (below)]",
    "  indented, and it's so",
    ";;",
    '{"name": "f", "arguments": {"a": }',  # JSON that its expert broke
)
CALLS = (
    "ls -la src | wc -l",
    "cat > a <<'EOF'\nit's\nEOF",
    '{"name": "move", "arguments": {"to": "hall", "by": 3}}',
    '[Market Trends API(trend_type="MARKET", country="us")]',
    '[get_weather(city="Oslo", days=2), get_time(zone="CET")]',
    "turn_on(room='bath')",
    "grep -rn '<think>' src",
    '{"name": "write", "arguments": {"text": "<think>So.</think> Then."}}',
)


def rewarded(reply: str, expert: str, kind: Kind, think: bool = True, **weights: float) -> float:
    form = replace(PRESETS["agent"], action=kind, think=think)
    text = f"<think>So.</think>\n{reply}" if think else reply
    prompt = StepPrompt("t", 0, "Task", (), expert, form=form)
    return step_reward(Rollout((), (), (), text, True), prompt, weights, guards=True).total


@pytest.mark.parametrize("think", [True, False])
@pytest.mark.parametrize("kind", ["command", "call", "text"])
@pytest.mark.parametrize("expert", [*WORDS, *CALLS])
def test_nothing_earns_more_than_a_copy(expert: str, kind: Kind, think: bool) -> None:
    assert rewarded(expert, expert, kind, think) == pytest.approx(1.0)
    assert same(expert, expert, kind) and agreement(expert, expert, kind) == 1.0
    for other in (*WORDS, *CALLS, "ls", "done", "I cannot do that."):
        assert rewarded(other, expert, kind, think) <= 1.0
        if other.strip() != expert.strip():
            assert rewarded(other, expert, kind, think) < 1.0


@pytest.mark.parametrize("expert", WORDS[:3])
def test_words_to_the_user_are_scored_as_text(expert: str) -> None:
    assert rewarded("ls", expert, "command") < 0.3 < rewarded(expert + " Yes.", expert, "command")
    assert rewarded("ls 'src", "ls src", "command") == -1.0  # an expert's command stays one


@pytest.mark.parametrize("kind", ["command", "call"])
@pytest.mark.parametrize(
    ("expert", "equal", "another"),
    [
        (
            '{"name": "live", "arguments": {"o": 1, "p": "a b"}}',
            '{"arguments": {"p": "a b", "o": 1.0}, "name": "live"}',
            '{"name": "dead", "arguments": {"o": 1, "p": "a b"}}',
        ),
        ("[book(day=3, to='Rome')]", "[book(to='Rome', day=3)]", "[cook(day=3, to='Rome')]"),
        (
            '[Get All Trends(n=5, of="us")]',
            '[Get All Trends(of="us", n=5)]',
            '[Get All Friends(n=5, of="us")]',
        ),
    ],
)
def test_a_call_is_compared_as_one_whatever_the_form(
    expert: str, equal: str, another: str, kind: Kind
) -> None:
    assert agreement(equal, expert, kind) == 1.0 and same(equal, expert, kind)
    assert agreement(another, expert, kind) == 0.0 and not same(another, expert, kind)
    assert rewarded(another, expert, kind) < 0.5 < rewarded(equal, expert, kind)


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ('[Market Trends API(country="us", n=2)]', "Market Trends API", {"country": "us", "n": 2}),
        ("[Get 15-Day Forecast(city='a, b(c)')]", "Get 15-Day Forecast", {"city": "a, b(c)"}),
        ("[v1/users.list()]", "v1/users.list", {}),
    ],
)
def test_names_that_python_does_not_take_are_names_in_a_list(
    text: str, name: str, arguments: dict[str, object]
) -> None:
    assert calls.parsed(text) == [(name, (), arguments)]
    twice = f"{text[:-1]}, plain(x=[1])]"
    assert [call[0] for call in calls.parsed(twice) or ()] == [name, "plain"]


@pytest.mark.parametrize(
    "text",
    [
        "[1] See (a).",
        "[see Figure 2(a)]",
        "[a note (x=1)]",
        "[Note (see below)] It is.",
        "[f(x)] holds.",
        "Send It(x=1)",
        "{a: b}",
        "[docs](x)",
    ],
)
def test_words_in_brackets_are_no_calls(text: str) -> None:
    assert calls.parsed(text) is None and not fault(text, "call")


@pytest.mark.parametrize(
    "text", ['{"name": "f", "arguments": {"a": }', "[get(city='Oslo'", '[{"name": "f"']
)
def test_a_call_that_is_broken_is_a_fault(text: str) -> None:
    assert fault(text, "call").startswith("an action that cannot be read")
    assert rewarded(text, CALLS[2], "call") == -1.0
