"""How a model is asked is data, and the same data in training, in an artifact and on a device."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srl_edge.data import trajectories
from srl_edge.data.trajectories import ParseReport, parse_rows
from srl_edge.devices.runtimes.chat import Asked, Chat, asked_of
from srl_edge.errors import InputError
from srl_edge.method.answers.reading import final_answer
from srl_edge.method.prompt_form import DEFAULT, PRESETS, form_of
from srl_edge.method.prompts import (
    expert_ids,
    prompt_ids,
    step_prompts,
    warm_up_reply,
    whole_prompts,
)
from srl_edge.method.solving import Attempt, solve
from srl_edge.method.types import StepPrompt, Trajectory
from srl_edge.models.tokenizer import load_tokenizer
from srl_edge.recipe import Prompt, load

MATH = PRESETS["math"]
SOLVED = Trajectory("t", "What is {steps} plus 1?", ("1 + 1 = 2", "so 2"), "2")


@pytest.mark.parametrize("name", PRESETS)
def test_a_prompt_holds_the_problem_and_the_steps_as_they_are(name: str) -> None:
    form = PRESETS[name]
    for prompt in step_prompts([SOLVED], "all", form=form)[0]:
        asked = prompt.messages[-1]["content"]
        # Braces in a problem are the problem's own.
        assert SOLVED.problem in asked
        assert all(step in asked for step in prompt.previous_steps)
    ((whole,),) = whole_prompts([SOLVED], form)
    assert SOLVED.problem in whole.messages[-1]["content"]
    assert "1 + 1" not in whole.messages[-1]["content"]


def test_in_its_own_way_a_model_is_told_nothing_but_the_problem() -> None:
    chat = MATH.messages("How many?", (), whole=True)
    assert [message["role"] for message in chat] == ["user"]
    ((prompt,),) = whole_prompts([SOLVED], MATH)
    assert warm_up_reply(prompt) == "1 + 1 = 2\nso 2"  # no canned thought


@pytest.mark.parametrize(
    ("text", "finished", "action", "fault"),
    [
        (" 1 + 1 = 2\n", True, "1 + 1 = 2", ""),
        ("1 + 1 =", False, "1 + 1 =", "cut off at the length limit"),
        ("  ", True, "", "an empty reply"),
        # A model that thinks unasked, and one whose template began the thought.
        ("<think>hm</think> so 2", True, "so 2", ""),
        ("hm</think> so 2", True, "so 2", ""),
    ],
)
def test_a_reply_without_thoughts(text: str, finished: bool, action: str, fault: str) -> None:
    reply = MATH.read(text, finished)
    assert (reply.action, reply.fault) == (action, fault)


@pytest.mark.parametrize(
    ("answer", "stating", "silent"),
    [
        ("####", "so 2\n#### 2", "so 2"),
        ("boxed", r"so \boxed{2}", "#### 2"),
        (r"Answer: (.+)", "Answer: 2", "the answer is 2"),
    ],
)
def test_how_an_answer_is_marked(answer: str, stating: str, silent: str) -> None:
    form = Prompt(answer=answer).form
    assert form.states_answer(stating) and not form.states_answer(silent)
    line = form.stated("2")
    assert form.states_answer(line) if line else answer.startswith("Answer")


def test_the_last_step_states_the_answer_in_the_forms_own_way(tmp_path: Path) -> None:
    row = {"problem": "p", "steps": ["a", "b"], "answer": "2"}
    (parsed,) = parse_rows([row], ParseReport(), form=MATH)
    assert parsed.steps[-1] == "b\nThe final answer is \\boxed{2}."
    # What was written once is read back as it is.
    trajectories.write_jsonl(tmp_path / "train.jsonl", [parsed])
    assert trajectories.load(tmp_path / "train.jsonl") == [parsed]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"whole": "Solve it."}, "whole must hold {problem}"),
        ({"step": "Problem: {problem}"}, "step must hold {steps}"),
        ({"own_way": "Solve it."}, "own_way must hold {problem}"),
        ({"answer": "Answer: ("}, "not a regular expression"),
        ({"answer": "Answer: .+"}, "a regular expression with one group"),
        ({"sistem": "x"}, "system"),
    ],
)
def test_a_prompt_that_cannot_be_asked_is_refused(
    values: dict[str, Any], said: str, tmp_path: Path
) -> None:
    lines = "\n".join(f"{key} = '''{value}'''" for key, value in values.items())
    (tmp_path / "r.toml").write_text(
        f"output = 'r'\n[model]\nname = 'm'\n[prompt]\n{lines}\n[[stages]]\nkind = 'sft'\nsteps = 1"
    )
    with pytest.raises(InputError, match=said.replace("{", r"\{").replace("}", r"\}")):
        load(tmp_path / "r.toml")


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("ending", ["", "<think>", "<think>\n", "<think>\n\n</think>\n\n"])
def test_an_expert_step_is_no_thought(tiny_model: Path, name: str, ending: str) -> None:
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = "Well: " + ending.replace("\n", "{{ '\n' }}")
    prompt = StepPrompt("a", 0, "1+2?", (), "1+2 = 3.", "3", form=PRESETS[name])
    reply = tokenizer.decode(expert_ids(tokenizer, prompt))
    assert PRESETS[name].read(reply).action == "1+2 = 3."
    taught = tokenizer.decode(prompt_ids(tokenizer, prompt)) + reply
    assert taught.count("<think>") == taught.count("</think>") <= 1
    assert re.fullmatch(r"(?s)[^<]*(<think>[^<]*</think>)?\s*1\+2 = 3\.", taught), taught


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", PRESETS)
def test_a_device_asks_what_training_asked(
    name: str, whole: bool, tiny_model: Path, tmp_path: Path
) -> None:
    form = replace(PRESETS[name], chat_template_kwargs={"enable_thinking": False, "tools": [1]})
    groups = whole_prompts([SOLVED], form) if whole else step_prompts([SOLVED], "all", form=form)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / file).write_bytes((tiny_model / file).read_bytes())
    template = (tmp_path / "chat_template.jinja").read_text()
    asking = "{% if enable_thinking is false %}No thoughts. {{ tools | tojson }}{% endif %}"
    (tmp_path / "chat_template.jinja").write_text(asking + template)
    said = form.as_dict() | {"reply": "whole" if whole else "step"}
    (tmp_path / "manifest.json").write_text(json.dumps({"prompt": said}))
    tokenizer, chat = load_tokenizer(tmp_path), Chat(tmp_path)
    assert chat.asked == Asked(form, whole)
    for prompt in groups[0]:
        asked = chat.prompt_ids(prompt.problem, prompt.previous_steps)
        assert tuple(asked) == prompt_ids(tokenizer, prompt)
        assert chat.decode(asked).startswith("No thoughts. [1]")


ENDLESS = r"(?:x|xx)+[yz](.)"


def test_what_is_no_pattern_is_one_sentence() -> None:
    with pytest.raises(InputError, match="is none"):
        final_answer("x" * 60, "(")


def test_a_reply_whose_answer_takes_for_ever_to_find_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What one reply of a model's says is no reason to end a training."""
    monkeypatch.setattr("srl_edge.method.answers.reading.SECONDS", 0.2)
    form = replace(PRESETS["math"], answer=ENDLESS)
    (attempt,) = solve([Trajectory("1", "p", ("a",), "7")], endless_reply, 2, lambda: None, form)
    assert not attempt.correct and not attempt.marked
    assert attempt.steps == ["x" * 60] * 2  # it stated no answer, so it went on


