# ruff: noqa: RUF001 - signs of mathematics are what is read here
"""Answers in the spellings of other models and data sets, and near ones that differ."""

import time

import pytest

from srl_edge.method import calls
from srl_edge.method.answers.reading import final_answer
from srl_edge.method.verifiers import is_correct, kind_of, same_value

EQUAL = [
    # signs of inequalities
    ("b \\le 7", "b \\leqslant 7", "b \\leqq 7", "b\\leqslant7", "b ≤ 7", "(-\\infty,7]"),
    ("b \\ge 7", "b \\geqslant 7", "b \\geqq 7", "[7,\\infty)"),
    ("b \\ne 7", "b \\not= 7", "b \\not = 7", "b \\neq 7", "b≠7"),
    ("2 \\leqslant y < 9", "2 \\le y < 9", "[2,9)"),
    # what TeX has around a number
    ("37", "\\approx 37", "\\text{about } 37", "approximately 37", "x \\approx 37", "only $37"),
    ("37", "\\textcolor{blue}{37}", "\\color{blue}37", "{\\color{blue}37}", "\\underline{37}"),
    ("37", "\\boldsymbol{37}", "\\bm{37}", "\\Large 37", "{\\small 37}", "37_{10}", "37_{ 10 }"),
    (
        "\\frac{3}{7}",
        "\\color{red}{\\frac{3}{7}}",
        "\\boldsymbol{\\frac37}",
        "\\approx \\frac{3}{7}",
    ),
    ("37 km", "37\\textrm{ km}", "37\\textnormal{ km}", "37\\ \\textsf{km}", "37\\mathit{ km}"),
    ("2\\sqrt{3}\\text{ km}", "2\\sqrt{3}\\textrm{ km}", "2\\sqrt3 \\textnormal{ km}", "2\\sqrt 3"),
    ("37 ohms", "37\\,\\Omega", "37\\Omega", "37 Ω", "0.037 k\\Omega", "0.037\\,\\text{k}\\Omega"),
    (
        "37 micrometers",
        "37\\,\\mu\\text{m}",
        "37\\mu\\mathrm{m}",
        "37 μm",
        "37\\ \\mu \\textrm{ m}",
    ),
    ("£37", "\\pounds 37", "\\pounds37", "37 pounds"),
    # braces inside brackets, and sets by what holds of their numbers
    ("[-3,3]", "\\left[ {-3,3} \\right]", "[{-3,3}]", "\\left[{-3, 3}\\right]"),
    ("(\\frac{1}{3},3]", "\\left( {\\frac{1}{3},3} \\right]", "({\\frac13, 3}]"),
    ("\\{3,7\\}", "\\left\\{ {3,7} \\right\\}", "\\{{7,3}\\}"),
    ("(3,9)", "\\left\\{ {x|3 < x < 9} \\right\\}"),
    ("(-3,5)", "\\left( { - 3,5} \\right)", "( {-3,5} )"),
    ("\\{x\\mid 3<x<7\\}", "\\{x|3<x<7\\}", "\\{ x : 3 < x < 7 \\}", "\\{x ∣ 3<x<7\\}", "(3,7)"),
    (
        "(3,\\infty)",
        "\\{x \\mid x > 3\\}",
        "\\left\\{ x | x>3 \\right\\}",
        "\\{x \\in \\mathbb{R} : x > 3\\}",
    ),
    ("\\{x|x \\geqslant 3\\}", "\\{x \\mid x \\ge 3\\}", "[3,+\\infty)", "x \\ge 3"),
    # money, millions, compounds and numbers in circles
    ("370 kr", "370", "370 kr.", "370.00 kr"),
    ("₱370", "370", "370 pesos", "₱370.00"),
    ("NT$370", "370", "NT\\$370", "370 TWD"),
    ("3.7M", "3700000", "3.7 million", "3,700,000"),
    ("CO2", "\\text{CO}_2", "\\mathrm{CO}_{2}", "\\text{CO}_2.", "CO₂"),
    ("H2O", "\\text{H}_2\\text{O}", "\\mathrm{H}_{2}\\mathrm{O}", "H_2O"),
    ("C6H12O6", "\\text{C}_6\\text{H}_{12}\\text{O}_6"),
    ("①③", "(1)(3)"),
    ("①", "1", "(1)"),
    # several letters or numerals
    ("II, III", "II and III", "II & III", "(II) and (III)", "II,III"),
    ("I, III, IV", "I, III and IV", "I, III, and IV", "I; III; IV"),
    ("A, D", "A and D", "(A), (D)", "A,D"),
]
UNEQUAL = [
    ("b \\leqslant 7", "b < 7"),
    ("b \\leqslant 7", "b \\geqslant 7"),
    ("b \\leqq 7", "7"),
    ("b \\not= 7", "b = 7"),
    ("\\approx 38", "37"),
    ("about 37 or 38", "37"),
    ("nearly 37", "37"),
    ("\\textcolor{37}{38}", "37"),
    ("37_{8}", "37"),
    ("101_{10}", "101_2"),
    ("37_{10}", "3710"),
    ("37\\textrm{ km}", "37\\textrm{ kg}"),
    ("37\\mathbf{v}", "37"),
    ("2\\mathbf{i}-3\\mathbf{j}", "2\\mathbf{i}-3"),
    ("37\\Omega", "37 V"),
    ("37 k\\Omega", "37\\Omega"),
    ("37\\mu\\text{m}", "37 m"),
    ("37\\mu", "37"),
    ("\\pounds 37", "$37"),
    ("\\left[ {-3,3} \\right]", "(-3,3)"),
    ("\\left[ {-3,3} \\right)", "[-3,3]"),
    ("[{3}{7}]", "[37]"),
    ("\\{x|3<x<7\\}", "\\{x\\mid 3<x<8\\}"),
    ("\\{x|x>3\\}", "[3,\\infty)"),
    ("\\{x \\in \\mathbb{Z} \\mid 3<x<7\\}", "(3,7)"),
    ("\\{x|x>3\\}", "3"),
    ("\\{3, 7\\}", "(3,7)"),
    ("₱370", "$370"),
    ("₱370", "₩370"),
    ("NT$370", "$370"),
    ("A$370", "AU$371"),
    ("3.7M", "3.7"),
    ("3.7M", "3700"),
    ("3 kr", "3 mr"),
    ("\\text{CO}_2", "CO3"),
    ("\\text{CO}_2", "CO"),
    ("①③", "13"),
    ("①③", "①"),
    ("①③", "①②"),
    ("II", "II, III"),
    ("I", "I, II"),
    ("I", "I and III"),
    ("V", "V, VI, VII"),
    ("I, II", "I, III"),
    ("II and III", "III and II"),
    ("II and III", "II or III"),
    ("Paris and Rome", "Paris, Rome and Oslo"),
]


