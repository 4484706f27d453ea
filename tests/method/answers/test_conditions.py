# ruff: noqa: RUF001 - signs of mathematics are what is read here
"""Values under a condition: solution sets with their domain, and cases and systems in rows."""

import pytest

from srl_edge.method.verifiers import is_correct, kind_of, same_value

EQUAL = [
    # letters that are in a set
    (
        r"x = \frac{\pi}{4} + k\pi, k \in \mathbb{Z}",
        r"x = k\pi + \frac{\pi}{4}\ (k \in \mathbb{Z})",
        r"\frac{\pi}{4} + k\pi, \quad k \in Z",
        r"x=\frac{\pi}{4}+k\pi, k∈ℤ",
        r"x=\frac{\pi}{4}+k\pi \text{ for any integer } k",
        r"\frac{\pi}{4} + k\pi \text{, where } k \text{ is an integer}",
        r"x=\frac{\pi}{4}+n\pi, n\in\mathbf{Z}",
        r"\{x \mid x=\frac{\pi}{4}+k\pi, k\in\mathbb{Z}\}",
    ),
    (
        r"\left[2k\pi, 2k\pi+\frac{\pi}{3}\right], k \in \mathbb{Z}",
        r"[2k\pi, \frac{\pi}{3}+2k\pi] (k∈Z)",
    ),
    (r"a_n = 3n+1, n \in \mathbb{N}^*", r"a_n = 1+3n\ (n \in N_+)", "a_n = 3n+1"),
    (r"b_n=2^n, n\in\mathbb{Z}^{+}", r"b_{n}=2^{n} (n∈N^*)", "b_n = 2^n"),
    ("y = 2x+1, x > 1", "y=1+2x (x>1)", r"y = 2x + 1 \text{ for } x > 1"),
    # cases
    (
        r"\begin{cases}3,&n=1\\2n,&n\ge2\end{cases}",
        r"\begin{cases} 3, & n = 1, \\ 2n, & n \geq 2. \end{cases}",
        r"\left\{\begin{array}{ll} 2n & \text{if }n \ge 2 \\ 3 & \text{if }n=1 \end{array}\right.",
        r"a_n=\begin{cases} 3, n=1 \\[2pt] 2n, n\geqslant 2 \end{cases}",
    ),
    (
        r"\begin{cases} x^2 & x>0 \\ 0 & \text{otherwise} \end{cases}",
        r"\begin{cases} x^{2}, & \text{if }x > 0 \\ 0, & \text{otherwise.} \end{cases}",
    ),
    # systems
    (
        r"\begin{cases}x=4\\y=-1\end{cases}",
        r"\left\{\begin{array}{l} x=4, \\ y=-1. \end{array}\right.",
        r"\begin{aligned} x &= 4 \\ y &= -1 \end{aligned}",
        "x=4, y=-1",
        "(4,-1)",
    ),
    ("[[5,6],[7,8]]", r"\begin{pmatrix}5&6\\7&8\end{pmatrix}", "[[5, 6], [7, 8]]"),
]
UNEQUAL = [
    (r"x = k\pi, k \in \mathbb{Z}", r"x = 2k\pi, k \in \mathbb{Z}"),
    (r"x = k\pi, k \in \mathbb{Z}", r"x = k\pi, k \in \mathbb{N}"),
    (r"x = k\pi, k \in \mathbb{Z}", r"y = k\pi, k \in \mathbb{Z}"),
    (r"x = k\pi, k \in \mathbb{Z}", r"x = \pi"),
    (r"x = nk\pi, k \in \mathbb{Z}", r"x = nk\pi, n \in \mathbb{Z}"),
    (r"x = k, k \in \mathbb{R}", r"x = k, k \in \mathbb{Z}"),
    (r"a_n=2n, n\in\mathbb{N}^*", r"a_n=2n, n\in\mathbb{N}"),
    (r"a_n=2n, n\in\mathbb{N}^*", r"a_n=2n+1"),
    (r"x = t, t \in \mathbb{R}", "x = t"),
    ("y=x^2, x>0", "y=x^2, x<0"),
    ("y=x^2, x>0", "y=x^2"),
    ("y=x^2, x>0", "y=x^3, x>0"),
    (r"\begin{cases}3,&n=1\\2n,&n\ge2\end{cases}", r"\begin{cases}3,&n=1\\2n,&n\ge3\end{cases}"),
    (r"\begin{cases}3,&n=1\\2n,&n\ge2\end{cases}", r"\begin{cases}2n,&n=1\\3,&n\ge2\end{cases}"),
    (r"\begin{cases}3,&n=1\\2n,&n\ge2\end{cases}", r"\begin{cases}3,&m=1\\2n,&n\ge2\end{cases}"),
    (r"\begin{cases}3,&n=1\\2n,&n\ge2\end{cases}", "2n"),
    (r"\begin{cases}x=4\\y=-1\end{cases}", r"\begin{cases}x=-1\\y=4\end{cases}"),
    (r"\begin{cases}x=4\\y=-1\end{cases}", "x=4"),
    (r"\begin{cases}x=4\\y=-1\end{cases}", "(-1,4)"),
    ("[[5,6],[7,8]]", r"\begin{pmatrix}5&7\\6&8\end{pmatrix}"),
]


@pytest.mark.parametrize("spellings", EQUAL)
def test_spellings_of_one_value_under_a_condition(spellings: tuple[str, ...]) -> None:
    for one in spellings:
        for other in spellings:
            assert same_value(one, other), (one, other)
            assert is_correct(rf"So it is \boxed{{{one}}}.", other), (one, other)


@pytest.mark.parametrize("pair", UNEQUAL)
def test_values_under_conditions_that_differ(pair: tuple[str, str]) -> None:
    assert not same_value(*pair)
    assert not same_value(*pair[::-1])


@pytest.mark.parametrize("text", ["red, k is blue", "no integers", "3 cats for 2 dogs, x"])
def test_words_are_no_condition(text: str) -> None:
    assert kind_of(text) != "math"
