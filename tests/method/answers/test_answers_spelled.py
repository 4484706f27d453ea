# ruff: noqa: RUF001 - digits and signs of other kinds are what is read here
"""Spellings of one value that are read by the right answer's kind, and near ones that differ."""

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from srl_edge.method.answers.quantities import quantity
from srl_edge.method.answers.reading import final_answer
from srl_edge.method.verifiers import is_correct, kind_of, same_value

EQUAL = [
    # lists of points, intervals and sets, in braces or not
    ("(4,7), (2,9)", "\\{(2,9),(4,7)\\}", "\\left\\{(4, 7), (2, 9)\\right\\}", "(4,7) and (2,9)"),
    ("\\{(4,7),(2,\\sqrt{5})\\}", "(2,\\sqrt5),(4,7)", "\\{(4,7), (2, \\sqrt 5)\\}"),
    ("[4,7], (9,12]", "\\{[4,7],(9,12]\\}", "(9,12], [4,7]"),
    ("\\{4,7\\}, \\{9\\,,2\\}", "\\{\\{2,9\\},\\{4,7\\}\\}"),
    ("\\{(4,7)\\}", "(4,7)"),
    # thousands in formulas
    ("2^{11}", "2{,}048", "2048", "2,048", "2,\\!048", "2\\text{,}048"),
    ("3072\\pi", "3{,}072\\pi", "3,\\!072\\pi"),
    ("2048x+1", "2{,}048x+1"),
    # logarithms by their base
    ("\\ln 7", "\\log_e 7", "\\log_{e} 7", "log_e 7", "ln 7", "\\log_e(7)"),
    ("\\ln \\frac{5}{2}", "\\ln 2.5", "\\ln\\frac52", "\\ln(2.5)"),
    ("-\\ln 4", "\\ln 0.25"),
    ("\\log_3 0.5", "-\\log_3 2"),
    ("2\\ln x", "2\\log_e x", "2 \\log_{e}{x}"),
    ("\\log_3 7", "log₃ 7", "\\log_{3}(7)"),
    # what is set lower or higher
    ("H2SO4", "H₂SO₄", "H_2SO_4", "$H_{2}SO_{4}$"),
    ("NH₃", "NH3", "$NH_{3}$"),
    ("Mg²⁺", "Mg^{2+}", "$Mg^{2+}$"),
    ("K⁺", "K+", "K^+"),
    ("v₁", "v_1", "v_{1}"),
    ("v₁+v₂", "v_1+v_2", "v_2 + v_1"),
    ("1011₂", "1011_2", "1011_{2}"),
]
UNEQUAL = [
    ("\\{(4,7),(2,9)\\}", "(7,4),(2,9)"),
    ("\\{(4,7),(2,9)\\}", "(4,7)"),
    ("\\{(4,7),(2,9)\\}", "4,7,2,9"),
    ("((4,7),(2,9))", "\\{(2,9),(4,7)\\}"),
    ("(4,7),(2,9)", "(4,7),(2,9),(4,7)"),
    ("\\{\\{4,7\\}\\}", "\\{4,7\\}"),
    ("\\{4,7\\}", "(4,7)"),
    ("[4,7], (9,12]", "\\{[4,7],[9,12]\\}"),
    ("3, 200", "3200"),
    ("3, 200, 100", "3200100"),
    ("(70, 000)", "70000"),
    ("5, 70, 000", "70000"),
    ("70, 00", "7000"),
    ("(3,200)", "2^7*25"),
    ("\\{3,200\\}", "2^7*25"),
    ("\\log_e 7", "\\log_{10} 7"),
    ("\\log_e 7", "\\ln 8"),
    ("\\ln 2.5", "\\ln 2.51"),
    ("H₂O", "HO₂"),
    ("H₂O", "2"),
    ("H2O", "2HO"),
    ("CO₂", "Co₂"),
    ("O₂⁻", "O²⁻"),
    ("PIN_4", "PIN4"),
    ("1011₂", "10112"),
    ("1011₂", "1011"),
    ("v₁", "1"),
    ("v₁2", "v₁₂"),
    ("4 - 9", "-5"),
    ("3x = 4 - 9", "-5"),
    ("x = 4 - 9", "9"),
    ("x > 4 - 9", "-5"),
    ("day = 2024-05-01", "2018"),
    ("x = 4 - 9 km", "-5 kg"),
]


@pytest.mark.parametrize("spellings", EQUAL)
def test_spellings_of_one_value(spellings: tuple[str, ...]) -> None:
    for other in spellings:
        assert same_value(other, spellings[0]) and same_value(spellings[0], other), other
        assert is_correct(f"So \\boxed{{{other}}}.", spellings[0]), other


