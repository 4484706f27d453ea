# ruff: noqa: RUF001 - quotes, dashes and letters of other scripts
"""Answers as people write them: marked answers come back, one value has many spellings."""

import json
import time

import pytest
from hypothesis import example, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from srl_edge.method.answers.reading import final_answer, marked_answer, states_answer, unannounced
from srl_edge.method.prompt_form import DONE, PRESETS
from srl_edge.method.solving import solve
from srl_edge.method.types import Trajectory
from srl_edge.method.verifiers import is_correct, kind_of, same_value

WORDS = "the answer is of Kingdom open garage Step 3 done not A B yes no $5 3/4 x^2 , . : ; ( ] # '"
ANSWERS = st.one_of(
    st.sampled_from(
        [
            "Republic of South Africa",
            "close the garage door",
            '{"tool": "lock", "door": [1, 2]}',
            "SELECT * FROM rooms WHERE id = 'b';",
            "Step 7",
            "Step 7: divide",
            "done",
            "result",
            "QED",
            "Note: y",
            "{1, 2}",
            "[]",
            "-",
            "#7",
            "F#",
            "__main__",
            "D:\\",
            "x^2 - 1",
            "2:3",
            "C",
            "5!",
            "\\frac{\\sqrt{3}}{2}",
            "(1,-2)",
            "1,200",
            "7 apples and 2 pears",
            "4. Add",
            "don't",
        ]
    ),
    st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="{}\\*_"), min_size=1),
    st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=8).map(" ".join),
    st.dictionaries(st.text("ab", min_size=1), st.integers() | st.text("a _:,'")).map(json.dumps),
    st.fractions().map(str),
)


# Where a step says done, the answer is what comes before: tests/data/test_home.py.
@pytest.mark.parametrize("name", [name for name, form in PRESETS.items() if form.answer != DONE])
@settings(max_examples=150, deadline=None)
@example(answer="answer : answer : the")
@drawn(ANSWERS)
def test_what_a_form_states_is_read_back(name: str, answer: str) -> None:
    form = PRESETS[name]
    for reply in (form.stated(answer), f"3 + 4 = 7\n{form.stated(answer)}"):
        assert form.states_answer(reply)
        assert is_correct(reply, answer, form)
        if unannounced(answer) == answer and "####" not in answer:
            assert marked_answer(reply, form.pattern) == answer.strip()


@pytest.mark.parametrize(
    "step",
    [
        "#### Step 4: add\n2 + 5 = 7",
        "#### Sides of the box\nIt has 4.",
        "#### A. Setup\nwe begin",
        "##### 12",
        "so far 12",
        "#### 2) Divide\n7 / 2",
    ],
)
def test_a_heading_with_text_after_it_ends_no_attempt(step: str) -> None:
    assert not states_answer(step) and marked_answer(step) is None


def test_an_attempt_ends_with_an_answer_of_many_words() -> None:
    form = PRESETS["general"]
    task = Trajectory("t", "Where?", ("look", "go"), "Republic of South Africa")
    steps = ["It is far south.", form.stated(task.answer or ""), "and on"]
    said = [f"<think>hm</think>\n{step}" for step in steps]
    (attempt,) = solve([task], lambda going: [(said[len(going[0].steps)], True)], 3, print, form)
    assert attempt.correct and attempt.marked and len(attempt.steps) == 2


