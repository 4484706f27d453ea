# ruff: noqa: RUF001 - other scripts' punctuation is what is read
"""Answers that a solution in another language says at its end: they make way for the marked one."""

import pytest

from srl_edge.data.final_step import with_answer
from srl_edge.data.trajectories import ParseReport, parse_rows

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
        *("答：一共有7个苹果。", "Antwort: 7 Äpfel"),
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
