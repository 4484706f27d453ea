"""Questions whose answer is yes or no, or true or false, in a sentence or with its reasons."""

import pytest

from srl_edge.method.answers.yes_no import verdict
from srl_edge.method.verifiers import given_answer, is_correct, same_value

NO = [
    "No.\n\nThe Moon has no air.",
    "No, it has none that one could breathe.",
    "Hence no.",
    "No! It has none.",
    "The statement is False.",
    "So the claim is false.",
    "It is false.",
    "One may think yes.\n\nThe Moon has no air. So no.",
    "**No**, the Moon has none.",
    "No, this is not true.",
    "No \N{EM DASH} it has none.",
    "No (it has none).",
    "\\boxed{\\text{No, it has none}}",
]


@pytest.mark.parametrize("reply", NO)
def test_a_verdict_is_read(reply: str) -> None:
    yes = reply.replace("No", "Yes").replace("no.", "yes.").replace("false", "true")
    yes = yes.replace("False", "True").replace("think yes", "think no").replace("not true", "true")
    for right, wrong in (("no", "yes"), ("No", "Yes"), ("false", "true"), ("False", "True")):
        assert is_correct(reply, right) and not is_correct(reply, wrong)
        assert is_correct(yes, wrong) and not is_correct(yes, right)


REASONED = [
    "No, the Moon has no such thing.\n\nIts mass is too small.",
    "No, the Moon has no such thing.\nIts mass is too small.",
    "**No**, the Moon has none.\n\nIts mass is too small.",
    "**No, the Moon has no such thing.**\n\nIts mass is too small.",
    "No, it has none.\n\nHere's why:\n\n1. Its mass is small.\n2. Gases escape.",
    "No - the mass is too small.\n\nGases escape.",
    "No, it has none. Its mass is small.\n\nGases escape.",
    "The statement is false.\n\nIts mass is too small.",
    "Its mass is small.\n\nAccording to the passage, no.",
    "Based on the text, no, it has none.",
]


@pytest.mark.parametrize("reply", REASONED)
def test_reasons_may_follow_a_sentence(reply: str) -> None:
    yes = reply.replace("No,", "Yes,").replace("No -", "Yes -").replace("**No**", "**Yes**")
    yes = yes.replace("no.", "yes.").replace(", no,", ", yes,").replace("is false", "is true")
    for right, wrong in (("no", "yes"), ("False", "True")):
        assert is_correct(reply, right) and not is_correct(reply, wrong)
        assert is_correct(yes, wrong) and not is_correct(yes, right)


@pytest.mark.parametrize(
    "reply",
    [
        "Yes, it has some.\n\nNo, it has none.\n\nIts mass is small.",
        "Yes, it has some.\n\nThat is false, of course.\n\nIts mass is small.",
        "Yes. No.\n\nIts mass is small.",
        "Yes, it has some.\n\nWait, its mass is small.",
        "Yes, it has some.\n\nActually, its mass is too small for that.",
        "Yes, we can find out.\n\nIts mass is small.",
        "Yes, let us see.\n\nIts mass is small.",
        "Yes, but rarely it has.\n\nIts mass is small.",
    ],
)
def test_what_is_taken_back_or_only_begins_is_no_verdict(reply: str) -> None:
    no = reply.replace("No", "X").replace("Yes", "No").replace("X", "Yes").replace("false", "true")
    for text in (reply, no):
        assert not any(is_correct(text, word) for word in ("yes", "no", "true", "false"))


def test_a_later_verdict_is_the_one() -> None:
    reply = "Yes, we can find out.\n\nIts mass is small.\n\nSo no, it has none."
    assert is_correct(reply, "no") and not is_correct(reply, "yes")
    reply = "Yes, it has some.\n\nIts mass is small.\n\nThe answer is no."
    assert is_correct(reply, "no") and not is_correct(reply, "yes")


@pytest.mark.parametrize(
    "text",
    [
        "Yes and no",
        "Yes, no",
        "Yes or no",
        "Yes, but rarely it is",
        "The statement is not true.",
        "No. 5",
        "No Country for Old Men",
        "No one knows it",
        "True, 5",
        "True, None",
        "True north is there",
        "True, False, True",
        "Uncertain",
        "Norway",
    ],
)
def test_what_gives_no_single_verdict_has_none(text: str) -> None:
    assert verdict(text) == ""
    assert not any(same_value(text, word) for word in ("yes", "no", "true", "false"))


def test_where_another_text_is_the_answer_the_last_line_is_read() -> None:
    assert given_answer("Yes, I know this one.\n\nParis", "Paris") == "Paris"


@pytest.mark.parametrize("label", ["Explanation", "**Reason**", "Justification", "Erklärung"])
def test_a_line_over_its_explanation_is_the_answer(label: str) -> None:
    reply = f"Paris\n\n{label}: it is the capital.\nIt lies on the Seine."
    assert is_correct(reply, "Paris") and not is_correct(reply, "It lies on the Seine")
    assert is_correct("I think of it.\nThe capital:\nParis", "Paris")