@pytest.mark.parametrize("spellings", EQUAL)
def test_spellings_of_one_answer(spellings: tuple[str, ...]) -> None:
    for other in spellings:
        assert same_value(other, spellings[0]) and same_value(spellings[0], other), other
        assert is_correct(f"So \\boxed{{{other}}}.", spellings[0]), other


@pytest.mark.parametrize("pair", UNEQUAL)
def test_answers_that_are_near(pair: tuple[str, str]) -> None:
    assert not same_value(*pair) and not same_value(*reversed(pair))


@pytest.mark.parametrize(
    "reply",
    [
        "Yes\n\nSince 16 is a square.",
        "- Yes\n\nIt has 4 sides.",
        "**Yes.**\n\nExplanation: 16 is 4 times 4.",
        "Yes\nIt has 3 sides.\n\nThat is all.",
        "Yes, because 4 < 5.\nEach step keeps that.",
        "Yes — it is.",
        "yes - they are.",
        "No\n\nWait. So the answer is yes.",
        "We look.\nYes",
        "No\nYes",
    ],
)
def test_a_verdict_may_stand_before_its_reasons(reply: str) -> None:
    assert is_correct(reply, "Yes") and not is_correct(reply, "No")


def test_a_sentence_that_begins_with_a_verdict_is_none() -> None:
    assert not is_correct("Yes, we can find out.\nIt fails.", "yes")
    assert not is_correct("No problem.\nSo it holds.", "no")
    assert not is_correct("No\n\nHm, but then yes it is.", "no")
    assert is_correct("True\n\nIt holds.", "yes")
    assert is_correct("Yes, we can find out.\nLima", "Lima")


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("Half is $\\boxed{4}$. Twice that is 8, so the final answer is 8.", "8"),
        ("#### 4\n\nNo: my final answer is **8**.", "8"),
        ("\\boxed{4} for one.\n**Final Answer:** The final answer is $8$. I hope so.", "8"),
        ("\\boxed{x} so x = 8.\nFinal answer: 8 apples", "8 apples"),
        ("The final answer is 4. But no: #### 8", "8"),
        ("#### 8\n\nThe final answer is not 4.", "8"),
        ("\\boxed{8}, and the final answer is in a box.", "8"),
        ("#### 8\nIt has 4 parts, and the answer is 4 times 2.", "8"),
        ("Final answer: \\boxed{8}. It was checked 4 times.", "8"),
    ],
)
def test_a_final_answer_after_every_mark_is_the_answer(reply: str, read: str) -> None:
    assert final_answer(reply) == read
    assert is_correct(reply, "8") and not is_correct(reply, "4")


