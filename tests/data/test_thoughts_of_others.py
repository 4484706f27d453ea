# ruff: noqa: RUF001 - DeepSeek's tokens have a wide bar
"""Thoughts, boxes and ends of turns in the marks of whoever's model wrote a solution."""

from typing import Any

import pytest

from srl_edge.data.thoughts import split_thoughts
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.data.values import Unusable, clean

SAID = "5 + 6 = 11\n11 - 2 = 9"


def parsed(solution: str) -> Any:
    return next(parse_rows([{"problem": "p", "solution": solution, "answer": 9}], ParseReport()))


@pytest.mark.parametrize(
    "solution",
    [
        f"<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>{SAID}<|END_RESPONSE|>",
        f"◁think▷hm◁/think▷{SAID}",
        f"[unused16]hm[unused17]{SAID}",
        f'<details type="reasoning" done="true" duration="7">\n<summary>Thought for 7 seconds'
        f"</summary>\n> hm\n</details>\n{SAID}",
        f"analysishm? No.assistantfinal{SAID}".replace("hm?", "Hm?"),
        f"Here is my thought process:\nhm\n\nHere is my response:\n{SAID}",
        f"Here's my thought process:\nhm\nHere's my response:\n{SAID}",
        f"Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\n{SAID}\n[END FINAL RESPONSE]",
        f"hm\n[BEGIN FINAL RESPONSE]\n{SAID}\n[END FINAL RESPONSE]\n<|end|>",
        f'<think time="7">hm</think>{SAID}',
        f"&lt;think&gt;hm&lt;/think&gt;{SAID}",
        f"< think >hm</ think >{SAID}",
        f"```thinking\nhm\n```\n{SAID}",
        *(
            f"<{name}>hm</{name}>\n{SAID}"
            for name in (
                *("thoughts", "analysis", "thinking_process", "reflection", "rationale"),
                *("inner_monologue", "internal_thoughts", "antThinking", "cot", "reason"),
            )
        ),
    ],
)
def test_a_thought_is_no_step(solution: str) -> None:
    found = parsed(solution)
    assert found.thoughts[0] in ("hm", "Hm? No.")
    assert found.steps == ("5 + 6 = 11", "11 - 2 = 9\n#### 9")


@pytest.mark.parametrize(
    ("text", "rest", "thoughts"),
    [
        ("a\n<thinking>t<reflection>u</reflection>v</thinking>\nb", "a\n\nb", [(2, "tuv")]),
        ("<think>t <think>u</think> v</think>b", "b", [(0, "t u v")]),
        ("<think>t</think><reflection>u</reflection>b", "b", [(0, "t"), (0, "u")]),
        ("<think>t</thinking>b", "b", [(0, "t")]),
        ("It has no <think> in it.", "It has no <think> in it.", []),
        ("Write `<think>` and `</think>`.", "Write `<think>` and `</think>`.", []),
        ("<details>\nMore.\n</details>", "<details>\nMore.\n</details>", []),
        ("analysis of it", "analysis of it", []),
        ("Here are my reasoning steps:\na", "Here are my reasoning steps:\na", []),
        ("```python\nx\n```", "```python\nx\n```", []),
    ],
)
def test_what_is_thought_is_told_from_what_is_said(
    text: str, rest: str, thoughts: list[tuple[int, str]]
) -> None:
    assert split_thoughts(text) == (rest, thoughts)


@pytest.mark.parametrize(
    "text",
    ["<think>hm", "Sure.\n<thoughts>hm", "Yes. <think>hm", "a <|START_THINKING|>hm", "analysisHm"],
)
def test_a_thought_that_does_not_end_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match="without an end"):
        split_thoughts(text)


@pytest.mark.parametrize("tag", ["analysis", "rationale", "cot"])
def test_reasoning_that_an_answer_alone_follows_is_the_solution(tag: str) -> None:
    found = parsed(f"<{tag}>\n{SAID}\n</{tag}>\n<answer>9</answer>")
    assert found.steps == ("5 + 6 = 11", "11 - 2 = 9\n#### 9") and not found.thoughts


@pytest.mark.parametrize("replied", [False, True])
def test_reasoning_beside_a_question_that_a_column_answers_is_its_thought(replied: bool) -> None:
    turns = [{"role": "user", "content": "q"}]
    turns += [{"role": "assistant", "content": "a.\nb."}] if replied else []
    row = {"messages": turns, "reasoning": "Let me see.", "answer": "She adds both.\nThat is 9."}
    report = ParseReport()
    found = next(parse_rows([row], report), None)
    assert (found.thoughts if found else ()) == (() if replied else ("Let me see.", ""))


@pytest.mark.parametrize(
    "end",
    [
        *("<｜end▁of▁sentence｜>", "<|END_OF_TURN_TOKEN|>", "[|endofturn|]", "<|user|>"),
        *("<seed:eos>", "[e~[", "<|eos|>", "<eoa>", "</s><s>", "<reserved_106>", "<|eom_id|>"),
        *("<|im_end|>\n<|im_start|>user", "<｜end▁of▁sentence｜><｜User｜>", "<turn|>"),
        "<|observation|>",
    ],
)
def test_the_end_of_a_turn_is_no_part_of_a_text(end: str) -> None:
    assert clean(f"It is 9.{end}") == clean(f"It is 9. {end}\n") == "It is 9."
    assert clean(f"{end} is an end.") == f"{end} is an end."


@pytest.mark.parametrize("said", ["9", "\\boxed{9}"])
def test_a_box_of_tokens_is_a_box(said: str) -> None:
    text = clean(f"It is <|begin_of_box|>{said}<|end_of_box|>.")
    assert text == "It is \\boxed{9}."
