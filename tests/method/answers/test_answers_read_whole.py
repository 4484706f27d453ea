"""Answers are read whole: lists, degrees, products of letters, factorials, code, equations."""

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from srl_edge.method.answers import mathematics
from srl_edge.method.answers.formulas import is_formula
from srl_edge.method.answers.quantities import quantity
from srl_edge.method.answers.reading import final_answer, marked_answer, states_answer
from srl_edge.method.verifiers import is_correct, kind_of, same_value

EQUAL = [
    # lists, whatever is before the last item
    ("1, 2, and 3", "1, 2, 3", "3, 2, and 1", "1, 2 and 3", "1, 2, \\text{ and } 3", "1; 2; 3"),
    ("7, \\sqrt{2}, \\text{ or } 9", "7, 9, \\sqrt{2}", "$7$, $9$, and $\\sqrt 2$"),
    ("5\\%, 8\\%", "5% and 8%", "8%, 5%"),
    ("x = 4 \\text{ or } x = -6", "4, -6", "x=-6, x=4"),
    ("(1,2), (3,4), (5,6)", "(5,6), (1,2), and (3,4)"),
    # degrees
    ("\\sin 13^\\circ", "\\sin(13^\\circ)", "\\cos 77^\\circ", "sin 13°"),
    ("90^\\circ-\\frac{A}{2}", "90° - A/2", "90 - \\frac{A}{2}", "-\\frac{A}{2}+90^{\\circ}"),
    ("45^\\circ,135^\\circ", "45^\\circ, 135^\\circ", "135°, 45°", "45, 135"),
    ("\\tan 60^\\circ", "\\sqrt{3}"),
    # products of letters
    ("3qr+6q-15r-30", "3qr + 6q - 15r -30", "6q - 30 + 3rq - 15r"),
    ("a^2+b^2+ab", "ab+a^2+b^2", "a^2 + ba + b^2"),
    ("xy", "yx", "x y", "x \\cdot y"),
    ("\\frac{1}{2}ab", "\\frac{ab}{2}", "\\frac12 ba"),
    ("6xy", "6yx", "6 x y"),
    ("ax + by", "by+ax"),
    ("4t", "4 t", "t*4"),
    ("2\\pi rh", "2 \\pi h r", "2πrh"),
    ("wx+yz", "zy+xw"),
    ("5m^2", "5 m^2"),
    # fractions in words
    ("3/4", "3 fourths", "three fourths", "three-fourths", "3 quarters"),
    ("0.3", "3 tenths"),
    ("1/2", "one half", "one-half", "1 half"),
    ("-2/5", "-2 fifths"),
    # units that are written as text stay units
    ("12 \\text{ gm}", "12"),
    ("45 \\text{ units}^2", "45"),
    ("60 fps", "60"),
    ("3rd", "3"),
    ("7 pt", "7"),
    ("10\\text{t}", "10"),
    ("25 m²", "25", "25 m^2", "25m²"),
    # what a library would round, and what it need not
    ("1-\\frac{1}{2^{100}}", "\\frac{2^{100}-1}{2^{100}}"),
    ("\\frac{1}{1000!}", "\\frac{1000}{1000 \\cdot 1000!}"),
    ("\\sqrt{2}+\\sqrt{3}", "\\sqrt{5+2\\sqrt{6}}"),
    ("\\frac\\pi4", "\\frac{\\pi}{4}", "π/4"),
    ("1,000,000", "1, \\! 000, \\! 000"),
]
UNEQUAL = [
    ("3", "1, 2, and 3"),
    ("4, 5, \\text{ and } 3", "1, 2, \\text{ and } 3"),
    ("9", "7, 8, or 9"),
    ("6", "5 and 6"),
    ("2, 2", "2"),
    ("x, y, and 9", "7, 8, and 9"),
    ("5%, 7%", "5%, 8%"),
    ("a = 1, b = 2", "2"),
    ("\\sin 13^\\circ", "\\cos 13^\\circ"),
    ("13", "\\sin 13^\\circ"),
    ("\\tan 20^\\circ", "\\tan 20"),
    ("90^\\circ+\\frac{A}{2}", "90^\\circ-\\frac{A}{2}"),
    ("\\cos 40^\\circ", "\\cos 50^\\circ"),
    ("45^\\circ, 130^\\circ", "45^\\circ, 135^\\circ"),
    ("4", "4t"),
    ("3", "3s^2"),
    ("6", "6xy"),
    ("2\\pi", "2\\pi h"),
    ("\\pi", "\\pi rh"),
    ("\\frac12", "\\frac12 bh"),
    ("x+4", "x+4c"),
    ("2c", "2t"),
    ("9", "9abc"),
    ("5 ab", "5"),
    ("\\sqrt{3}", "\\sqrt{3} pq"),
    ("a+B", "A+b"),
    ("xz", "xy"),
    ("\\frac{1}{2}ab", "\\frac{1}{2}ac"),
    ("2-\\frac{1}{2^{99}}", "2-\\frac{1}{2^{100}}"),
    ("\\frac{1}{2104!}", "\\frac{1}{2004!}"),
    ("1-\\frac{1}{3^{150}}", "1"),
    ("\\sqrt{2}+10^{-30}", "\\sqrt{2}"),
    ("3 fourths", "3"),
    ("3 fifths", "3/4"),
    ("2 fifth graders", "2/5"),
    ("5 x 4", "20"),
    ("5x = 20", "20"),
    ("2a+3b=6", "6"),
    ("x+y=8", "7"),
    ("\\begin{pmatrix} 1 \\\\ 7 \\end{pmatrix}", "\\begin{pmatrix} 4 \\\\ 7 \\end{pmatrix}"),
    ("7", "\\begin{pmatrix} 4 \\\\ 7 \\end{pmatrix}"),
    ("\\cos 13^\\cir", "\\cos 13^\\circ"),
    ("go-to", "to-go"),
    ("1, 2, \\ldots, 9", "9"),
    ("\\sin^2 20^\\circ", "\\sin^2 20"),
]


