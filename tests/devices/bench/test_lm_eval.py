"""Our scoring of GSM8K against lm-evaluation-harness's own, on the same outputs."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srl_edge.method.answers import extraction
from srl_edge.method.verifiers import is_correct

# `make setup` puts it apart from the environment, of which it needs little.
sys.path.append(str(Path(sys.prefix) / "lm_eval"))
pytest.importorskip("lm_eval", reason="lm-eval is not installed; make setup does it")

IGNORED = [",", "\\$", "(?s).*#### ", "\\.$"]  # of lm_eval/tasks/gsm8k/gsm8k.yaml, version 3


def theirs(output: str, answer: str, strict: bool = True) -> bool:
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter
    from lm_eval.filters.selection import TakeFirstFilter

    chosen: dict[str, Any] = (
        {"regex_pattern": r"#### (\-?[0-9\.\,]+)"}
        if strict
        else {"regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "group_select": -1}
    )
    found = RegexFilter(**chosen).apply([[output]], [{}])
    (first,) = TakeFirstFilter().apply(found, [{}])
    result = exact_match_hf_evaluate(
        predictions=[first],
        references=[f"Worked.\n#### {answer}"],
        ignore_case=True,
        ignore_punctuation=False,
        regexes_to_ignore=IGNORED,
    )
    return bool(result["exact_match"])


NUMBERS = st.integers(-99999, 99999)


@settings(max_examples=200, deadline=None)
@given(NUMBERS, NUMBERS, st.booleans(), st.sampled_from(["{}", "{:,}"]))
def test_answers_after_the_mark_score_alike(
    answer: int, other: int, right: bool, style: str
) -> None:
    given_ = answer if right else other
    output = f"7 + 5 = 12 apples.\nSo it is {given_ + 3} - 3.\n#### {style.format(given_)}"
    assert is_correct(output, f"{answer:,}") == theirs(output, f"{answer:,}")
    assert is_correct(output, str(answer)) == (answer == given_)


@pytest.mark.parametrize(
    ("output", "ours", "strict", "flexible"),
    [
        ("She has 18 left.\n#### 18", True, True, True),
        ("She has 18 left.", True, False, True),  # without a mark the last number counts
        ("She has 18 left, not 20.", False, False, False),
        ("#### 18.00", True, False, False),  # equal by value, not by text
        ("#### $18", True, False, True),
        ("#### 18 eggs", True, True, True),
        ("I give up.", False, False, False),
    ],
)
def test_where_the_two_differ_is_known(
    output: str, ours: bool, strict: bool, flexible: bool
) -> None:
    assert is_correct(output, "18") == ours
    assert (theirs(output, "18"), theirs(output, "18", strict=False)) == (strict, flexible)


# Texts of what the two filters look for, and of what they stumble over.
PIECES = st.lists(
    st.sampled_from(["#### ", "####", "18", "-3", "1,234", "$", ".", ",", " ", "\n", "so", "0.5"]),
    max_size=12,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(PIECES, st.sampled_from(["18", "-3", "1,234", "0.5"]))
def test_our_reading_of_their_filters_is_theirs(output: str, answer: str) -> None:
    assert extraction.same(extraction.strict(output), answer) == theirs(output, answer)
    flexibly = extraction.same(extraction.flexible(output), answer)
    assert flexibly == theirs(output, answer, strict=False)
