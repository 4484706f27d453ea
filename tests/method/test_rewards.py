"""What a step is rewarded for, and what is not a step at all."""

import difflib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srl_edge.errors import InputError, StageError
from srl_edge.method.prompt_form import PRESETS
from srl_edge.method.prompts import step_prompts
from srl_edge.method.rewards import (
    check_weights,
    load_parts,
    matching_blocks,
    number_agreement,
    results_reached,
    similarity,
    step_reward,
    token_similarity,
)
from srl_edge.method.types import Rollout, StepPrompt, Trajectory

TEXT = st.text(alphabet="ab 12+=\n", max_size=300)
PROMPT = StepPrompt("t7", 1, "p", ("He buys 3 bags.",), "He pays 3 * 4 = 12 dollars.", "12")


def rollout(text: str, finished: bool = True) -> Rollout:
    return Rollout((1,), (2,), (0.0,), text, finished)


def reply(action: str) -> Rollout:
    return rollout(f"<think>hm</think>\n{action}")


@given(TEXT, TEXT)
def test_similarity_is_difflibs(a: str, b: str) -> None:
    for autojunk in (False, True):
        expected = difflib.SequenceMatcher(None, a, b, autojunk=autojunk).ratio()
        assert similarity(a, b, autojunk) == expected
    matched = sum(size for _, _, size in matching_blocks(a, b))
    assert similarity(a, b) == (2 * matched / (len(a) + len(b)) if a or b else 1.0)


def test_reward_scores_the_action_alone() -> None:
    prompt = StepPrompt("t", 0, "p", (), "3 + 4 = 7")
    right = step_reward(rollout("<think>nothing to do with it</think>\n3 + 4 = 7"), prompt)
    assert right.total == 1.0 and right.parts == {"format": 1.0, "similarity": 1.0}
    assert step_reward(rollout("<think>3 + 4 = 7</think>\nno"), prompt).total < 0.3
    broken = step_reward(rollout("3 + 4 = 7"), prompt)
    assert broken.total == -1.0 and broken.fault == "not exactly one think span"
    both = step_reward(reply("3 + 4 = 9"), prompt, {})  # what a recipe gets that names none
    assert both.total == pytest.approx((both.parts["similarity"] + both.parts["numbers"]) / 2)
    assert both.parts["numbers"] < both.parts["similarity"] < 1


@given(TEXT, TEXT)
def test_tokens_and_numbers_lie_between_0_and_1_and_are_1_for_the_same_text(a: str, b: str) -> None:
    for part in (token_similarity, number_agreement):
        assert 0 <= part(a, b) <= 1 and part(a, a) == 1
    assert number_agreement(a, b) == number_agreement(b, a)


def test_tokens_are_words_numbers_commands_and_signs() -> None:
    # \frac { 1.5 } { xy } against \frac { 1.5 } { ab }: six of seven tokens
    assert token_similarity(r"\frac{1.5}{xy}", r"\frac {1.5} {ab}") == pytest.approx(6 / 7)
    assert token_similarity("13", "12") == 0 < similarity("13", "12")


@pytest.mark.parametrize(
    ("action", "expert", "agreement"),
    [
        ("no number", "none", 1),
        ("1,000 and 36.0", "36 and 1000", 1),
        ("1,234,567.5", "1234567.50", 1),
        ("the point (3,4)", "the point (3, 4)", 1),
        ("1{,}250", "1250", 1),
        ("$2{,}000{,}500$ and {3,4}", "2,000,500 and 3 and 4", 1),
        (".75", "0.75", 1),
        ("-.5 of $.25", "-0.5 of $0.25", 1),
        ("2.5.5", "2.5 and 5", 1),
        ("2 + 2", "2", 2 / 3),
        ("3 * 4 = 13", "3 * 4 = 12", 2 / 3),
        ("5", "6", 0),
        ("five", "5", 0),
    ],
)
def test_numbers_are_compared_as_multisets(action: str, expert: str, agreement: float) -> None:
    assert number_agreement(action, expert) == pytest.approx(agreement)


def test_the_total_is_the_weighted_sum_and_the_parts_are_unweighted() -> None:
    action = "He pays 3 * 4 = 13 dollars."
    weights = {"characters": 0.5, "tokens": 0.25, "numbers": 2.0, "answer": 1.0}
    reward = step_reward(reply(action), PROMPT, weights)
    close, tokens = (f(action, PROMPT.expert_action) for f in (similarity, token_similarity))
    parts = {"format": 1, "similarity": close, "tokens": tokens, "numbers": 2 / 3, "answer": 0}
    assert reward.parts == pytest.approx(parts)
    assert reward.total == pytest.approx(0.5 * close + 0.25 * tokens + 2 * 2 / 3)


def test_similarity_is_a_part_where_it_has_no_weight() -> None:
    reward = step_reward(reply("so it is #### 12.0"), PROMPT, {"answer": 1.0})
    assert reward.total == 1 and 0 < reward.parts["similarity"] < 1
    nothing_to_find = StepPrompt("t", 0, "p", (), "x", answer=None)
    assert step_reward(reply("so it is 12"), nothing_to_find, {"answer": 1.0}).total == 0


def test_autojunk_reaches_the_reward() -> None:
    prompt = StepPrompt("t", 0, "p", (), "ab " * 100)
    plain, junk = (step_reward(reply("x" + "ab " * 90), prompt, autojunk=j) for j in (False, True))
    assert plain.total > 0.9 and junk.total < 0.1