@pytest.mark.parametrize("spellings", EQUAL)
def test_spellings_of_a_whole_value(spellings: tuple[str, ...]) -> None:
    for other in spellings:
        assert same_value(other, spellings[0]) and same_value(spellings[0], other), other
        assert is_correct(f"So \\boxed{{{other}}}.", spellings[0]), other


@pytest.mark.parametrize("pair", UNEQUAL)
def test_a_part_of_a_value_is_not_the_value(pair: tuple[str, str]) -> None:
    assert not same_value(*pair) and not same_value(*reversed(pair))


def test_a_letter_on_the_right_answers_number_is_wanted() -> None:
    """`3s` may be a product; where the reply has it and the answer does not, it is a unit."""
    for letter in "msgA":
        assert not same_value("3", f"3{letter}") and same_value(f"3 {letter}", f"3{letter}")
        assert same_value(f"3{letter}", "3") and same_value("3", f"3 {letter}")
    assert same_value("3 seconds", "3s")


def test_what_cannot_be_read_whole_equals_nothing() -> None:
    for text in ("x+", "1, , 7", "x | 7", "\\strange{3} 7 )"):
        assert not mathematics.equal(text, "7") and not mathematics.equal("7", text)
        assert mathematics.equal(text, text)


ITEMS = ["1", "2", "-3", "\\sqrt{2}", "\\frac{1}{7}", "x", "2\\pi", "10"]
LISTS = st.lists(st.sampled_from(ITEMS), min_size=2, max_size=4, unique=True)
BETWEEN = [", and ", " and ", ", \\text{ or } ", ", ", "; "]


@settings(max_examples=60, deadline=None)
@drawn(LISTS, LISTS, st.sampled_from(BETWEEN), st.sampled_from(BETWEEN))
def test_lists_are_equal_by_their_items(a: list[str], b: list[str], one: str, other: str) -> None:
    def said(items: Sequence[str], last: str) -> str:
        return ", ".join(items[:-1]) + last + items[-1]

    assert same_value(said(a, one), said(a[::-1], other))
    assert same_value(said(a, one), said(b, other)) == (set(a) == set(b))
    assert not same_value(a[-1], said(a, one))


