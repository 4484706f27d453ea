"""What a user says between actions is no result, and stays in every prompt after it."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.prompt_form import PRESETS
from srl_edge.method.prompts import step_prompts
from srl_edge.method.types import Trajectory

FORM = replace(PRESETS["agent"], action="call")
ORDER = "Return order 77 of Ada."


def call(name: str) -> dict[str, str]:
    return {"from": "function_call", "value": json.dumps({"name": name, "arguments": {}})}


def turn(who: str, text: str) -> dict[str, str]:
    return {"from": who, "value": text}


def read(*turns: dict[str, Any]) -> Trajectory:
    report = ParseReport()
    found = list(parse_rows([{"conversations": list(turns)}], report, form=FORM))
    assert found, report.reasons
    return found[0]


def prompts(found: Trajectory, pairs: int | None = 2) -> list[str]:
    (group,) = step_prompts([found], "all", form=replace(FORM, context_pairs=pairs))
    return [prompt.messages[-1]["content"] for prompt in group]


SEVERAL = [
    turn("human", "Hello?"),
    turn("gpt", "What is it?"),
    turn("human", ORDER),
    *(each for name in "abc" for each in (call(name), turn("observation", f"seen {name}"))),
    call("back"),
    turn("observation", "ok"),
    turn("gpt", "Done."),
]


def test_a_request_stays_in_every_prompt_after_it() -> None:
    asked = prompts(read(*SEVERAL))
    assert all(f"> What is it?\nUser: {ORDER}\n" in text for text in asked[1:])
    assert "seen a" not in asked[4] and "seen b" in asked[4] and "seen c" in asked[4]
    assert all(f"User: {ORDER}" in text for text in prompts(read(*SEVERAL), 0)[1:])
    whole = prompts(read(*SEVERAL), None)
    assert all(a in b for a, b in pairwise(whole))


def test_of_an_action_with_words_behind_its_result_the_words_stay() -> None:
    heard = [turn("observation", "a long result"), turn("human", "Not that one.")]
    later = [each for name in "bcd" for each in (call(name), turn("observation", "x"))]
    found = read(turn("human", ORDER), call("a"), *heard, *later)
    assert found.observations[0] == "a long result\n\nUser: Not that one."
    last = prompts(found)[3]
    assert "User: Not that one." in last and "a long result" not in last


@pytest.mark.parametrize(
    ("reply", "came"),
    [
        ("<tool_call>{}</tool_call>".format(json.dumps({"name": "a"})), "rain"),
        ("<tool_call>{}</tool_call>".format(json.dumps({"name": "a"})), "OBSERVATION:\nrain"),
        ("Thought: so.\nAction: a\nAction Input: {}", "Observation: rain"),
    ],
)
def test_a_result_in_a_user_s_turn_is_no_word_of_theirs(reply: str, came: str) -> None:
    found = read(turn("human", "q"), turn("gpt", reply), turn("human", came), turn("gpt", "Rain."))
    assert found.observations[0] == came
    found = read(
        *(turn("human", "q"), turn("gpt", reply), turn("human", came)),
        *(turn("human", "And?"), turn("gpt", "Rain.")),
    )
    assert found.observations[0] == f"{came}\n\nUser: And?"


def test_a_greeting_is_no_action() -> None:
    found = read(turn("gpt", "Hello! How can I help?"), *SEVERAL[2:])
    assert found.problem == ORDER and len(found.steps) == 6
