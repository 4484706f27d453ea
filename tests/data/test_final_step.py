# ruff: noqa: RUF001 - other scripts' punctuation is what is read
"""A solution says its answer once, and last: other words of it make way, and earlier marks go."""

import pytest

from srl_edge.data.final_step import with_answer, without_opening
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.method.prompt_form import PRESETS

STEPS = ("A = 3.", "B = 4.")
MARKED = (*STEPS, "#### 7")


@pytest.mark.parametrize(
    "end",
    [
        *("**答案：7**", "答案是7。", "所以，最终答案为：$7$。", "答：7", "### 答案\n\\boxed{7}"),
        *(
            "答え：7",
            "したがって、答えは7です。",
            "**正解は7**",
            "정답: 7",
            "따라서 정답은 7입니다.",
        ),
        *("Antwort: 7", "**Antwort:** 7", "Die Antwort lautet 7.", "Also ist die Antwort 7."),
        *("### Antwort\n\n7", "Réponse : 7", "La réponse finale est $\\boxed{7}$.", "Risposta: 7"),
        *("Respuesta: 7", "Por lo tanto, la respuesta final es 7.", "A resposta é **7**."),
        *("Ответ: 7.", "Итак, ответ: $7$", "**Ответ:** 7", "Odpowiedź: 7", "Cevap: 7", "उत्तर: 7"),
        *(
            "答：一共有7个苹果。",
            "Antwort: 7 Äpfel",
            "故答案为：7．",
            "正确答案是：$7$。",
            "【答案】7",
        ),
        *("La bonne réponse est 7.", "Jawabannya adalah 7.", "Doğru cevap 7.", "Đáp án là 7."),
        *("उत्तर 7 है।", "الإجابة هي 7.", "Ans: 7", "Answer : 7", "Answer. 7.", "[Answer] 7"),
        *("So the correct answer is 7.", "Answer - 7", "Final answer = 7", "Answer:\n1. 7"),
        *("**Final Answer**\n\n\\[\n7\n\\]", "The answer is:\n$$\n7\n$$"),
    ],
)
def test_an_answer_in_any_language_is_taught_once(end: str) -> None:
    assert with_answer((*STEPS, end), "7", own_step=True) == MARKED
    assert with_answer((*STEPS[:1], f"{STEPS[1]}\n{end}"), "7", own_step=True) == MARKED
    row = {"problem": "p", "solution": "\n".join((*STEPS, end)), "answer": "7"}
    (found,) = parse_rows([row], ParseReport(), ("lines",), answer_step=True)
    assert found.steps == MARKED


@pytest.mark.parametrize(
    "end",
    [
        "答案是7，因为3+4=7。",
        "Die Antwort ist 7, weil A und B zusammen so viel sind.",
        "La respuesta es 7 porque se suman.",
        "答案：8",
        "Antwort auf Frage 7",
        "Der Wert ist 7 und die Antwort folgt.",
    ],
)
def test_what_says_more_than_the_answer_stays(end: str) -> None:
    assert with_answer((*STEPS, end), "7", own_step=True) == (*STEPS, end, "#### 7")


@pytest.mark.parametrize(
    "end",
    [
        *(
            "The correct option is (B).",
            "故选：B",
            "故选B。",
            "因此，正确选项为 B。",
            "正解はBです。",
        ),
        *("La respuesta correcta es la B.", "The correct answer is option $\\boxed{B}$."),
    ],
)
def test_a_choice_is_taught_once(end: str) -> None:
    assert with_answer((*STEPS, end), "B", own_step=True) == (*STEPS, "#### B")


@pytest.mark.parametrize(
    ("opening", "answer"),
    [
        *(
            ("**Answer:** \\boxed{7}\n\n", "7"),
            ("Answer: 7\nExplanation: ", "7"),
        ),
        *(
            ("$\\boxed{7}$\n\n", "7"),
            ("**Answer: 7**\n\n**Explanation:** ", "7"),
            ("Answer:\n7\n", "7"),
        ),
        *(
            ("The correct answer is B. ", "B"),
            ("Answer: B. cats\nExplanation: ", "B"),
            ("The answer is 7. ", "7"),
        ),
        ("【答案】B\n【解析】", "B"),
    ],
)
@pytest.mark.parametrize("preset", ["math", "word-problems"])
def test_an_answer_before_the_solution_is_said_last(preset: str, opening: str, answer: str) -> None:
    form, report = PRESETS[preset], ParseReport()
    row = {"problem": "p", "solution": f"{opening}Take 3 first.\n\nThen add 4.", "answer": answer}
    (found,) = parse_rows([row], report, ("lines",), form=form, answer_step=True)
    assert found.steps == ("Take 3 first.", "Then add 4.", form.stated(answer))
    assert (report.openings, report.unmarked) == (1, 0)


def test_thoughts_go_with_their_steps_where_the_first_goes() -> None:
    row = {"problem": "p", "steps": ["Answer: 7", "A = 3.", "B = 4."], "answer": "7"}
    row |= {"thoughts": ["a", "b", "c"]}
    (found,) = parse_rows([row], ParseReport(), answer_step=True)
    assert found.steps == (*STEPS, "#### 7")
    assert found.thoughts == ("a\n\nb", "c", "")


@pytest.mark.parametrize(
    "first", ["Answer: 8", "7", "The answer is 7 times what we know.", "The answer needs 7 steps."]
)
def test_a_first_step_that_says_something_else_stays(first: str) -> None:
    assert without_opening((first, *STEPS), "7") is None
    assert without_opening(("Answer: 7",), "7") is None


@pytest.mark.parametrize(
    ("preset", "marked", "left"),
    [
        ("math", "So $a = \\boxed{\\frac{3}{4}}$.", "So $a = \\frac{3}{4}$."),
        ("math", "$x + \\boxed{\\phantom{2}} = 7$", "$x + \\square = 7$"),
        ("math", "\\boxed{1} and \\boxed{{2}} or \\boxed{3", "1 and {2} or 3"),
        ("math", "#### 3", "#### 3"),
        ("word-problems", "Add 1.\n#### 3", "Add 1.\n3"),
        ("word-problems", "So it is $\\boxed{3}$.", "So it is $\\boxed{3}$."),
    ],
)
def test_a_mark_before_the_last_step_is_taken_from_its_value(
    preset: str, marked: str, left: str
) -> None:
    form, report = PRESETS[preset], ParseReport()
    row = {
        "problem": "p",
        "steps": [marked, "And so on.", f"It is {form.stated('7')}"],
        "answer": "7",
    }
    (found,) = parse_rows([row], report, form=form)
    assert found.steps[0] == left and report.unmarked == (left != marked)
    assert [form.states_answer(step) for step in found.steps].index(True) == len(found.steps) - 1