def test_a_final_answer_of_other_kinds() -> None:
    assert is_correct("\\boxed{A}? No: the final answer is D.", "D")
    assert is_correct("\\boxed{(1,2)} twice: the final answer is $(2,4)$.", "(2,4)")
    assert is_correct("\\boxed{A}, and the final answer is above.", "A")
    own = r"Answer: (\d+)"
    assert final_answer("Answer: 8. The final answer is 4.", own) == "8"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("The area is 36m².", "36"),
        ("It holds 36cm³ of it", "36 cm^3"),
        ("So it is 36 km².", "36 square kilometers"),
        ("She pays ₱36.", "36"),
        ("It earns 3.6M.", "3600000"),
        ("It costs 36 kr.", "36"),
    ],
)
def test_a_unit_at_the_end_of_a_sentence(reply: str, answer: str) -> None:
    assert is_correct(reply, answer) and not is_correct(reply, "37")


def test_the_first_of_a_list_is_no_choice_with_a_text() -> None:
    assert kind_of("D, Rust") == kind_of("I, II") == "exact" and kind_of("D. Rust") == "choice"
    for right in ("D, Rust", "D, Go, Rust"):
        assert not is_correct("The answer is D.", right) and is_correct(f"#### {right}", right)
    for reply in ("#### D, water", "#### D. water", "The answer is D, as is clear.", "#### D"):
        assert is_correct(reply, "D. water") and is_correct(reply, "D"), reply


DSML = (
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="dim">\n'
    '<｜DSML｜parameter name="room" string="false">2</｜DSML｜parameter>\n'
    '<｜DSML｜parameter name="to" string="true">7</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n</｜DSML｜function_calls>"
)
CALLS = [
    # marks and tags of newer models
    ('[TOOL_CALLS]dim[CALL_ID]k3XyZ9012[ARGS]{"room": 2}', "dim(room=2)"),
    (
        '[TOOL_CALLS]dim[CALL_ID]a1b2c3d4e[ARGS]{"room": 2}[TOOL_CALLS]stop[CALL_ID]b1[ARGS]{}',
        "[dim(room=2), stop()]",
    ),
    (
        '<|tool_call>call:dim{room:2,to:<|"|>low, {soft}<|"|>}<tool_call|>',
        "dim(room=2, to='low, {soft}')",
    ),
    (
        "<|tool_call>call:dim{room:2}<tool_call|><|tool_call>call:stop{}<tool_call|>",
        "[dim(room=2), stop()]",
    ),
    ('<|tool_call>call:dim{room:2,at:{x:<|"|>1<|"|>}}<tool_call|>', "dim(room=2, at={'x': '1'})"),
    (DSML, "dim(room=2, to='7')"),
    ("I dim it.\n\n" + DSML, "dim(room=2, to='7')"),
    # names and values that Python keeps for itself or does not know
    (
        "dim(room=2, from='a', class='b')",
        '{"name": "dim", "arguments": {"room": 2, "from": "a", "class": "b"}}',
    ),
    (
        "[dim(room=2, in = 'x, from=y')]",
        '{"name": "dim", "arguments": {"room": 2, "in": "x, from=y"}}',
    ),
    (
        '[dim(room=2, at={"on": true, "by": [null, false]})]',
        "dim(room=2, at={'on': True, 'by': [None, False]})",
    ),
    # other frames
    ('Thought: it is dark.\nAction: dim\nAction Input: {"room": 2}', "dim(room=2)"),
    ('Action: `dim`\nAction Input: {"room": 2}\nObservation: done', "dim(room=2)"),
    ('**Action:** dim\n**Action Input:** {"room": 2}', "dim(room=2)"),
    ('{"tool_name": "dim", "tool_arguments": {"room": 2}}', "dim(room=2)"),
    ('{"tool": "dim", "tool_input": {"room": 2}}', "dim(room=2)"),
    ("functions.dim(room=2)", "dim(room=2)"),
    ('{"name": "functions.dim", "arguments": {"room": 2}}', "dim(room=2)"),
    ("\\boxed{\\text{dim(room=2)}}", "dim(room=2)"),
    ("\\boxed{\\texttt{light\\_dim(room=2)}}", "light_dim(room=2)"),
    ("\\boxed{light\\_dim(room=2)}", "light_dim(room=2)"),
]


