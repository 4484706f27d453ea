# ruff: noqa: RUF001 - Chinese punctuation is what is cut at
"""Where sentences and lines end in other people's writing: abbreviations, lower case, Chinese."""

import pytest

from srl_edge.data.cutting import cut_solution, sensible
from srl_edge.data.trajectories import ParseReport, parse_rows


@pytest.mark.parametrize(
    "steps",
    [
        ("The fee is Rs. 300 a day.", "So 4 days are Rs. 1200."),
        ("Let it be Rs. X a day.", "Then X is 3."),
        ("On Mar. 4 she left.", "On Sept. 7 she came."),
        ("By Ex. 2 and Prop. 3 it holds.", "By Def. 4 it ends."),
        ("He is 6 ft. 2 in. tall.", "Then he grew."),
        ("The max. 9 and the min. 2 differ.", "So it is 7."),
        ("It weighs 3 lb. 4 oz. in all.", "It fell."),
        ("The area is 9 sq. ft.", "Then it doubles."),
        ("Lt. Green met Col. White.", "Both left."),
        ("So 7 . 8 is 56.", "It is even."),
        ("W.l.o.g. Let a be 1.", "Then b is 2."),
        ("The price is 300 Rs.", "He pays it."),
        ("It is at its max.", "Then it falls."),
        ("By rule no. 1 it holds.", "By Sect. 5 it ends."),
        ("It is approx. 5 km.", "It is not far, no.", "Then go."),
    ],
)
def test_a_full_stop_of_an_abbreviation_ends_no_sentence(steps: tuple[str, ...]) -> None:
    assert cut_solution(" ".join(steps), ("sentences",))[0] == list(steps)


@pytest.mark.parametrize(
    "steps",
    [
        ("let the price be x .", "then 4 x + 6 = 30 .", "so x is 6"),
        ("he buys 7 pens at rs . 30 each .", "he pays rs . 210 .", "% of it is 5 ."),
        ("it is 5 km .", "he goes on ."),
    ],
)
def test_a_text_without_capitals_is_cut_too(steps: tuple[str, ...]) -> None:
    assert cut_solution(" ".join(steps), ("sentences",))[0] == list(steps)


@pytest.mark.parametrize(
    "steps", [("So e.g. one is odd.", "Then two is not."), ("$\\frac ab = 3. $",)]
)
def test_other_texts_are_cut_at_capitals(steps: tuple[str, ...]) -> None:
    assert cut_solution(" ".join(steps), ("sentences",))[0] == list(steps)


def test_rationales_in_lower_case_are_kept() -> None:
    row = {
        "problem": "what does he gain ?",
        "solution": '"he pays 30 . he gets 45 . so he gains 15 . answer : b"',
        "answer": "b",
        "options": "a ) 10 , b ) 15 , c ) 20 , d ) 25 , e ) 30",
    }
    (found,) = parse_rows([row], ParseReport(), ("sentences",))
    assert found.steps == ("he pays 30 .", "he gets 45 .", "so he gains 15 .\n#### b")


def test_what_a_wide_colon_announces_goes_with_it() -> None:
    text = "解：\n每个5元。\n\n共有6个，所以：\n\n5*6=30\n\n再减，\n\n4元，得26元。"
    steps = cut_solution(text, ("paragraphs",))[0]
    assert steps == ["解：\n每个5元。", "共有6个，所以：\n\n5*6=30", "再减，\n\n4元，得26元。"]
    assert sensible(steps, 100, 9)
    assert not any(sensible(["共有6个", end], 100, 9) for end in ("所以：", "再减，", "一、"))


def test_a_block_of_code_with_its_output_is_one_step() -> None:
    code = "<llm-code>\nx = 5 * 6\n\nx\n</llm-code>\n<llm-code-output>\n30\n</llm-code-output>"
    text = f"We compute it.\n\n{code}\n\nSo it is 30."
    for style in ("lines", "paragraphs"):
        assert cut_solution(text, (style,))[0] == ["We compute it.", code, "So it is 30."]
