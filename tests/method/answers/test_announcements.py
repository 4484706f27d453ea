# ruff: noqa: RUF001 - other scripts' punctuation is what is read here
"""Answers that a text announces, in any language: a number, a formula or a choice after them."""

import pytest

from srl_edge.method.answers.reading import final_answer
from srl_edge.method.verifiers import is_correct, same_value

CHINESE = (
    *(
        "故答案为：{}．",
        "故答案为:{}。",
        "答案是：{}。",
        "答案为{}",
        "**答案**：{}",
        "【答案】{}",
        "答：{}",
    ),
    *(
        "正确答案是：{}",
        "正确答案为：{}。",
        "因此，最终答案为：{}",
        "因此，答案应为{}。",
        "答案是（{}）。",
    ),
)
ANNOUNCED = (
    *CHINESE,
    *(
        "答え：{}",
        "答えは{}です。",
        "したがって、答えは {} です。",
        "정답은 {}입니다.",
        "답: {}",
        "최종 답: {}",
    ),
    *("La respuesta correcta es {}.", "Respuesta final: {}", "La réponse correcte est : {}"),
    *("La bonne réponse est {}.", "La risposta corretta è: {}", "Portanto, a resposta é {}."),
    *("Die richtige Antwort lautet {}.", "Antwoord: {}", "Het juiste antwoord is {}."),
    *("Svaret är {}.", "Правильный ответ — {}.", "Ответ: {}", "Правильный ответ - {}"),
    *("Poprawna odpowiedź to {}.", "Správná odpověď je {}.", "Cevap: {}", "Doğru cevap {}."),
    *("Vậy đáp án là {}.", "Đáp số: {}", "Jawabannya adalah {}.", "Jawaban yang benar adalah {}."),
    *("الإجابة: {}", "الجواب هو {}.", "सही उत्तर {} है।", "अतः सही उत्तर है: {}"),
    *("Jibu ni {}.", "উত্তর হল {}।", "উত্তর: {}", "సమాధానం: {}", "คำตอบคือ {}", "คำตอบ: {}"),
    *("Ans: {}", "Answer → {}", "Answer -> {}", "ANS. {}", "[Answer] {}", "Answer : {}"),
    *("The answer is clearly {}.", '{{"answer": "{}", "sure": true}}', "<final>{}</final>"),
)
OF_A_CHOICE = (
    *(
        "故选：{}．",
        "故选{}。",
        "正确选项为：{}",
        "选项{}正确。",
        "因此，选项 {} 是正确的。",
        "所以，{} 是正确答案。",
    ),
    *("La respuesta correcta es la {}.", "La opción correcta es la {}.", "Đáp án: **{}**"),
    *("A resposta correta é a letra {}.", "A alternativa correta é a {}.", "Vậy chọn {}."),
    *("La bonne réponse est la {}.", "Die richtige Option ist {}.", "Doğru cevap {} seçeneğidir."),
    *(
        "正解は ({}) です。",
        '{{"choice": "{}"}}',
        "<choice>{}</choice>",
        "Choice: {}",
        "→ {}",
        "=> {}",
    ),
    *(
        "The answer is letter {}.",
        "The answer is {} cats.",
        "The answer is {}!",
        "My choice is {}.",
    ),
    *("Therefore, ${}$ is correct.", "So we choose $\\text{{{}}}$.", "{} would be the answer."),
    "Final Answer: The final answer is $\\text{{{}}}$. I hope it is correct.",
)


@pytest.mark.parametrize("value", ["12", "-3", "$\\frac{1}{2}$"])
@pytest.mark.parametrize("words", ANNOUNCED)
def test_what_is_announced_is_read_and_stated(words: str, value: str) -> None:
    solution = "We look at 3 and 7.\nThen so.\n" + words.format(value)
    assert is_correct(solution, value)
    said = final_answer(solution, kind="stated")
    assert said is not None and same_value(said, value)


@pytest.mark.parametrize("words", ANNOUNCED + OF_A_CHOICE)
def test_a_choice_is_read(words: str) -> None:
    solution = "A is x and C is y.\nThen so.\n" + words.format("B")
    assert is_correct(solution, "B") and not is_correct(solution, "A")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "选项B错误。",
            "选项B不正确。",
            "判断B正确与否。",
            "The answer is A or B.",
            "Answer: A dog",
        ),
        *("Thus $B$, the foot, is found.", "The answer is I do not know.", "Was ist die Antwort?"),
    ],
)
def test_what_chooses_nothing_is_no_choice(text: str) -> None:
    assert not any(is_correct(text, letter) for letter in "ABI")


def test_the_answer_to_a_part_is_none_to_the_whole() -> None:
    text = "The answer to the first part is 3. So the total is 7."
    assert final_answer(text, kind="stated") is None and is_correct(text, "7")


@pytest.mark.parametrize(
    "opened", ["\\[\n{}\n\\]", "$$\n{}\n$$", "\\begin{{equation}}\n{}\n\\end{{equation}}"]
)
@pytest.mark.parametrize(
    "value", ["7", "x - 3z = 0", "\\text{Saturday}", "3:1", "(1, 2)", "\\text{(B)}", "2\\sqrt{3}"]
)
@pytest.mark.parametrize("words", ["The answer is:", "**Final Answer**", "### Answer", "So we get"])
def test_a_formula_on_lines_of_its_own_is_read_whole(words: str, value: str, opened: str) -> None:
    solution = f"Think of 5.\n\n{words}\n\n{opened.format(value)}"
    assert is_correct(solution, value)
    assert words == "So we get" or not is_correct(solution, "0")


@pytest.mark.parametrize(
    "end",
    [
        *("**Final Answer**\n\n\\[\n7\n\\]", "### Final Answer\n$$\n7\n$$", "Answer:\n1. 7"),
        *("Answer:\n> 7", "The answer is:\n```\n7\n```", "### 答案\n7"),
        "The answer is\n\\begin{align*}\nx &= 7\n\\end{align*}",
    ],
)
def test_an_answer_on_later_lines_is_stated(end: str) -> None:
    said = final_answer(f"Think of 5.\n\n{end}", kind="stated")
    assert said is not None and same_value(said, "7")


@pytest.mark.parametrize(
    "part", ["答案是", "\\[ ", "$$ ", "the answer is ", "\\begin{align} ", "选"]
)
def test_a_text_full_of_announcements_is_read_in_time(part: str) -> None:
    assert final_answer(part * (50_000 // len(part)), kind="stated") in (None, part * 10_000)