def endless_reply(asked: Sequence[Attempt]) -> list[tuple[str, bool]]:
    return [("x" * 60, True) for _ in asked]


def test_a_row_whose_answer_takes_for_ever_to_find_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("srl_edge.method.answers.reading.SECONDS", 0.2)
    report, form = ParseReport(), replace(PRESETS["math"], answer=ENDLESS)
    rows = [{"problem": "p", "steps": ["a", last]} for last in ("x" * 60, "xxy7")]
    (kept,) = parse_rows(rows, report, form=form)
    assert kept.answer == "7"
    assert report.dropped == {"prompt.answer takes too long to look for": 1}


@pytest.mark.parametrize("blanks", [" ", "\n", " \n\t", "\ndone", "done ", "\ndone\n "])
def test_what_comes_before_done_is_read_at_once(blanks: str) -> None:
    long, start = blanks * (200_000 // len(blanks)), time.monotonic()
    form = PRESETS["commands"]
    assert final_answer(f"x{long}\n y", form.pattern, "stated") == f"x{long}\n y"
    assert time.monotonic() - start < 4


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("ls\ndone", "ls"),
        ("ls \n\ndone\n", "ls"),
        ("ls\ndone\ndone", "ls\ndone"),
        (" \ndone", ""),
        ("done", ""),
        ("is it done", "is it done"),
        ("undone", "undone"),
        ("a\ndone b", "a\ndone b"),
    ],
)
def test_a_last_line_that_says_done_is_no_answer(text: str, answer: str) -> None:
    assert final_answer(text, PRESETS["commands"].pattern, "stated") == answer


