"""One row may not take for ever, whatever its text opens and never closes."""

import random
import re
import time
from typing import Any

import pytest

from srl_edge.data.agents.in_text import _tagged, last_fence
from srl_edge.data.cutting import _outside, cut_solution, enclosed, without
from srl_edge.data.row import read
from srl_edge.data.thoughts import split_thoughts
from srl_edge.data.values import Unusable
from srl_edge.method.actions import same

LONG = 400_000
PIECES = (
    "<tool_call>",
    "<function=a>",
    "<function=a><parameter=b>",
    "<execute_bash>",
    "<execute>",
    "Action: a\nAction Input: ",
    "\nAction: ",
    '{"commands": [',
    "<think>",
    "<think>a</think>",
    "a <think>",
    "</think>",
    '<details type="reasoning">',
    "```thinking\n",
    "<|begin_of_box|>",
    "</s>",
    "```bash\n",
    "\n```\n",
    "```\na\n```\n",
    "[asy]",
    "[asy][/asy]\n",
    "<<1+1=2>>\n",
    "$$",
)


def rows(piece: str) -> list[dict[str, Any]]:
    text = piece * (LONG // len(piece))
    done = {"role": "assistant", "content": "done"}
    said = [{"role": "user", "content": "do"}, {"role": "assistant", "content": f"{text}x"}]
    return [
        {"problem": "p?", "solution": f"1. a\n{text}\nend", "answer": "2"},
        {"messages": [*said, {"role": "tool", "content": "y"}, done]},
        {"messages": [*said, {"role": "user", "content": "y"}, done]},
    ]


@pytest.mark.parametrize("piece", PIECES)
def test_a_row_is_read_in_time_that_grows_with_its_length_alone(piece: str) -> None:
    start = time.process_time()
    for row in rows(piece):
        try:
            read(row, "1")
        except Unusable:
            continue
    assert time.process_time() - start < 10


@pytest.mark.parametrize("piece", PIECES)
def test_an_action_is_compared_in_time_that_grows_with_its_length_alone(piece: str) -> None:
    start = time.process_time()
    assert not same(piece * (LONG // len(piece)), "f(a=1)", "call")
    assert time.process_time() - start < 5


CALL = re.compile(
    r"<(tool_call|function_call)>(.*?)</\1>|(<function=[\w.-]+>.*?</function>)", re.DOTALL
)
FENCE = re.compile(r"^[ \t]*```(\w*)[^\n]*\n(.*?)\n?[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
PARTS = (
    *("<tool_call>", "</tool_call>", "<function_call>", "</function_call>", "<function=f>", "a"),
    *("</function>", "```", "```bash", "```py", "\n", " ", "\t", "b", "<", "````", "- "),
)


def test_what_is_found_is_what_the_plain_patterns_find() -> None:
    """Those go through the rest of a text for each tag that opens in it."""
    draw = random.Random(0)
    for _ in range(20_000):
        text = "".join(draw.choices(PARTS, k=draw.randint(1, 14)))
        plain = [(m.start(), m[3] if m[2] is None else m[2]) for m in CALL.finditer(text)]
        assert list(_tagged(text)) == plain, text
        fences = [m for m in FENCE.finditer(text) if m[1] in ("", "bash")]
        last = (fences[-1].start(), fences[-1][2].strip()) if fences else None
        assert last_fence(text) == last, text
        opened, closed = re.compile("<tool_call>|a"), re.compile("</tool_call>|\n?b")
        pairs = re.compile("(?:<tool_call>|a)(.*?)(?:</tool_call>|\n?b)", re.DOTALL)
        found = [(a.start(), b.end()) for a, b in enclosed(text, opened, closed)]
        assert found == [match.span() for match in pairs.finditer(text)], text


def test_places_and_cuts_are_those_of_a_count_one_by_one() -> None:
    draw = random.Random(1)
    for _ in range(3_000):
        text = "".join(draw.choices("ab\n`", weights=(1, 1, 1, 3), k=40))
        edges = [sorted(draw.choices(range(41), k=2)) for _ in range(draw.randint(0, 5))]
        spans = [(first, last) for first, last in edges]
        gone = {at for a, b in spans for at in range(a, b)}
        kept, places = without(text, spans, range(41))
        assert kept == "".join(c for at, c in enumerate(text) if at not in gone)
        assert places == [at - sum(one < at for one in gone) for at in range(41)]
        cut, closed = re.compile("\n"), re.compile("```.*?```", re.DOTALL)
        inside = [match.span() for match in closed.finditer(text)]
        ends = [match.end() for match in cut.finditer(text)]
        plain = [end for end in ends if not any(a < end < b for a, b in inside)]
        assert _outside(text, cut, closed) == plain


def test_thoughts_and_drawings_are_as_they_were() -> None:
    text = "<Think>a</THINK>b<thinking>c<think>d</reasoning>e"
    assert split_thoughts(text) == ("be", [(0, "a"), (1, "cd")])
    steps, _, _ = cut_solution("one\n[asy]\ndraw\n\nmore\n[/asy]\ntwo", ("lines",))
    assert steps == ["one", "[asy]\ndraw\n\nmore\n[/asy]", "two"]