@pytest.mark.parametrize(("reply", "answer"), CALLS)
def test_calls_in_more_frames(reply: str, answer: str) -> None:
    assert is_correct(reply, answer)
    for one, other in (("2", "3"), ("room", "hall"), ("dim", "light")):
        assert not is_correct(reply, answer.replace(one, other)), other


@pytest.mark.parametrize("key", ["from", "class", "in", "import"])
def test_what_looks_like_a_name_in_an_argument_stays(key: str) -> None:
    call = f"note(text='{key}=1, {key} = true', {key}=true)"
    assert calls.parsed(call) == [("note", (), {"text": f"{key}=1, {key} = true", key: True})]


@pytest.mark.parametrize(
    "text",
    [
        "Action: dim",
        "Action: dim\nAction Input: the room",
        "<|tool_call>call:dim",
        "from=1",
        DSML[:99],
    ],
)
def test_what_is_begun_alone_is_no_call(text: str) -> None:
    assert calls.parsed(text) is None and calls.last(text) is None


@pytest.mark.parametrize(
    "piece",
    [
        "Action: f\nAction Input: {",
        "Action: ",
        "f[CALL_ID]a",
        "[CALL_ID]",
        "<|tool_call>call:f{",
        '<|"|>',
        '<｜DSML｜invoke name="f">',
        "f(from=",
        "\\text{f(",
        "(x in=",
        "[{",
        "\\{x|x>",
        "\\mu\\text{",
        "\\color{",
        "II, ",
        "final answer is ",
        "about ",
        "the answer is 1, i.e. ",
    ],
)
def test_pieces_without_an_end_take_no_time(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    start = time.process_time()
    assert calls.parsed(text) is None
    for answer in ("12", "f(a=1)", "(1,2)", "yes", "B", "I, II"):
        is_correct(text, answer)
        same_value(text[:999], answer)
    assert time.process_time() - start < 6


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        # choices in quotes and in other languages
        ("The answer is 'D'.", "D"),
        ("The correct option is ‘D’", "D"),
        ("I choose 'D'.", "D"),
        ("{'answer': 'D'}", "D"),
        ("{'why': 'it is wet', 'answer': 'D', 'sure': 'yes'}", "D"),
        ("La respuesta correcta es D.", "D"),
        ("La respuesta es 24.", "24"),
        ("Die richtige Antwort ist D.", "D"),
        ("Die Antwort lautet: **D**", "D"),
        ("La bonne réponse est D.", "D"),
        ("A resposta correta é D.", "D"),
        ("La risposta corretta è D.", "D"),
        ("Respuesta: D", "D"),
        ("It must be D.", "D"),
        ("B is too dry, so it has to be D.", "D"),
        # what is said again, and where it comes from
        ("The answer is 24, i.e. 12 + 12.", "24"),
        ("The answer is 3/4, i.e., 0.75.", "3/4"),
        ("#### 24, i.e. 12 each", "24"),
        ("The answer is $2\\sqrt{3}$, that is, about 3.46.", "2\\sqrt{3}"),
        ("The answer is Oslo, i.e. the capital.", "Oslo"),
        ("#### 120 minutes (2 hours)", "120"),
        ("#### 120 minutes (2 hours)", "2"),
        ("#### 3 km (3000 m)", "3"),
        ("#### 24 (15 hens and 9 ducks)", "24"),
        ("\\boxed{24 \\text{ (15 hens and 9 ducks)}}", "24"),
    ],
)
def test_what_is_beside_an_answer_is_left_out(reply: str, answer: str) -> None:
    assert is_correct(reply, answer)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("The answer is 'B'.", "D"),
        ("It is in D's room.", "D"),
        ("La respuesta no es D.", "D"),
        ("Die Antwort ist B, und D ist falsch.", "D"),
        ("It must not be D.", "D"),
        ("{'answer': 'B', 'not': 'D'}", "D"),
        ("The answer is 24, i.e. 12 + 12.", "12"),
        ("The answer is $x^2 = 24$.", "24"),
        ("#### 120 minutes (3 hours)", "120"),
        ("#### 120 minutes (2 hours)", "3"),
        ("#### 24 (or 15 hens and 9 ducks)", "24"),
        ("#### 24 (15 hens and 9 ducks)", "15"),
        ("#### 24 (not 15 or 9)", "15"),
        ("#### 24 (25 with the cat)", "25"),
        ("#### 24 or 15 hens and 9 ducks", "24"),
    ],
)
def test_what_is_beside_an_answer_is_not_the_answer(reply: str, answer: str) -> None:
    assert not is_correct(reply, answer)


def test_an_answer_that_says_itself_again_is_whole() -> None:
    for text in ("a cat, i.e. a pet", "left, or equivalently west"):
        assert same_value(text, text) and is_correct(f"#### {text}", text)
