"""Formulas as people type them: slashes, ±, primes, money inside TeX, and lists."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srl_edge.method.verifiers import is_correct, same_value

EQUAL = [
    # digits over digits before a factor are a fraction of it
    *(("4/3π", r"\frac43\pi", r"4/3 \pi"), ("1/2 x^2", "1/2x^2", r"\frac{x^2}{2}")),
    *(
        ("y = 1/2 x + 3", r"y=\frac12x+3"),
        ("2/3√3", r"\frac{2\sqrt3}{3}"),
        ("1/2(x+1)", r"\frac{x+1}{2}"),
    ),
    *(
        (r"\frac12+\frac32i", "1/2 + 3/2i"),
        ("4/(3π)", r"\frac{4}{3\pi}"),
        ("1/(2x)", r"\frac1{2x}"),
    ),
    # each ± is a plus and a minus
    (r"\frac{1\pm\sqrt5}{2}", r"\frac{1+\sqrt5}{2},\frac{1-\sqrt5}{2}", r"(1\pm\sqrt5)/2"),
    (r"\frac12\pm\frac{\sqrt5}{2}", r"x=\frac{1\pm\sqrt5}{2}", r"\frac{2\pm\sqrt{20}}{4}"),
    *((r"\pm2,\pm3", "2,-2,3,-3"), ("+-3", "±3", "3, -3"), ("2 +/- sqrt(3)", r"2\pm\sqrt3")),
    (r"x \pm y \mp z", "x+y-z, x-y+z"),
    # an escaped dollar inside a formula
    *((r"$\$18$", "18", r"\$18", r"$\text{\$}18$", r"\textdollar 18"), (r"$-\$5$", "-5", "-$5")),
    (r"$\$18 \text{ million}$", "18 million"),
    # derivatives
    *(("f'(x)=2x+1", "f'(x) = 1+2x", "2x+1", r"f^{\prime}(x)=2x+1"), ("y''+y=0", "y'' + y = 0")),
    ("y + y''= 0", "y''+y=0"),
    (r"\frac{dy}{dx}=2x", "2x", r"\frac{dy}{dx} = 2 x"),
    # lists of words and of quantities
    *(("red and blue", "red, blue", "red & blue"), ("red, blue, and green", "red, blue, green")),
    *(("5 cm, 7 cm", "5 cm and 7 cm", "7 cm and 5 cm"), ("1,200 and 1,300", "1200, 1300")),
    ("12 men and 5 women", "5 women, 12 men"),
    # TeX's arguments, semicolons and remainders
    *(
        (r"\mathbb R", r"\mathbb{R}"),
        (r"\binom52", r"\binom{5}{2}"),
        (r"\sqrt[3]2", r"\sqrt[3]{2}"),
    ),
    *(("(1;2)", "(1,2)"), (r"\{1;2\}", r"\{1,2\}"), ("3 R 2", "3 remainder 2", "3R2")),
    *(("(-inf, 2)", r"(-\infty,2)"), ("infinity", r"\infty"), ("theta", r"\theta")),
    *(
        ("three and a half", "3.5"),
        ("0.5", "0.5 M"),
        ("5", "5 T"),
        (r"4210_{\text{five}}", "4210_5"),
    ),
]
UNEQUAL = [
    *(("4/3π", r"\frac{4}{3\pi}"), ("1/2 x^2", r"\frac{1}{2x^2}"), ("1/2^x", r"(1/2)^{-x}")),
    *(("y = 1/2 x + 3", r"y=\frac{1}{2x}+3"), ("2/3√3", r"\frac{2}{3\sqrt3}")),
    *((r"\frac{1\pm\sqrt5}{2}", r"\frac{1+\sqrt5}{2}"), (r"1\pm2", "3, 1"), ("±3", "3")),
    *((r"\frac{1\pm\sqrt5}{2}", r"\frac{1\pm\sqrt3}{2}"), (r"\pm2,\pm3", "2,-2,3"), ("5+-3", "±3")),
    *((r"$\$18$", "-18"), (r"$-\$5$", "5"), (r"$\$18 - \$20$", "18")),
    *(("f'(x)=2x", "f(x)=2x+1"), ("y''+y=0", "y'+y=0"), ("f'(x)=2x", "3x")),
    *(("red and blue", "blue, red"), ("red and blue", "red, blue, green")),
    *(("5 cm, 7 cm", "5 cm and 8 cm"), ("12 women and 5 men", "12 men and 5 women")),
    *(("5, 12", "12 men and 5 women"), ("1,200 and 1,300", "1200, 1301")),
    *(("45 units^3", "45 units^2"), ("45 cubic feeds", "45 square feeds"), ("-221_6", "-221_3")),
    *((r"\mathbb R", r"\mathbb{Q}"), ("(1;2)", "(2,1)"), ("3 R 2", "3 R 1"), (r"\sqrt[3]2", "2")),
]


@pytest.mark.parametrize("spellings", EQUAL)
def test_spellings_of_one_formula(spellings: tuple[str, ...]) -> None:
    for one in spellings:
        for other in spellings:
            assert same_value(one, other), (one, other)


@pytest.mark.parametrize("pair", UNEQUAL)
def test_formulas_that_differ(pair: tuple[str, str]) -> None:
    assert not same_value(*pair)
    assert not same_value(*pair[::-1])


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (r"#### $\$18$", "18"),
        (r"\boxed{$\$18$}", "18"),
        (r"The answer is $-\$5$.", "-5"),
    ],
)
def test_money_inside_a_formula(reply: str, answer: str) -> None:
    assert is_correct(reply, answer)
    assert not is_correct(reply, answer.removeprefix("-") if "-" in answer else f"-{answer}")


@given(
    st.integers(1, 9),
    st.integers(2, 9),
    st.integers(1, 9),
    st.sampled_from(["x", "π", r"\sqrt{7}"]),
)
@settings(max_examples=40, deadline=None)
def test_a_factor_after_a_slash(top: int, bottom: int, other: int, factor: str) -> None:
    assert same_value(f"{top}/{bottom} {factor}", rf"\frac{{{top}}}{{{bottom}}}{factor}")
    equal = top * bottom == other * bottom
    assert same_value(f"{top}/{bottom}{factor}", rf"\frac{{{other}{factor}}}{{{bottom}}}") == equal
