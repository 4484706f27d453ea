# ruff: noqa: RUF001 - signs of mathematics are what is read here
"""Formulas in other spellings: typed without TeX, by TeX's rarer commands, and in words."""

import pytest

from srl_edge.method.verifiers import is_correct, kind_of, same_value

EQUAL = [
    *(("3θ", r"3\theta", "3 θ"), ("λ", r"\lambda"), ("2ω + 1", r"1+2\omega"), ("Δt", r"\Delta t")),
    *(("e^-t", "e^{-t}"), ("2^-3", "1/8"), ("exp(3)", "e^3"), ("exp(-2x)", "e^{-2x}")),
    *(("arctan(3)", r"\arctan 3"), ("csc(t)", r"\csc t"), ("ln3", r"\ln 3", "ln(3)")),
    *(("∛5", r"\sqrt[3]{5}", "cbrt(5)"), ("ℤ", r"\mathbb{Z}"), ("3ⁿ", "3^n"), ("xᵏ", "x^k")),
    *(("6 choose 2", "15"), ("log2(5)", r"\log_2 5"), ("sinh(x)", r"\sinh x"), ("C_6^2", "15")),
    *((r"\langle 4,5\rangle", "(4,5)"), (r"\lbrace 3,4\rbrace", r"\{3,4\}")),
    *((r"\lvert y\rvert", "|y|"), (r"\operatorname{tg} t", r"\tan t"), (r"\ctg x", r"\cot x")),
    *(("4或-2", "4, -2"), (r"\nicefrac{3}{4}", "3/4"), (r"{\rm 7}", "7"), (r"8 \blacksquare", "8")),
    *((r"7^{\text{th}}", "7th"), (r"3^\frac12", r"\sqrt3"), ("(212)_3", "212_3", "212_{3}")),
    (r"\text{no solution}", r"\emptyset"),
    (r"\text{all real numbers}", r"(-\infty,\infty)"),
    ("x_1=4, x_2=-1", "x=4 or x=-1", "x = -1, x = 4"),
    *(("x=4, y=-1", "(4,-1)", "y=-1, x=4"), ("πr^2", r"\pi r^2"), (r"\bf{7}", "7")),
]
UNEQUAL = [
    *(("3θ", r"3\phi"), ("λ", r"\mu"), ("e^-t", "e^t"), ("2^-3", "8"), ("exp(3)", "e^2")),
    *(("arctan(3)", r"\tan 3"), ("ln3", r"\ln 2"), ("∛5", r"\sqrt{5}"), ("ℤ", r"\mathbb{R}")),
    *(("3ⁿ", "3n"), ("6 choose 2", "20"), ("log2(5)", r"\log 5"), ("C_6^2", "6")),
    *((r"\langle 4,5\rangle", "(5,4)"), (r"\lvert y\rvert", "y"), (r"\ctg x", r"\tan x")),
    *(("4或-2", "4, 2"), (r"\nicefrac{3}{4}", "4/3"), ("(212)_3", "212_4"), (r"3^\frac12", "3/2")),
    (r"\text{no solution}", r"(-\infty,\infty)"),
    (r"\text{all real numbers}", r"\emptyset"),
    (r"\text{all real numbers}", r"(0,\infty)"),
    *(("x_1=4, x_2=-1", "x=4"), ("x_1=4, x_2=-1", "x=4, x=1"), ("x_1=4, x_2=-1", "y=4, y=-1")),
    *(("x=4, y=-1", "(-1,4)"), ("a=1, b=2, c=3", "(1,3,2)"), ("x_1=4, x_2=-1", "x_1=-1, x_2=4")),
]


@pytest.mark.parametrize("spellings", EQUAL)
def test_spellings_of_one_formula(spellings: tuple[str, ...]) -> None:
    for one in spellings:
        for other in spellings:
            assert same_value(one, other), (one, other)
            assert is_correct(rf"So it is \boxed{{{one}}}.", other), (one, other)


@pytest.mark.parametrize("pair", UNEQUAL)
def test_formulas_that_differ(pair: tuple[str, str]) -> None:
    assert not same_value(*pair)
    assert not same_value(*pair[::-1])


@pytest.mark.parametrize("text", ["you choose 3", "I choose b", "α-helix", "expand(x=1)", "ναι"])
def test_words_are_no_formulas(text: str) -> None:
    assert kind_of(text) in ("exact", "call")


@pytest.mark.parametrize("text", ["sqrt(2)", "cbrt(2)", "log2(8) + 1"])
def test_functions_are_formulas(text: str) -> None:
    assert kind_of(text) == "math"
