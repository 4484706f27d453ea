# ruff: noqa: RUF001 - answers in other scripts
"""What counts as an answer, and which of two are the same: numbers, formulas, choices, calls."""

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from srl_edge.errors import InputError, StageError
from srl_edge.method.answers.quantities import quantity
from srl_edge.method.answers.reading import final_answer, marked_answer
from srl_edge.method.prompt_form import DEFAULT, form_of
from srl_edge.method.verifiers import is_correct, kind_of, same_value


@pytest.mark.parametrize(
    ("solution", "answer", "right"),
    [
        ("He pays.\n#### 1,200", "1200", True),
        ("so \\boxed{\\frac{1}{2}}", "0.5", True),
        ("it costs $28.50.", "28.5", True),
        ("#### 36.0", "36", True),
        ("#### 36 wooden eggs.", "36", True),
        ("#### 36 or 40 eggs", "36", False),
        ("#### 2 pi", "2", False),
        ("12 cats, then 13", "12", False),
        ("no number", "12", False),
    ],
)
def test_exact_answers(solution: str, answer: str, right: bool) -> None:
    assert is_correct(solution, answer) is right


def test_an_answer_that_no_library_can_compute_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_correct("#### 6", "12")  # the process that compares has started
    monkeypatch.setattr("srl_edge.method.answers.mathematics.SECONDS", 0.5)
    for endless in ("9^{9^{9}}", "100000000!", "(" * 3000):
        start = time.monotonic()
        assert not is_correct(f"#### {endless}", "12")
        assert time.monotonic() - start < 30
    monkeypatch.undo()
    assert is_correct("#### 24/2", "12") and not is_correct("#### 25/2", "12")


def test_the_marked_answer_wins_over_a_later_number() -> None:
    assert final_answer("#### 5\nchecked 2 times") == "5"


@pytest.mark.parametrize(
    ("solution", "marked", "given"),
    [
        # As instruction-tuned models write: a heading that begins with the mark marks nothing.
        ("#### Step 1: Add\n3 + 4 = 7\n#### Answer\nIt is \\boxed{7}.", "7", "7"),
        ("#### Final answer:\nShe has 18 eggs", None, "18"),
        ("#### Step 2:\n1 + 1\n#### 2", "2", "2"),
        ("#### **18**", "18", "18"),
        ("first \\boxed{1}, then \\boxed{\\frac{1}{\\sqrt{2}}}", "\\frac{1}{\\sqrt{2}}", None),
        ("\\boxed{\\text{blue}} and \\fbox{3}", "3", None),
        ("#### Step 2: Compute\nShe has 18 eggs", None, "18"),
        ("#### 3. Add\nShe has 18 eggs", None, "18"),
        ("so \\boxed{\\text{blue}}", "\\text{blue}", None),
        ("\\boxed{7", None, "7"),  # cut off
        ("#### blue", "blue", "blue"),
        ("there are 12 cats", None, "12"),
    ],
)
def test_a_strict_reading_wants_a_mark(
    solution: str, marked: str | None, given: str | None
) -> None:
    assert marked_answer(solution) == marked
    assert final_answer(solution) == (given or marked)


def test_a_prompts_own_mark_is_read_first() -> None:
    said = "Answer: 5\nanother try\nAnswer: 6.\n#### 7"
    assert final_answer(said, r"Answer: (\d+)") == "6"
    assert final_answer("#### 7", r"Answer: (\d+)") == "7"


@pytest.mark.parametrize("given", ["\\$18.00", "18\\text{ dollars}", "18 \\%", "**18**", "18.0"])
def test_what_surrounds_a_number_in_a_box_is_no_part_of_it(given: str) -> None:
    assert is_correct(f"so \\boxed{{{given}}}", "18")