@pytest.mark.parametrize("pair", UNEQUAL)
def test_values_that_are_near(pair: tuple[str, str]) -> None:
    assert not same_value(*pair) and not same_value(*reversed(pair))


def test_a_compound_is_a_text_and_no_number() -> None:
    assert kind_of("H2O") == kind_of("C6H12O6") == "exact"
    assert quantity("H₂O") is None and quantity("101₂") is None


@pytest.mark.parametrize(
    "given", ["70, 000", "$70, 000", "70, 000 dollars", "70,\\ 000", "70 ,000", "70, 000.00"]
)
def test_a_space_after_the_comma_of_thousands(given: str) -> None:
    assert same_value(given, "70000") and same_value(given, "$70,000")
    assert is_correct(f"So it costs {given}.", "70,000") or "\\" in given or " ," in given
    assert not same_value(given, "70") and not same_value(given, "7000")
    assert same_value("70, 050, 200", "70050200")


LISTED = st.lists(st.integers(0, 999), min_size=2, max_size=4)


@settings(max_examples=300, deadline=None)
@drawn(LISTED, st.integers(1, 10**9))
def test_a_list_is_no_number(items: list[int], number: int) -> None:
    listed = ", ".join(map(str, items))
    assert not same_value(listed, str(number)) and not same_value(str(number), listed)
    joined = int("".join(map(str, items)))
    assert not same_value(listed, str(joined)) and not same_value(f"{joined:,}", f"({listed})")


@settings(max_examples=300, deadline=None)
@drawn(st.integers(1, 10**12), st.integers(1, 10**12))
def test_loose_thousands_are_equal_by_value_alone(a: int, b: int) -> None:
    loose = f"{a:,}".replace(",", ", ")
    read = same_value(loose, str(a))
    assert read == (", 0" in loose or a < 1000)
    assert not same_value(loose, str(b)) or a == b


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("The bus leaves at 6:45 PM.", "6:45 PM"),
        ("So they get there at 6:45 p.m.", "6:45 PM"),
        ("We add it up.\n\nThree hours later it is 6:45 pm.", "6:45 p.m."),
        ("It opens at 9 AM.", "9:00 a.m."),
        ("It is 18:45 when she wakes up.", "18:45"),
        ("#### at 6:45 PM", "6:45 PM"),
        ("\\boxed{\\text{at } 6:45 \\text{ PM}}", "6:45 PM"),
        ("He is home at 06:45 PM on Sunday.", "6:45 PM"),
    ],
)
def test_a_time_in_a_sentence(reply: str, answer: str) -> None:
    assert is_correct(reply, answer)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("The bus leaves at 6:45 PM.", "6:45 AM"),
        ("The bus leaves at 6:45 PM.", "6:45"),
        ("The bus leaves at 6:45.", "6:45 PM"),
        ("The bus leaves before 6:45 PM.", "6:45 PM"),
        ("It is not 6:45 PM.", "6:45 PM"),
        ("It isn’t at 6:45 PM.", "6:45 PM"),
        ("It is open from 6:45 PM to 8:15 PM.", "6:45 PM"),
        ("It is at 6:45 PM or so, or 7:15 PM.", "6:45 PM"),
        ("It is UTC+6:45", "6:45"),
        ("It leaves at 6:45 PM EST.", "6:45 PM"),
        ("It takes 16:45 minutes", "6:45"),
        ("It takes 6:45:10 hours", "6:45"),
    ],
)
def test_a_time_that_is_not_said_alone(reply: str, answer: str) -> None:
    assert not is_correct(reply, answer)


@pytest.mark.parametrize(
    ("reply", "answer", "read"),
    [
        ("So x = 4 - 9.", "-5", "x = 4 - 9"),
        ("Thus y = 3 * 6", "18", "y = 3 * 6"),
        ("We get total = 5 × 4.", "20", "= 5 × 4"),
        ("Then n = 12 / 4 + 2", "5", "n = 12 / 4 + 2"),
        ("So k = 1,000 - 1 apples.", "999", "k = 1,000 - 1"),
        ("So k = (2 + 3) * 4", "20", "k = (2 + 3) * 4"),
        ("$x = 4 - 9$", "-5", "x = 4 - 9"),
    ],
)
def test_a_sum_that_is_not_worked_out(reply: str, answer: str, read: str) -> None:
    assert final_answer(reply) == read and not is_correct(reply, answer)
    assert is_correct(f"{reply.rstrip('.$')} = {answer}", answer)


def test_a_quotient_is_a_fraction() -> None:
    assert final_answer("So y = 12 / 4.") == "12 / 4" and is_correct("So y = 12 / 4.", "3")


def test_a_range_in_a_sentence_is_no_difference() -> None:
    assert not is_correct("It takes 4 - 9 days.", "-5") and not is_correct("So: 4-9", "-5")