READ = [
    # "Final answer:" that says it again, and formulas with units
    ("Final Answer: The final answer is $y^3-2$. I hope it is correct.", "y^3-2"),
    ("Final Answer: The final answer is $(4,-1)$. I hope it is correct.", "(4,-1)"),
    ("The answer is $5\\sqrt{2}$ km.", "5\\sqrt{2}"),
    # choices
    *(
        (text, "D")
        for text in (
            "The correct answer is D (Rome).",
            "The answer must be D.",
            "I would pick D.",
            "The answer is D and not B.",
            "the answer is d",
            "<answer>D</answer>",
            "[[D]]",
            '{"answer": "D"}',
            "答案是D",
            "\\boxed{d}",
            "#### d",
            "The best one is (D).",
            "A) tea\nB) milk\nC) wine\nD) water\nTherefore D.",
            "D. Both A and B",
            "A. tea\nB. milk\nD. water\nHence, D is correct.",
            "A) tea\nD) water\n\nD",
            "The answer is D. Choices A and B are wrong.",
            "\\boxed{{D}}",
        )
    ),
    ("#### B) milk", "B. milk"),
    ("The answer is B.", "B. milk"),
    ("The answer is C. S. Lewis.", "C. S. Lewis"),
    # the first quantity of a clause
    ("The answer is 24 euros after 7 weeks.", "24"),
    ("The answer is 24 out of 30.", "24"),
    ("The answer is 24 (4 × 6).", "24"),
    ("The answer is $24 for 6 hats.", "24"),
    ("The answer is 24 dollars and 75 cents.", "24.75"),
    ("It must be that the answer should be 24. But 6 remain.", "24"),
    ("#### The answer is: 24", "24"),
    ("The answer is that 4 * 6 = 24 eggs.", "24"),
    # numbers and formulas at the end
    ("Thus the area is $16\\pi$.", "16\\pi"),
    ("Therefore, $y = \\sqrt{7}$.", "\\sqrt{7}"),
    ("So \\[ \\frac{\\sqrt{5}}{4}. \\]", "\\frac{\\sqrt5}{4}"),
    ("so $g(x)=x+2$.", "x+2"),
    ("It ends at (7, -2).", "(7,-2)"),
    ("so $a + b = 4 + 8 = 12$.", "12"),
    ("so $t = \\frac{9}{4} \\approx 2.25$.", "2.25"),
    ("Some 7 million people live there.", "7000000"),
    ("She earns $45K", "45000"),
    ("Day 2: 150 pages", "150"),
    ("He has $4, and then $9 more.", "9"),
    ("It takes 2 hours 15 minutes.", "2.25 hours"),
    ("It weighs 12kg, on 5 July it is (8)", "8"),
    ("\\boxed{\\text{Answer: } 31}", "31"),
    ("\\boxed{\\{31\\}}", "31"),
]
NOT_READ = [
    *(
        (text, "D")
        for text in (
            "D is wrong.",
            "#### D, E",
            "\\boxed{B,D}",
            "#### C/D",
            "not D",
            "(C) and (D)",
            "The answer is B or D",
            "C) tea\nD) milk",
        )
    ),
    ("The answer is J. S. Mill.", "J. S. Bach"),
    ("The answer is 24 euros after 7 weeks.", "7"),
    *(
        (f"So it is {text}.", number)
        for text, number in (
            ("$16\\pi$", "16"),
            ("16π", "16"),
            ("16 pi", "16"),
            ("\\sqrt{7}", "7"),
            ("2√7", "7"),
            ("$x = \\sqrt{7}$", "7"),
            ("x > 7", "7"),
            ("$x \\ge 7$", "7"),
            ("10^4", "4"),
            ("4:7", "7"),
            ("6:45", "45"),
            ("$7 million", "7"),
            ("7x", "7"),
            ("2y+7", "7"),
            ("2023-11-07", "7"),
            ("4-7 days", "7"),
            ("(2, 7)", "7"),
            ("(7,2)", "7"),
            ("7 pm", "7"),
            ("$7k", "7"),
        )
    ),
]


@pytest.mark.parametrize(("reply", "answer"), READ)
def test_a_right_answer_is_found(reply: str, answer: str) -> None:
    assert is_correct(reply, answer)


@pytest.mark.parametrize(("reply", "answer"), NOT_READ)
def test_a_wrong_answer_is_not_taken_for_it(reply: str, answer: str) -> None:
    assert not is_correct(reply, answer)