SAME: dict[str, list[tuple[str, ...]]] = {
    "number": [
        (
            "18",
            "$18",
            "18.00",
            "**18**",
            "\\(18\\)",
            "$18$",
            "18.",
            "x = 18",
            "(18)",
            "+18",
            "18 eggs",
        ),
        ("1234", "1,234", "1\u202f234", "1 234", "1{,}234", "1\\,234", "1'234", "US$1,234"),
        ("0.5", ".5", "1/2", "\\frac12", "\\dfrac{1}{2}", "½", "\\tfrac{1}{2}", "٠٫٥"),
        ("-0.75", "−3/4", "-\\frac{3}{4}", "–0.75", "\\frac{-3}{4}", "－0.75"),
        ("1.5", "1 1/2", "1½", "1\\frac{1}{2}", "3/2", "1.50"),
        ("12", "١٢", "１２", "१२", "\\text{12}"),
        ("0.00001", "1e-05", "10^{-5}", "1 \\times 10^{-5}", "1·10⁻⁵"),
        ("12500000", "12.5 million", "1.25e7", "12,500,000", "1,25,00,000", "12.500.000"),
        ("$5", "5 dollars", "US$5", "5 USD", "$5.00", "5"),
        ("5 km/h", "5 kilometers per hour", "5 kph", "5\\text{ km/h}"),
        ("5 km", "5000 m", "5 kilometres"),
        ("5 cm^2", "5 cm²", "5 square centimeters", "5\\ \\text{cm}^{2}"),
        ("50%", "50 percent", "50\\%", "50 per cent"),
        ("30°", "30^\\circ", "30 degrees", "30"),
        ("3/4 cup", "3/4 of a cup", "0.75 cups"),
        ("-$5", "$-5", "-5"),
        ("1/3", "0.3333", "0.333333333"),
        ("270/7 degrees", "\\frac{270}7\\text{ degrees}"),
    ],
    "math": [
        ("(5, 100)", "(5,100)", "\\left(5, 100\\right)", "5, 100"),
        ("[0,100)", "[0, 100)"),
        ("\\{1,2\\}", "\\{2, 1\\}"),
        ("2\\sqrt{3}", "2√3", "2 \\sqrt{3}", "2sqrt(3)"),
        ("\\frac{\\sqrt{3}}{2}", "\\dfrac{\\sqrt{3}}{2}", "\\sqrt{3}/2"),
        ("2x+3", "3 + 2x"),
        ("3\\pi", "3π", "3 pi"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
        ("40_9", "40_{9}"),
    ],
    "choice": [("B", "(B)", "B.", "**B**", "\\text{(B)}", "B. because", "option B", "(b)")],
    "call": [
        (
            "lock(door=1, room='x')",
            'lock(room="x", door=1.0)',
            "`lock(door=1, room='x')`",
            '{"name": "lock", "arguments": {"room": "x", "door": 1}}',
        ),
        ("[f(a=1), g()]", "[f(a=1),g()]"),
    ],
    "exact": [
        ("Monday", "monday", "\\text{Monday}", "**Monday**.", "'Monday'"),
        ("12:30", "**12:30**"),
        ("2024-05-01", "2024-05-01."),
        ("room133", "`room133`"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "spellings"), [(kind, group) for kind, groups in SAME.items() for group in groups]
)
def test_spellings_of_a_value_are_equal(kind: str, spellings: tuple[str, ...]) -> None:
    right = spellings[0]
    assert kind_of(right) == kind
    for other in spellings:
        assert same_value(other, right) and same_value(right, other), other
        assert is_correct(f"So:\n#### {other}", right), other
        assert is_correct(f"So \\boxed{{{other}}}. Checked 2 ways.", right), other


@pytest.mark.parametrize(
    "pair",
    [
        (".5", "5"),
        ("5 km", "5 kg"),
        ("no", "on"),
        ("(5,100)", "5100"),
        ("[0,100)", "(0,100)"),
        ("lock(door=1)", "unlock(door=1)"),
        ("light.turn_off(room=133)", "light.turn_on(room=133)"),
        ("$5", "€5"),
        ("5 cents", "$5"),
        ("36 or 40 eggs", "36"),
        ("2 pi", "2"),
        ("2x", "2"),
        ("3/4", "4"),
        ("5 km", "5 km/h"),
        ("1.5", "15"),
        ("-5", "5"),
        ("B", "C"),
        ("yes", "no"),
        ("1 1/2", "11/2"),
        ("12:30", "12:03"),
        ("2024-05-01", "2018"),
        ("(1,2)", "(2,1)"),
        ("f(a=1)", "f(a=2)"),
        ("f(a=1)", "f(a='1')"),
        ("f(1,2)", "f(2,1)"),
        ("tea", "eat"),
        ("5 apples", "5 oranges"),
        ("room133", "room331"),
        ("x^2", "x^3"),
        ("1,2", "12"),
        ("5 m", "5 mm"),
        ("0.333", "1/3"),
        ("5 million", "5"),
        ("2^3", "23"),
        ("a_1", "a_2"),
        ("10", "1 0"),
        ("3-5", "-2"),
        ("f(x=True)", "f(x=1)"),
        ("f(a='X')", "f(a='x')"),
        ("$1,000", "1"),
        ("12 and 13", "13"),
        ("5°C", "5°F"),
        ("40_9", "40_8"),
        ("1,-2", "(-2,1)"),
        ("0", "5x - 7y = 0"),
        ("1/0", "1"),
        ("16 2/3", "162/3"),
        ("1⁄3", "1/5"),
    ],
)
def test_two_values_are_never_equal(pair: tuple[str, str]) -> None:
    assert not same_value(*pair) and not same_value(*reversed(pair))


SPELLINGS: list[Callable[[Fraction], str]] = [
    lambda v: f"{float(v):.2f}",
    lambda v: f"{float(v):,.2f}",
    lambda v: f"{v.numerator}/{v.denominator}",
    lambda v: f"{'-' if v < 0 else ''}\\frac{{{abs(v.numerator)}}}{{{v.denominator}}}",
    lambda v: f"${float(v):,.2f}",
    lambda v: f"**{float(v):.2f}**",
    lambda v: f"{float(v):,.2f} dollars",
    lambda v: f"\\({float(v):.2f}\\)",
    lambda v: f"{float(v):,.2f}".replace(",", "\u202f"),
    lambda v: f"{float(v):.2f}".replace("-", "−"),
    lambda v: f"{float(v):.2f}".translate({48 + n: 0x660 + n for n in range(10)}),
    lambda v: f"{float(v * 100):.0f}e-2",
    lambda v: f"{float(v * 100):.0f} \\times 10^{{-2}}",
]
HUNDREDTHS = st.integers(-(10**8), 10**8).map(lambda n: Fraction(n, 100))
SPELLED = st.sampled_from(SPELLINGS)


@settings(max_examples=400, deadline=None)
@drawn(HUNDREDTHS, HUNDREDTHS, SPELLED, SPELLED)
def test_numbers_are_equal_by_value_alone(
    a: Fraction, b: Fraction, one: Callable[[Fraction], str], other: Callable[[Fraction], str]
) -> None:
    assert same_value(one(a), other(a))
    assert same_value(one(a), other(b)) == (a == b)
    assert is_correct(f"So the answer is {one(a)}.", other(a))


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("The answer is 3/4.", "0.75"),
        ("The answer is .25", "0.25"),
        ("the final answer is: **18** dollars.", "18"),
        ("**Answer:** 7 eggs", "7"),
        ("The answer to the question is 12. It took 3 steps.", "12"),
        ("So the answer is 3 + 4 = 7.", "7"),
        ("temperature fell to –7.", "-7"),
        ("so ½ remains", "1/2"),
        ("it takes 1 1/2 hours", "1.5"),
        ("####\n42", "42"),
        ("\\boxed {7} of 9", "7"),
        ("\\fbox{7} of 9", "7"),
        ("\\boxed7", "7"),
        ("\\boxed{\\boxed{5}}", "5"),
        ("\\boxed{}, so 9", "9"),
        ("\\boxed{\\frac{\\sqrt{3}}{2}}", "\\frac{\\sqrt3}{2}"),
        ("The correct option is (C), not (D) as one might think. The answer is (C).", "C"),
        ("I would take choice B", "B"),
        ("#### lock(door=1)", "lock(door=1)"),
        ("I call `set(t=(1, 2), s='a)')` now.", "set(t=(1,2), s='a)')"),
        ("The answer is yes.", "yes"),
        ("#### Yes", "yes"),
        ("It is\nblue", "blue"),
        ("She has 18 dollars left. #### 18 dollars, all told", "18"),
    ],
)
def test_an_answer_is_found_where_people_put_it(solution: str, answer: str) -> None:
    assert is_correct(solution, answer)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 5000,
        "1e999",
        "f(" * 2000,
        "\\boxed{" * 3000,
        "#### " * 3000,
        "1," * 3000,
        "{" * 5000,
        "f(" + "(" * 900 + ")" * 901,
        "\\frac{" * 2000,
        "\\text{" * 3000,
        "= " * 4000,
    ],
)
def test_no_text_takes_long_or_fails(text: str) -> None:
    start = time.monotonic()
    for answer in ("12", "f(a=1)", "(1,2)", "yes", "B", text):
        is_correct(text, answer)
    assert time.monotonic() - start < 20


