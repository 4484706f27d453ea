"""Variables side by side are a product: of physics, differential equations and geometry."""

import pytest

from srl_edge.method.verifiers import is_correct, kind_of, same_value

EQUAL = [
    (r"\frac{kQq}{r^2}", r"\frac{kQq}{r^{2}}", r"k \frac{Q q}{r^2}"),
    ("y=Be^{-3t}", "y = B e^{-3t}", r"y=\frac{B}{e^{3t}}"),
    (r"\frac{PVm}{RT}", r"\frac{P V m}{R T}", r"\frac{mPV}{RT}"),
    (r"mgL(1-\cos\theta)", r"m g L (1-\cos(\theta))", r"mgL - mgL\cos\theta"),
    ("F = mg", "F=mg", "F = g m"),
    (r"\frac{1}{2}mv^2 - mgh", r"\frac12 m v^2 - m g h", r"-mgh+\frac{mv^{2}}{2}"),
    (r"2\pi\sqrt{LC}", r"2 \pi \sqrt{CL}"),
    ("Ax + By = 1", "Ax+By=1", "By + Ax = 1"),
    ("PQ + QR", "PQ+QR", "QR + PQ"),
    (r"\frac{AM}{MB}", r"\frac{A M}{M B}"),
    (r"PQ \parallel RS", r"PQ\parallel RS"),
    (r"\triangle ABC \sim \triangle DEF", r"\triangle ABC\sim\triangle DEF"),
    ("KOH + HNO_3", "KOH+HNO_{3}"),
    ("P(B|A)", "P(B | A)", r"P(B\,|\,A)"),
    ("g'(x)h(x)", "g'(x) h(x)"),
    # behind a number
    ("5RT", "5 R T", "5TR"),
    (r"\frac{5}{2}RT", r"\frac{5RT}{2}", "2.5RT", r"\frac{5}{2} RT"),
    ("4GM", "4 G M"),
    (r"3\pi RC", r"3 \pi R C", r"3\pi CR"),
    ("3kT", "3 k T"),
]
UNEQUAL = [
    *(("5", "5RT"), (r"\frac{5}{2}", r"\frac{5}{2}RT"), ("4", "4GM"), ("6", "6PQ"), ("3", "3kT")),
    *((r"3\pi", r"3\pi RC"), ("5RT", "5RC"), ("3kT", "3kR"), (r"2\pi RC", r"2\pi RL")),
    *(("F=mg", "F=mh"), ("F=mg", "F=ma"), ("y=Be^{2t}", "y=Be^{3t}"), ("mgh", "mgk + 0")),
    *((r"\frac{GMm}{r}", r"\frac{GMm}{r^2}"), ("PQ+QR", "PQ-QR"), ("Ax+By=1", "Ax+By=2")),
    # of which the order counts
    *((r"\angle ABC", r"\angle ACB"), (r"\overrightarrow{AB}", r"\overrightarrow{BA}")),
    *((r"AB \perp CD", r"AB \perp CE"), ("not p", "notp"), ("ab cd + 1", "abc d e + 1")),
]


@pytest.mark.parametrize("spellings", EQUAL)
def test_spellings_of_one_product(spellings: tuple[str, ...]) -> None:
    for one in spellings:
        for other in spellings:
            assert same_value(one, other), (one, other)
            assert is_correct(rf"So it is \boxed{{{one}}}.", other), (one, other)


@pytest.mark.parametrize("pair", UNEQUAL)
def test_products_that_differ(pair: tuple[str, str]) -> None:
    assert not same_value(*pair)
    assert not same_value(*pair[::-1])


def test_weight_is_no_mass() -> None:
    """`3mg` may be a product; with a space or as text it is a unit."""
    assert not same_value("3", "3mg")
    assert same_value("3 mg", "3mg") and same_value("3", "3 mg") and same_value("3mg", "3")
    assert same_value("3", r"3\text{ mg}")


@pytest.mark.parametrize("text", ["5 GB", "3 PM", "44 BC", "20 USD", "12 km", "5kg", "60 kWh"])
def test_units_and_abbreviations_are_no_products(text: str) -> None:
    assert kind_of(text) in ("number", "exact")
    assert same_value(text, text.lower()) or same_value(text, text)


@pytest.mark.parametrize("text", ["AND", "NY", "no", "Ed", "HTML", "A AND B", "In 5 days", "all"])
def test_words_are_texts(text: str) -> None:
    assert kind_of(text) == "exact"
