"""Complex numbers, in which i is the imaginary unit wherever it stands."""

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from srl_edge.method.verifiers import is_correct, same_value

EQUAL = [
    ("5 - 4i\\sqrt{7}", "5 - 4\\sqrt{7}i"),
    ("\\frac{-5+3i\\sqrt{11}}{2}", "-\\frac{5}{2}+\\frac{3\\sqrt{11}}{2}i"),
    ("-7 - 1i", "-7 - i"),
    ("4 - 9\\mathrm{i}", "4 - 9i"),
    ("6\\imath", "6i"),
    ("z = 4i\\sqrt{5}", "4\\sqrt{5}i"),
    ("\\frac{2}{1+i}", "1-i"),
    ("(2+i)^2", "3+4i"),
    ("e^{2i}", "e^{2\\mathrm{i}}"),
    ("1+2i\\sqrt{3}, 1-2i\\sqrt{3}", "1-2\\sqrt{3}i, 1+2\\sqrt{3}i"),
    ("x+2yi", "x+2iy"),
]
UNEQUAL = [
    ("5 - 4i\\sqrt{7}", "5 + 4\\sqrt{7}i"),
    ("4i\\sqrt{7}", "4\\sqrt{7}"),
    ("9\\mathrm{i}", "9"),
    ("6\\text{i}", "6"),
    ("5\\mathrm{e}", "5"),
    ("4\\pi\\mathrm{i}", "4\\pi"),
    ("7i", "7j"),
    ("x+2yi", "x-2iy"),
    ("3i", "-3i"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_complex_numbers(one: str, other: str) -> None:
    assert same_value(one, other)
    assert same_value(other, one)
    assert is_correct(f"\\boxed{{{one}}}", other)


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_unequal_complex_numbers(one: str, other: str) -> None:
    assert not same_value(one, other)
    assert not same_value(other, one)


def _written(real: int, size: int, root: int) -> list[str]:
    """The number real + size * sqrt(-root), in some of the ways in which people write it."""
    sign, size = ("-" if size < 0 else "+"), abs(size)
    return [
        f"{real} {sign} {size}i\\sqrt{{{root}}}",
        f"{real} {sign} {size}\\sqrt{{{root}}}i",
        f"{real}{sign}{size}\\sqrt{{{root}}}\\cdot i",
        f"{sign.strip('+')}{size}\\mathrm{{i}}\\sqrt{{{root}}} + ({real})",
        f"\\frac{{{2 * real} {sign} {2 * size}i\\sqrt{{{root}}}}}{{2}}",
    ]


@settings(deadline=None, max_examples=25)
@drawn(
    st.integers(-9, 9),
    st.integers(2, 9),
    st.sampled_from([2, 3, 5, 7]),
    st.booleans(),
    st.data(),
)
def test_one_number_in_two_ways(
    real: int, size: int, root: int, below: bool, data: st.DataObject
) -> None:
    size = -size if below else size
    one, other = (data.draw(st.sampled_from(_written(real, size, root))) for _ in range(2))
    assert same_value(one, other)
    for changed in ((real, -size, root), (real + 1, size, root), (real, size, root + 4)):
        assert not same_value(data.draw(st.sampled_from(_written(*changed))), one)