def test_an_artifact_that_says_nothing_is_asked_as_those_were(tmp_path: Path) -> None:
    assert form_of(None) == form_of({}) == DEFAULT
    assert form_of(MATH.as_dict() | {"reply": "whole", "of a later version": 1}) == MATH


@pytest.mark.parametrize(
    "said", [{"verifier": 5}, {"verifier": "rewards.py:f"}, {"date": 20240726}, {"date": "today"}]
)
def test_a_manifest_that_judges_or_dates_otherwise_is_one_sentence(
    said: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"prompt": MATH.as_dict() | said}))
    with pytest.raises(InputError, match=rf"manifest.json: prompt.{next(iter(said))}"):
        asked_of(tmp_path)


def test_real_prompts_are_shown_with_their_tokens(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        "".join(
            json.dumps({"problem": f"What is {i} + 1?", "solution": f"{i} + 1\n#### {i + 1}\nend"})
            + "\n"
            for i in range(6)
        )
    )
    (tmp_path / "r.toml").write_text(
        f"""output = '{tmp_path / "run"}'
[model]
name = '{tiny_model}'
[data]
source = '{tmp_path / "rows.jsonl"}'
validation_problems = 1
test_problems = 1
[prompt]
preset = "math"
[[stages]]
kind = "rlvr"
reply = "whole"
steps = 1
"""
    )
    said = subprocess.run(
        [sys.executable, "-m", "srl_edge", "data", str(tmp_path / "r.toml"), "--show", "2"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shown = said.split("--- prompt ")[1:]
    assert len(shown) == 2
    for text in shown:
        rendered = text.partition("\n")[2].partition("--- the expert")[0].removesuffix("\n")
        count = len(load_tokenizer(tiny_model).encode(rendered, add_special_tokens=False))
        assert text.startswith(("1:", "2:")) and f"{count} tokens" in text.splitlines()[0]
        assert "put your final answer within \\boxed{}" in rendered
        assert "The final answer is \\boxed{" in text


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (r"Antwort: (.+)", "Antwort: 16"),
        (r"(?i)answer:\s*(.+)", "answer: 16"),
        (r"(?m)^Result = ([\d.]+)$", "Result = 16"),
        (r"\[(-?\d+)\]", "[16]"),
        (r"<answer>(.*?)</answer>", "<answer>16</answer>"),
        (r"(?:so|thus) (\d+)", ""),  # of two ways, none is the writer's
        (r"x(\d)", ""),  # one digit cannot hold it
    ],
)
def test_an_answer_is_written_as_a_pattern_reads_it(pattern: str, written: str) -> None:
    form = replace(DEFAULT, answer=pattern)
    assert form.stated("16") == written
    assert not written or form.states_answer(f"4 * 4 = 16\n{written}")