EQUAL = [
    ("8 PM", "8 pm", "8 p.m.", "8:00 PM", "08:00 pm"),
    ("9:15", "09:15", "9{:}15"),
    ("60K", "60k", "60000", "60,000"),
    ("$2.5M", "$2.5 million", "2.5M dollars", "2500000"),
    ("$3bn", "3 billion"),
    ("O'Neill", "O’Neill", "o'neill"),
    ("Don't panic", "don’t panic"),
    ("Gemini 8", "gemini 8"),
    ("Mrs. Dalloway", "mrs. dalloway"),
    ("tea, milk", "tea,milk", "Tea, milk"),
    ('{"b":2,"a":[1]}', '{"a": [1.0], "b": 2}'),
    ("15", "fifteen", "Fifteen"),
    ("342", "three hundred and forty-two"),
    ("2.5 hours", "2 hours 30 minutes", "2 hours and 30 minutes", "150 minutes"),
    ("66 inches", "5 feet 6 inches"),
    ("£8", "8 pounds"),
    ("9 V", "9 volts", "9000 mV"),
    ("-4", "negative 4", "minus 4"),
    ("-4 degrees", "4 degrees below zero"),
    ("false", "no", "No"),
    ("\\emptyset", "\\varnothing", "∅"),
    ("2/3", "0.666..."),
    ("5/6", "0.8333…"),
    ("-1 \\le x \\le 4", "[-1,4]"),
    ("\\texttt{room7}", "room7"),
    ("6 apples", "6 apples left", "6 green apples", "6 apples in total"),
    ("6%", "6% increase"),
    ("6 km", "6 km north"),
    ("Answer: blue", "blue"),
    ("23 km", '"23 km"', "‘23 km’"),
]
UNEQUAL = [
    ("J. S. Bach", "J. S. Mill"),
    ("E. coli", "E. albertii"),
    ("I, Tonya", "I, Claudius"),
    ("B.A.", "B.C."),
    ("B-", "B"),
    ("B+", "B"),
    ("A. A. Milne", "A"),
    ("B. milk", "B. tea"),
    ("A: 5, B: 6", "A"),
    ("A: 5, B: 6", "A: 5, B: 7"),
    ("9 a.m.", "9 p.m."),
    ("9 am", "9"),
    ("9:15 AM", "9:15 PM"),
    ("60K", "60"),
    ("$60K", "$60"),
    ("$2.5M", "2.5"),
    ("7% increase", "7% decrease"),
    ("$7 profit", "$7 loss"),
    ("7 km north", "7 km south"),
    ("7 red hats", "7 green hats"),
    ("fewer than 7", "7"),
    ("at least 7 hats", "7"),
    ("it is not 7", "7"),
    ("7 or more hats", "7"),
    ("false, true", "false"),
    ("It is negative 7", "7"),
    ("Vienna, Virginia", "Vienna"),
    ("No; Yes", "No"),
    ("Ni", "NI"),
    ("KCl", "KCL"),
    ("y", "Y"),
    ("110_2", "110"),
    ("7 degrees below zero", "7 degrees"),
    ("2 hours 30 minutes", "30 minutes"),
    ("2 hours 30 minutes", "2 hours"),
    ("one two", "12"),
    ('{"a": 1}', '{"a": true}'),
    ("0.66", "2/3"),
    ("main.rs", "Main.rs"),
    ("yes", "no"),
    ("fifteen", "fifty"),
    ("tea, milk", "milk, tea"),
    ("5 mV", "5 MV"),
]


@pytest.mark.parametrize("spellings", EQUAL)
def test_more_spellings_of_a_value(spellings: tuple[str, ...]) -> None:
    right = spellings[0]
    for other in spellings:
        assert same_value(other, right) and same_value(right, other), other
        assert is_correct(f"#### {other}", right), other


@pytest.mark.parametrize("pair", UNEQUAL)
def test_more_values_that_differ(pair: tuple[str, str]) -> None:
    assert not same_value(*pair) and not same_value(*reversed(pair))


def test_a_word_may_be_explained() -> None:
    for said in ("Yes, it is", "yes, they do.", "Yes, because 3 > 2"):
        assert same_value(said, "yes")


HOURS = st.integers(1, 12)
MINUTES = st.integers(0, 59)


@settings(max_examples=150, deadline=None)
@drawn(HOURS, MINUTES, HOURS, MINUTES, st.sampled_from("ap"), st.sampled_from("ap"))
def test_times_of_day_are_equal_by_value_alone(
    hour: int, minute: int, other_hour: int, other_minute: int, half: str, other_half: str
) -> None:
    spelled = [
        f"{hour}:{minute:02} {half}m",
        f"{hour:02}:{minute:02} {half.upper()}M",
        f"{hour}:{minute:02}{half}.m.",
    ]
    other = f"{other_hour}:{other_minute:02} {other_half}m"
    alike = (hour, minute, half) == (other_hour, other_minute, other_half)
    for text in spelled:
        assert same_value(text, spelled[0])
        assert same_value(text, other) == same_value(other, text) == alike


NAMES = st.lists(
    st.sampled_from(["north", "Apollo", "don't", "11", "state", "Mrs", "o'clock", "sea"]),
    min_size=1,
    max_size=4,
).filter(lambda words: words[0] != "11")


@settings(max_examples=200, deadline=None)
@drawn(NAMES, NAMES)
def test_texts_are_equal_by_their_words_alone(words: list[str], others: list[str]) -> None:
    text, other = " ".join(words), " ".join(others)
    for spelled in (text.lower(), text.replace("'", "’"), f"“{text}”", f"**{text}.**"):
        assert same_value(spelled, text) and same_value(text, spelled)
        assert same_value(spelled, other) == (words == others)
        assert is_correct(f"We go on.\n#### {spelled}", text)


LETTERS = st.sampled_from("ABCDEFGHIJ")
OPTIONS = st.sampled_from(["tea", "cold water", "Paris", "12 km", "none of them"])
CHOICES = [
    lambda letter, _: letter,
    lambda letter, _: f"({letter.lower()})",
    lambda letter, text: f"{letter}. {text}",
    lambda letter, text: f"**{letter})** {text}",
    lambda letter, text: f"({letter}) {text}",
    lambda letter, text: f"Option {letter} ({text})",
    lambda letter, _: f"{letter}, because it fits",
]