TERMS = ["3qr", "6q", "15r", "ab", "a^2", "xy", "4t", "2mn", "30"]


@settings(max_examples=60, deadline=None)
@drawn(
    st.lists(st.sampled_from(TERMS), min_size=2, max_size=4, unique=True),
    st.randoms(),
    st.booleans(),
)
def test_sums_of_products_are_equal_in_any_order(
    terms: list[str], luck: random.Random, spaced: bool
) -> None:
    right = "+".join(terms)
    luck.shuffle(terms)
    given = (" + " if spaced else "+").join(terms)
    assert kind_of(right) == "math" and is_correct(f"The answer is ${given}$.", right)
    assert not same_value("+".join(terms[1:]), right) and not same_value(terms[-1], right)


@pytest.mark.parametrize(
    "text",
    ["to-do", "x-ray", "5 to 3", "2-by-4", "mp3", "no. 5", "12 km", "co2", "id 5", "5 or so"],
)
def test_words_are_no_products(text: str) -> None:
    assert not is_formula(text)


@pytest.mark.parametrize("text", ["4t", "3s^2", "6xy", "2ab", "7pqr", "5 ab", "8k^2m"])
def test_a_number_with_variables_is_no_quantity(text: str) -> None:
    assert quantity(text) is None and kind_of(text) == "math"


