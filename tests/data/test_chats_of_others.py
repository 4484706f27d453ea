"""Plain chats as others write them: what is not to be taught, and replies in several pieces."""

from typing import Any

import pytest

from srl_edge.data.trajectories import ParseReport, parse_rows

ASKED = {"role": "user", "content": "What is 2 + 3 * 2?"}
REPLY = {"role": "assistant", "content": "3 * 2 is 6.\n2 + 6 is 8.\nThe answer is 8."}
STEPS = ("3 * 2 is 6.", "2 + 6 is 8.", "#### 8")
ALPACA = {"instruction": ASKED["content"], "input": "", "output": REPLY["content"]}
SHAREGPT = [
    {"from": "human", "value": ASKED["content"]},
    {"from": "gpt", "value": REPLY["content"]},
]
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}


def read(row: dict[str, Any]) -> Any:
    report = ParseReport()
    found = list(parse_rows([row], report, answer_step=True))
    return found[0] if found else report.reasons


JUDGED: list[tuple[str, dict[str, Any]]] = [
    ("label", {"prompt": [ASKED], "completion": [REPLY]}),
    ("label", {"prompt": ASKED["content"], "completion": REPLY["content"]}),
    ("label", {"messages": [ASKED, REPLY]}),
    ("label", {"conversations": SHAREGPT}),
    ("kto_tag", ALPACA),
]


@pytest.mark.parametrize(("mark", "row"), JUDGED)
def test_a_reply_that_is_marked_as_bad_is_not_taught(mark: str, row: dict[str, Any]) -> None:
    for bad in (False, "false", "False"):
        assert "a reply that is marked as a bad one" in read(row | {mark: bad})
    for other in (True, "true", None, 0, 3, "B", "no"):
        assert read(row | {mark: other}).steps == STEPS


def test_a_label_of_other_rows_is_no_judgement() -> None:
    assert read(ALPACA | {"label": False}).steps == STEPS
    row = {"question": ASKED["content"], "solution": REPLY["content"], "label": False}
    assert read(row).steps == STEPS


@pytest.mark.parametrize("mark", ["weight", "loss", "train"])
def test_a_reply_without_weight_is_not_taught(mark: str) -> None:
    for off in (0, 0.0, False, "0", "false"):
        for row in (
            {"messages": [ASKED, REPLY | {mark: off}]},
            {"messages": [ASKED, CALL | {mark: off}]},
        ):
            assert "not to be taught" in read(row)
    for on in (1, True, None, 0.5, "1"):
        assert read({"messages": [ASKED, REPLY | {mark: on}]}).steps == STEPS


@pytest.mark.parametrize("mark", ["weight", "loss", "train"])
def test_the_weight_of_what_is_no_reply_counts_for_nothing(mark: str) -> None:
    turns = [
        {"role": "system", "content": "S", mark: 0},
        ASKED | {mark: 0},
        CALL | {mark: 1},
        {"role": "tool", "content": "8", mark: 0},
        {"role": "assistant", "content": "It is 8.", mark: 1},
    ]
    assert read({"messages": turns}).steps[-1] == "It is 8."
    assert read({"messages": [ASKED | {mark: False}, REPLY]}).steps == STEPS


@pytest.mark.parametrize(
    "replies",
    [
        [
            {"role": "assistant", "content": "3 * 2 is 6."},
            {"role": "assistant", "content": "2 + 6 is 8."},
        ],
        [{"from": "gpt", "value": "3 * 2 is 6."}, {"from": "gpt", "value": "2 + 6 is 8."}],
        [{"role": "assistant", "content": text} for text in ("3 * 2 is 6.", "", "2 + 6 is 8.")],
    ],
)
def test_replies_one_after_another_are_one(replies: list[dict[str, Any]]) -> None:
    assert read({"messages": [ASKED, *replies]}).steps == STEPS[:2]
    assert read({"messages": [ASKED, *replies, ASKED, REPLY]}).steps == STEPS[:2]


@pytest.mark.parametrize(
    "replies",
    [
        [
            {"role": "assistant", "channel": "analysis", "content": "Hm."},
            REPLY | {"channel": "final"},
        ],
        [{"role": "assistant", "content": "<think>Hm.</think>"}, REPLY],
        [REPLY | {"reasoning": "Hm.", "reasoning_content": "Hm."}],
        [REPLY | {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]}],
        [
            REPLY
            | {
                "content": [
                    {"type": "thinking", "thinking": "Hm."},
                    {"type": "text", "text": REPLY["content"]},
                ]
            }
        ],
        [
            REPLY
            | {
                "content": [
                    {"type": "reasoning", "text": "Hm."},
                    {"type": "text", "text": REPLY["content"]},
                ]
            }
        ],
        [
            REPLY
            | {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                    {"type": "text", "text": REPLY["content"]},
                ]
            }
        ],
    ],
)
def test_what_is_thought_apart_from_a_reply_is_its_thought(replies: list[dict[str, Any]]) -> None:
    found = read({"messages": [ASKED, *replies]})
    assert found.steps == STEPS and found.thoughts == ("Hm.", "", "")
