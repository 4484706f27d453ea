"""The worked texts of a model that has no run: those that are shipped, and those of a file."""

import json
from pathlib import Path

import pytest

from srl_edge.data.texts import halves, worked_texts
from srl_edge.errors import InputError
from srl_edge.method.prompt_form import DONE, PRESETS
from srl_edge.method.verifiers import is_marked_correct


@pytest.mark.parametrize("preset", PRESETS)
def test_every_general_text_ends_in_its_answer_in_every_form(preset: str) -> None:
    form, texts = PRESETS[preset], worked_texts(None, PRESETS[preset])
    assert len(texts) == len({t.problem for t in texts}) == 24
    for text in texts:
        assert text.answer and len(text.steps) >= 2
        if form.answer == DONE:  # its answers are commands; these only end as it does
            assert text.steps[-1].endswith("\ndone")
        else:
            assert is_marked_correct("\n".join(text.steps), text.answer, form), text.id
        assert sum(map(len, (text.problem, *text.steps))) < 600
    for half in halves(texts):  # each has words of every language
        said = " ".join(t.problem for t in half)
        assert all(word in said for word in ("How many", "Wie ", "¿", "多少"))


def test_a_file_is_read_as_recipes_read_it_and_split_evenly(tmp_path: Path) -> None:
    rows = [
        {"question": f"{i} + 1?", "answer": f"Add 1.\n{i + 1} it is.\n#### {i + 1}"}
        for i in range(5)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    texts = worked_texts(file, PRESETS["math"])
    assert [t.answer for t in texts] == ["1", "2", "3", "4", "5"]
    assert texts[0].steps[-1].endswith(r"\boxed{1}.")
    fitted_to, questions = halves(texts)
    assert [t.answer for t in fitted_to] == ["1", "3", "5"]
    assert [t.answer for t in questions] == ["2", "4"]
    assert halves(texts[:1]) == (texts[:1], texts[:1])
    file.write_text('{"problem": "Why?"}\n')
    with pytest.raises(InputError, match="none of 1 rows can be used; dropped: 1 for no"):
        worked_texts(file, PRESETS["math"])