READ = [
    # factorials
    ("The answer is 5! = 120.", "120"),
    ("The answer is $5 \\times 6! = 3600$.", "3600"),
    ("The answer is $\\frac{10!}{3! \\cdot 4!} = 25200$.", "25200"),
    ("The answer is 6! / 3! = 120 ways.", "120"),
    ("The answer is 4! ways.", "24"),
    ("The answer is 12! I am sure.", "12"),
    ("The answer is yes! we did it.", "yes"),
    # x as times
    ("#### 5 x 4 = 20", "20"),
    ("The answer is 9 x 2 = 18.", "18"),
    ("\\boxed{5 x 4 = 20}", "20"),
    ("#### 3x4=12", "12"),
    ("The answer is 9 x (2 + 1) = 27.", "27"),
    ("The answers are 1, 2, and 9.", "1, 2, 9"),
    ("\\[ x = 2 \\quad \\text{or} \\quad x = 9 \\]", "2, 9"),
    ("\\begin{equation}A = 3\\pi\\end{equation}", "3\\pi"),
    ("Area $= 18\\sqrt{3} \\text{ cm}^2$.", "18\\sqrt3"),
    ("\\boxed{m\\angle ABC = 40^\\circ}", "40"),
    ("\\boxed{n = 5 x 4 = 20}", "20"),
    ("The answer is 3 X 4 x 2 = 24 eggs.", "24"),
    # code in a fence
    ("```sql\nSELECT 1\n```", "SELECT 1"),
    ("Here it is:\n```python\nimport os\nprint(os.sep)\n```", "import os\nprint(os.sep)"),
    ("```sql\nSELECT 1\n```\nThis gives one row.", "SELECT 1"),
    (
        "The answer is:\n```sql\nSELECT a FROM b WHERE c = ? AND d\n```\nIt is quick.",
        "SELECT a FROM b WHERE c = ? AND d",
    ),
    ("####\n```sql\nSELECT 1\n```", "SELECT 1"),
    ("#### Answer:\n~~~\nls -l\n~~~\nIt lists.", "ls -l"),
    # equations
    ("So \\[\\text{Area} = 18\\sqrt{3}.\\]", "18\\sqrt{3}"),
    ("So \\[\\text{Perimeter} = 24 + 6\\sqrt{2}\\]", "24 + 6\\sqrt{2}"),
    ("so $\\text{Volume} = 36\\pi$.", "36\\pi"),
    ("\\boxed{\\text{Area} = 4 - \\sqrt{5}}", "4 - \\sqrt{5}"),
    ("\\boxed{x + y = 7}", "7"),
    ("\\boxed{m^2 + n^2 = 40}", "40"),
    ("The answer is $a + b = 9 + 4 = 13$.", "13"),
    ("so $\\tan 30^\\circ = \\frac{1}{\\sqrt{3}} = \\frac{\\sqrt{3}}{3}$.", "\\frac{\\sqrt{3}}{3}"),
    ("\\begin{align*}\nz &= 2(1+i)\\\\\n&=2+2i.\n\\end{align*}".join(("\\[", "\\]")), "2+2i"),
    # calls
    ("[{'name': 'dim', 'arguments': {'room': 2, 'on': True}}]", "dim(room=2, on=True)"),
    ('{"name": "dim", "arguments": \'{"room": 2, "on": true}\'}', "dim(room=2, on=True)"),
    ('<functioncall> {"name": "dim", "arguments": \'{"room": 2}\'}', "dim(room=2)"),
    ('{"dim": {"room": 2}}', "dim(room=2)"),
    ('[{"dim": {"room": 2}}, {"house.stop": {}}]', "[dim(room=2), house.stop()]"),
    ("I do {'name': 'say', 'arguments': {'text': \"it's {1}\"}} now.", 'say(text="it\'s {1}")'),
    ("dim(room=2)", "{'dim': {'room': 2}}"),
]
NOT_READ = [
    ("so it costs 6xy.", "6"),
    ("so it is 4t.", "4"),
    ("\\[ x = 2 \\quad \\text{or} \\quad x = 9 \\]", "9"),
    ("\\boxed{4, 5, \\text{ and } 3}", "1, 2, \\text{ and } 3"),
    ("The answer is 5! = 120.", "5"),
    ("The answer is 9 x 2 = 18.", "9"),
    ("\\boxed{5x = 20}", "20"),
    ("\\boxed{5x - 7y = 0}", "0"),
    ("So \\[\\text{Perimeter} = 24 + 6\\sqrt{2}\\]", "6\\sqrt{2}"),
    ("```sql\nSELECT 2\n```", "SELECT 1"),
    ("```sql\nSELECT 1\n```\nor\n```sql\nSELECT 2\n```", "SELECT 1"),
    ('{"dim": {"room": 2}}', "dim(room=3)"),
    ('{"dim": {"room": 2}}', "off(room=2)"),
    ("{'name': 'dim', 'arguments': {'on': True}}", "dim(on=1)"),
]


@pytest.mark.parametrize(("reply", "answer"), READ)
def test_the_whole_of_an_answer_is_found(reply: str, answer: str) -> None:
    assert is_correct(reply, answer)


@pytest.mark.parametrize(("reply", "answer"), NOT_READ)
def test_a_part_of_an_answer_is_not_taken_for_it(reply: str, answer: str) -> None:
    assert not is_correct(reply, answer)


def test_code_in_a_fence_is_marked_by_hashes() -> None:
    reply = "We ask.\n#### \n```sql\nSELECT a\nFROM b\n```\nThat is all."
    assert marked_answer(reply) == "SELECT a\nFROM b" and states_answer(reply)
    assert final_answer("```sql\nSELECT 1\n```", kind="exact") == "SELECT 1"


@pytest.mark.parametrize(
    "text",
    [
        "(1)(2)" * 150,
        "x = " * 240 + "1",
        "```a\n" * 3000,
        "{'" * 3000 + "}" * 3000,
        "{'a':" * 2000 + "}" * 2000,
        "{'a':1}}" * 2000,
        "5! " * 3000,
        "ab+" * 330,
        "1, " * 330 + "1",
    ],
)
def test_no_part_takes_long(text: str) -> None:
    start = time.monotonic()
    for answer in ("12", "f(a=1)", "yes", "x+1, 3", text):
        is_correct(text, answer)
    assert time.monotonic() - start < 10