@pytest.mark.parametrize(
    ("action", "fault"),
    [
        ("He  buys\n3 bags.", "a step that was taken before"),
        (
            "He pays 3 * 4 = 12 dollars. " * 4,
            "a step more than three times as long as the expert's",
        ),
        ("He pays 12.\nSo 12.", "more than one step"),
        ("He pays 3 * 4 = 12 dollars. " * 2, ""),
    ],
)
def test_guards(action: str, fault: str) -> None:
    guarded = step_reward(reply(action), PROMPT, guards=True)
    assert guarded.fault == fault and (guarded.total == -1) is bool(fault)
    assert not step_reward(reply(action), PROMPT).fault


def test_guards_let_a_short_step_grow_and_ignore_blank_lines() -> None:
    prompt = StepPrompt("t", 0, "p", (), "= 7\nso 7")
    assert not step_reward(reply("3 and 4 together are\n\n7 animals"), prompt, guards=True).fault


def test_guards_know_numbered_steps_and_titles() -> None:
    before = "1. **Buy**: He buys 3 bags.\nEach is blue."
    expert = "2. **Pay**: He pays 3 * 4.\nThat is 12.\nIn dollars.\nAll of it."
    prompt = StepPrompt("t", 1, "p", (before,), expert)
    several = "2. **Pay**: He pays 12.\n3. **Go**: He goes.\n4. **End**: 12"
    assert step_reward(reply(several), prompt, guards=True).fault == "more than one step"
    assert not step_reward(reply(expert), prompt, guards=True).fault
    ((_, hinted),) = step_prompts([Trajectory("t", "p", (before, expert))], "all", title_hint=True)
    copied = step_reward(reply("He buys 3 bags.\nEach is blue."), hinted, guards=True)
    assert copied.fault == "a step that was taken before"
    assert not step_reward(reply(hinted.expert_action), hinted, guards=True).fault


@given(st.lists(TEXT.filter(str.strip), min_size=1, max_size=3))
def test_the_experts_own_step_passes_every_guard(steps: list[str]) -> None:
    prompt = StepPrompt("t", 0, "p", tuple(steps), steps[-1])
    assert step_reward(reply(steps[-1]), prompt, guards=True).total == 1


OWN = """
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path

with Path(__file__).with_name("loads").open("a") as loads:
    loads.write("once ")

@dataclass
class Limit:
    share: float = 1.0

limit = Limit()

def short(action, prompt):
    return len(action) < limit.share * len(prompt.expert_action)

def fails(action, prompt):
    return 1 / 0

def infinite(action, prompt):
    return float("inf")
"""


def test_a_function_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    name = f"{tmp_path / 'own.py'}:short"
    weights = {"characters": 1.0, name: 0.5}
    check_weights(weights)
    assert not (tmp_path / "loads").exists()  # reading a recipe runs none of its code
    load_parts(weights)
    for action, value in (("12", 1), (PROMPT.expert_action, 0)):
        reward = step_reward(reply(action), PROMPT, weights)
        assert reward.parts[name] == value
        assert reward.total == reward.parts["similarity"] + 0.5 * value
    assert (tmp_path / "loads").read_text() == "once "


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("fails", "it failed on t7, step 2: ZeroDivision"),
        ("infinite", "it gave inf for t7, step 2"),
    ],
)
def test_a_function_of_ones_own_that_fails(function: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(StageError, match=f"own.py:{function}: {why}"):
        step_reward(reply("12"), PROMPT, {f"{tmp_path / 'own.py'}:{function}": 1.0})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("charcters", "reward: unknown part 'charcters'; did you mean 'characters'?"),
        ("zzz", "known: characters, tokens, numbers, results, answer, call, or your own as "),
        ("{}/absent.py:f", "absent.py: no such file."),
        ("{}/own.py:long", "own.py has no function 'long'."),
        ("{}/own.py:limit", "own.py has no function 'limit'."),
        ("{}/broken.py:f", "broken.py: it does not run: NameError: name 'x' is not defined."),
        ("{}/notes.txt:f", "notes.txt: not a Python file."),
    ],
)
def test_weights_that_cannot_be_used(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError) as error:
        weights = {"characters": 1.0, name.format(tmp_path): 1.0}
        check_weights(weights)
        load_parts(weights)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("reply", "share"),
    [
        ("48 / 2 = 24 in May. Together: 48 + 24 = \\boxed{72}", 1.0),
        ("Half of 48 is 24, so 24 + 12 = 36", 0.5),
        ("72 is twice 36, less 24", 0.5),  # both are there, in the wrong order
        ("1,072 = 24000", 0.0),
        ("", 0.0),
    ],
)
def test_results_count_in_the_experts_order(reply: str, share: float) -> None:
    expert = "She sold 48/2 = 24 clips in May.\nThat is fine.\nIn all 48 + 24 = 72 clips."
    assert results_reached(reply, expert) == share


def test_an_expert_without_results_gives_none() -> None:
    assert results_reached("24", "It is 24.") == 0
    prompt = StepPrompt("t", 0, "p", (), "a = 3\nb = 4", "4", whole=True, form=PRESETS["math"])
    said = Rollout((1,), (2,), (0.0,), "3, then 4", True)
    reward = step_reward(said, prompt, {"results": 0.5, "answer": 0.5})
    assert reward.total == 1 and reward.parts["results"] == reward.parts["answer"] == 1
