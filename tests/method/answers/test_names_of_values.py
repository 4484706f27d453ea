"""What a value is called: a name beside it changes nothing, and another's name is another value."""

from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srl_edge.method.answers.names import agree, asked_for, is_name, named
from srl_edge.method.answers.plain import plain
from srl_edge.method.verifiers import is_correct, same_value

NAMES = [
    *("x", "x_1", "a_{10}", "S_5", r"T_{\max}", "T_{max}", r"v_{\text{avg}}", "a_10"),
    *("f(2)", "f'(2)", "f''(1)", "f^{-1}(3)", "f_2(3)", r"(f\circ g)(2)", "g(f(2))", "f(x)_{min}"),
    *("P(A)", "P(A|B)", "P(X=2)", "E[X]", r"\mathbb{E}[X]", r"\operatorname{Var}(X)", "C_6^2"),
    *(r"\tan A", r"\cos^2 x", r"\det A", r"\gcd(4,6)", r"\max(a,b)", r"\dim V", r"\sin 30^\circ"),
    *("|z|", "|AB|", r"\overline{AB}", r"\bar{x}", r"|\vec{a}|", r"\lceil x\rceil", "[ABC]"),
    *(r"\angle ABC", r"m\angle A", r"S_{\triangle ABC}", r"\Delta H", r"\theta", r"\lambda_1"),
    *("Area", r"\text{Area}", "Total cost", r"\text{rank}(A)", "pH", r"\frac{dy}{dx}"),
    *(r"\lim_{n\to\infty} a_n", r"\int_0^1 f", r"\log_2 8", r"\sqrt{4}", r"\binom{6}{2}"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["55", "-2", r"\frac{1}{3}"])
def test_a_name_changes_no_value(name: str, value: str) -> None:
    assert same_value(f"{name} = {value}", value)
    assert same_value(value, f"{name} = {value}")
    assert not same_value(f"{name} = {value}", "7")
    assert not same_value("7", f"{name} = {value}")


@pytest.mark.parametrize(
    "reply",
    [
        r"So $\boxed{a_{10} = 20\text{ m/s}}$.",
        "The answer is $S_5=20$.",
        "Answer: a₁₀ = 20",
        "#### a_10 = 20",
        r"\boxed{f'(2) = 20}",
    ],
)
def test_a_name_in_a_reply(reply: str) -> None:
    assert is_correct(reply, "20")
    assert not is_correct(reply, "10") and not is_correct(reply, "2")


@pytest.mark.parametrize(
    ("equation", "value"),
    [
        *(("2x = 10", "10"), ("x^2 = 49", "49"), ("x+1 = 5", "5"), ("|x - 3| = 5", "5")),
        *(("x(x+1) = 12", "12"), (r"\sqrt{x} = 5", "5"), ("x^{-1} = 5", "5"), ("x/2 = 5", "5")),
        *((r"x^2 = 2\sqrt3", r"2\sqrt3"), ("n is not = 5", "5"), ("x_1 = 5, x_2 = 6", "6")),
        *((r"\ln x = 3", "3"), ("sqrt(x) = 3", "3"), ("n! = 6", "6")),
    ],
)
def test_an_equation_is_no_value_with_its_name(equation: str, value: str) -> None:
    assert not same_value(equation, value)
    assert not asked_for(equation.rpartition("=")[0].strip())


ALIKE = [
    *(("x_1", "x_{1}"), (r"\theta", "θ"), (r"\text{Area}", "area"), ("f(x)", "y")),
    *(("x", "x_1"), ("A", "Area"), (r"m\angle B", r"\angle ABC"), ("AB", "|BA|")),
    *(("f'(x)", r"f^{\prime}(x)"), ("Total cost", "The cost"), ("x", r"\angle ABC"), ("P(A)", "p")),
]
APART = [
    *(("x", "y"), ("a", "b"), (r"\theta", "x"), ("x_1", "x_2"), ("f(2)", "f(3)")),
    *(("f(2)", "f'(2)"), (r"\sin A", r"\cos A"), ("Area", "Perimeter"), (r"\angle A", r"\angle B")),
    *(("f(x)", "x"), ("AB", "BC"), ("P(A)", "P(B)")),
]


@pytest.mark.parametrize("pair", ALIKE)
def test_names_of_one_value(pair: tuple[str, str]) -> None:
    for one, other in (pair, pair[::-1]):
        assert agree(plain(one), plain(other))
        assert same_value(f"{one} = 3", f"{other} = 3")
        assert not same_value(f"{one} = 3", f"{other} = 4")


@pytest.mark.parametrize("pair", APART)
def test_names_of_two_values(pair: tuple[str, str]) -> None:
    for one, other in (pair, pair[::-1]):
        assert not agree(plain(one), plain(other))
        assert not same_value(f"{one} = 3", f"{other} = 3")


def test_a_line_may_be_solved_for_another_letter() -> None:
    assert same_value("x = 2y", "y = \\frac{x}{2}")
    assert not same_value("x = 2y", "y = 2x")


LETTERS = st.sampled_from([*"abcdkmnprstuvxyz", r"\alpha", r"\lambda", r"\omega"])
SCRIPTS = st.sampled_from(["", "_1", "_{12}", "_{max}", "'", "''", "(2)", "_n(3)"])


@given(LETTERS, SCRIPTS, LETTERS, st.integers(-99, 99), st.integers(-99, 99))
@settings(max_examples=100, deadline=None)
def test_values_are_equal_by_value_whatever_they_are_called(
    letter: str, script: str, other: str, a: int, b: int
) -> None:
    assert is_name(letter + script)
    assert same_value(f"{letter}{script} = {a}", str(b)) == (a == b)
    assert same_value(str(a), f"{letter}{script} = {b}") == (a == b)
    assert same_value(f"{letter} = {a}", f"{other} = {a}") == (letter == other)


@pytest.mark.parametrize(
    "piece",
    [
        "a ",
        "f(",
        "x_",
        "x'",
        "a-",
        "{",
        "x=5,",
        "1 ",
        r"\bar{",
        "x^",
        "f(()",
        r"\sum",
        "|x",
        "C_1^",
    ],
)
def test_no_name_takes_long(piece: str) -> None:
    start = perf_counter()
    for text in (piece * 15 + "=5", piece * 39 + "! =5", piece * 25_000):
        named(text)
        agree(text[:80], text[:79])
    assert perf_counter() - start < 1