def test_a_kind_can_be_set(tmp_path: Path) -> None:
    exact = form_of({**DEFAULT.as_dict(), "verifier": "exact"})
    assert is_correct("#### 18.0", "18") and not is_correct("#### 18.0", "18", exact)
    own = tmp_path / "mine.py"
    own.write_text("def within_one(given, answer): return abs(float(given) - float(answer)) <= 1")
    form = form_of({**DEFAULT.as_dict()})
    mine = type(form)(**{**form.as_dict(), "verifier": f"{own}:within_one"})
    assert is_correct("#### 17.5", "18", mine) and not is_correct("#### 16", "18", mine)
    with pytest.raises(StageError, match="it failed: ValueError"):
        is_correct("#### blue", "18", mine)
    with pytest.raises(InputError, match="has no function 'absent'"):
        same_value("1", "1", f"{own}:absent")


def test_what_an_artifact_names_is_never_run(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text("raise SystemExit(9)")
    assert form_of({**DEFAULT.as_dict(), "verifier": f"{own}:f"}).verifier == "auto"


def test_a_quantity_has_its_unit() -> None:
    assert quantity("US$1,200 a week") and quantity("36 or 40") is None
    assert str(getattr(quantity("5 km/h"), "unit", "")) == "km/h"


AS_MODELS_WRITE = [
    ('<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>', "f(x=1)"),
    ('```json\n{"name":"f","parameters":{"x":1}}\n```', "f(x=1)"),
    ('<|python_tag|>{"name":"f","parameters":{"x":1}}', '{"name":"f","arguments":{"x":1}}'),
    ('[TOOL_CALLS] [{"name":"f","arguments":{"x":1}}]', "f(x=1)"),
    ('#### <tool_call>{"name":"f","arguments":{"x":1}}</tool_call>', "f(x=1)"),
    ("[f(x=1), g(y=2)]", "[f(x=1), g(y=2)]"),
    ("f(x=1)\ng(y=2)", "[f(x=1), g(y=2)]"),
    ("I do this: [f(x=1), g(y=2)]", "[f(x=1), g(y=2)]"),
    ("B", "B"),
    ("B.", "B"),
    ("B) water", "B"),
    ("**B**", "B"),
    ("**B.** water", "B"),
    ("The correct option is B.", "B"),
    ("Option B", "B"),
    ("The answer is Option B.", "B"),
    ('The answer is "B".', "B"),
    ("The correct answer is B - water", "B"),
    ("The answer is B, not A.", "B"),
    ("The correct answer is:\n\n**B) water**", "B"),
    ("#### Option B", "B"),
    ("\\boxed{\\text{Option B}}", "B"),
    ("The answer is B because option A is wrong.", "B"),
    ("B. water\n\nExplanation: option A is wrong.", "B"),
    ("(B)", "B"),
    ("\\boxed{B}", "B"),
    ("So I pick (B).", "B"),
    ("Answer: B", "B"),
    ("**Answer:** (B) water", "B"),
    ("#### Area of triangle 1\n6\n#### Area of triangle 2\n10\nThe answer is 16.", "16"),
    ("#### Answer: 18", "18"),
    ("#### Total: 18", "18"),
    ("#### Answer: **$18**", "18"),
    ("#### 18/day", "18"),
    ("\\boxed{5!}", "120"),
    ("0.\\overline{3}", "1/3"),
    ("\\boxed{25\\pi \\text{ cm}^2}", "25\\pi"),
    ("\\boxed{25\\pi}", "25\\pi \\text{ cm}^2"),
    ("\\boxed{10\\sqrt{2}\\text{ units}}", "10\\sqrt{2}"),
    ("The answer is 18, not 20.", "18"),
    ("The answer is 18 because 9*2=18 and 3+4=7.", "18"),
    ("Answer:\n18 eggs\n\nNote: 2 extra", "18"),
    ("The answer is yes, because 3>2.", "yes"),
    ("Yes, it is.", "yes"),
    ("\\boxed{2 \\text{ or } 3}", "2,3"),
    ("2:30 p.m.", "2:30 PM"),
    ("\\boxed{{18}}", "18"),
    ("\\boxed{f(2) = 18}", "18"),
    ("#### 5 °C", "5 degrees Celsius"),
    ("\\boxed{3 : 5}", "3:5"),
    ("\\boxed{25\\pi square inches}", "25\\pi \\text{ square inches}"),
    ("\\boxed{(-\\infty, 2)}", "(-\\infty,2)"),
    ("\\boxed{x > 3}", "x>3"),
    ("\\boxed{\\{1,2\\}}", "\\{2,1\\}"),
    ("#### blue", "blue"),
    ("\\boxed{y'}", "y'"),
]
AND_NOT = [
    ("[f(x=1), g(y=2)]", "g(y=2)"),
    ("#### (A) and (B)", "A"),
    ("#### (A) or (C)", "A"),
    ("#### A. and B. both", "A"),
    ("#### 5π", "5"),
    ("\\boxed{25π}", "25"),
    ("#### 12π square inches", "12"),
    ("#### 5θ", "5"),
    ("#### 2√x", "2"),
    ("#### 5 μm", "5 m"),
    ("#### 5 µg", "5 g"),
    ("#### 5 mW", "5 MW"),
    ("#### 5 Mb", "5 MB"),
    ("\\boxed{5!}", "5"),
    ("\\boxed{(n+1)!}", "n+1"),
    ("\\boxed{2n!}", "(2n)!"),
    ("0.\\overline{3}", "0.\\overline{6}"),
    ("0.\\overline{36}", "0.\\overline{63}"),
    ('#### {"name":"John","age":30}', '{"name":"John","age":31}'),
    ('#### {"name":"f","input":{"x":1}}', '{"name":"f","input":{"x":2}}'),
    ("\\boxed{\\{1,2\\}}", "(1,2)"),
    ("\\boxed{x \\equiv 3 \\pmod 7}", "x \\equiv 4 \\pmod 7"),
    ("\\boxed{1,2,2}", "1,2"),
    ("\\boxed{≤5}", "5"),
    ("\\boxed{< 5}", "5"),
    ("#### 5 pages per day", "5 pages per week"),
    ("#### 60 beats per minute", "60 beats per second"),
    ("#### A$5", "US$5"),
    ("#### Method 2\nfoo", "2x"),
    ("\\boxed{25\\pi \\text{ cm}^2}", "25\\pi \\text{ m}^2"),
    ("y'", "y"),
    ("#### QED", "QED2"),
]


@pytest.mark.parametrize(("solution", "answer"), AS_MODELS_WRITE)
def test_what_models_write_is_read_as_they_mean_it(solution: str, answer: str) -> None:
    assert is_correct(solution, answer)


@pytest.mark.parametrize(("solution", "answer"), AND_NOT)
def test_and_not_as_something_near_it(solution: str, answer: str) -> None:
    assert not is_correct(solution, answer)