@settings(max_examples=200, deadline=None)
@drawn(LETTERS, LETTERS, OPTIONS, OPTIONS, st.sampled_from(CHOICES), st.sampled_from(CHOICES))
def test_choices_are_equal_by_letter_and_text(
    a: str, b: str, text: str, other: str, one: object, two: object
) -> None:
    assert callable(one) and callable(two)
    assert kind_of(one(a, text)) == "choice"
    assert same_value(one(a, text), two(a, text))
    assert is_correct(f"The answer is {one(a, text)}.", a)
    if a != b:
        assert not same_value(one(a, text), two(b, text))
    if text != other:
        assert not same_value(f"{a}. {text}", f"({a}) {other}")


CALLS = [
    ('[TOOL_CALLS]dim[ARGS]{"room": 2}', "dim(room=2)"),
    ('<function=dim>{"room": 2}</function>', "dim(room=2)"),
    ('<function=dim>{"room": 2}</function><function=stop>{}</function>', "[dim(room=2), stop()]"),
    (
        '<minimax:tool_call>\n<invoke name="dim">\n<parameter name="room">2</parameter>\n'
        '<parameter name="to">low</parameter>\n</invoke>\n</minimax:tool_call>',
        "dim(room=2, to='low')",
    ),
    (
        '<function_calls>\n<invoke name="dim">\n<parameter name="room">2</parameter>\n</invoke>\n'
        '<invoke name="stop">\n</invoke>\n</function_calls>',
        "[dim(room=2), stop()]",
    ),
    (
        "<tool_call>\n<function=dim>\n<parameter=room>\n2\n</parameter>\n<parameter=to>\nlow\n"
        "</parameter>\n</function>\n</tool_call>",
        "dim(room=2, to='low')",
    ),
    (
        "<start_function_call>call:dim{to:<escape>a, b: {c<escape>,room:2}<end_function_call>",
        "dim(room=2, to='a, b: {c')",
    ),
    (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>dim\n```json\n"
        '{"room": 2}\n```'
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "dim(room=2)",
    ),
    ('<｜tool▁call▁begin｜>dim<｜tool▁sep｜>{"room": 2}<｜tool▁call▁end｜>', "dim(room=2)"),
    ("```tool_code\nprint(dim(room=2))\n```", "dim(room=2)"),
    ('{"function": "dim", "arguments": {"room": 2}}', "dim(room=2)"),
    ('{"tool": "dim", "parameters": {"room": 2}}', "dim(room=2)"),
    ('{"function_name": "dim", "args": {"room": 2}}', "dim(room=2)"),
    ('{"name": "stop"}', "stop()"),
    ('{"name": "stop", "parameters": null}', "stop()"),
    ("dim(room=2)\n\nThis calls dim() for one room.", "dim(room=2)"),
    ("dim(room=2)\n\nNote: level (optional)", "dim(room=2)"),
]


@pytest.mark.parametrize(("reply", "answer"), CALLS)
def test_calls_in_the_marks_of_each_family(reply: str, answer: str) -> None:
    assert is_correct(reply, answer) and not is_correct(reply, "dim(room=3)")
    assert is_correct(f"#### {' '.join(reply.split())}", answer) or "\n\n" in reply


@pytest.mark.parametrize(
    "text",
    [
        "$" * 5000,
        "$1 " * 2000,
        "1 " * 5000,
        "therefore A, " * 1500,
        "the answer is " * 2000,
        "no " * 5000 + "1",
        "<function=f>" + "<parameter=a>1</parameter>" * 500,
        "(" * 3000 + "1",
        "call:f{" * 2000,
        "A, " * 4000,
        "one " * 5000,
        "1 hour " * 2000,
        "0." + "12" * 4000 + "...",
        "f[ARGS]{" * 2000,
        "**" * 4000,
        "'" * 5000,
        "a, " * 4000,
        "{1" * 2000,
        "-" * 9000,
    ],
)
def test_no_text_of_signs_takes_long(text: str) -> None:
    start = time.monotonic()
    for answer in ("12", "f(a=1)", "(1,2)", "yes", "B", "8 pm", text):
        is_correct(text, answer)
        final_answer(text, kind="stated")
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    "text",
    ["#### " * 2000 + "f(" * 5000, "x^\\(" * 2000, r"(\text{" * 2000, " " * 8000 + "so 5"],
)
def test_a_text_that_is_no_answer_takes_no_time(text: str) -> None:
    start = time.monotonic()
    final_answer(text)
    kind_of(text)
    same_value(text, "5")
    same_value("5", text)
    assert same_value(text, text)
    assert time.monotonic() - start < 4


@pytest.mark.parametrize("sign", ["`", "~"])
def test_a_fence_that_nothing_follows_takes_no_time(sign: str) -> None:
    start = time.monotonic()
    assert not is_correct(sign * 20_000, "Paris")
    assert time.monotonic() - start < 2
