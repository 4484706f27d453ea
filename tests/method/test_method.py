"""Prompts, advantages, losses and answers: the method without a model."""

from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srl_edge.method import algorithm
from srl_edge.method.algorithm import group_relative, has_spread
from srl_edge.method.prompt_form import DEFAULT
from srl_edge.method.prompts import numbers, step_prompts, warm_up_reply, whole_prompts
from srl_edge.method.types import Trajectory

TRAJECTORY = Trajectory("t", "Ann has 3 cats and 4 dogs.", ("3 + 4 = 7", "7 * 2 = 14", "14."), "14")


@pytest.mark.parametrize(
    ("targets", "indices"), [("paper", [0, 1]), ("all", [0, 1, 2]), ("skip_first", [1, 2])]
)
def test_targets(targets: str, indices: list[int]) -> None:
    (prompts,) = step_prompts([TRAJECTORY], targets)  # type: ignore[arg-type]
    assert [p.step_index for p in prompts] == indices
    assert all(p.expert_action == TRAJECTORY.steps[p.step_index] for p in prompts)
    assert all(p.previous_steps == TRAJECTORY.steps[: p.step_index] for p in prompts)


def test_a_longer_solution_continues_the_same_prompt() -> None:
    short, long = (DEFAULT.messages("p", s)[-1]["content"] for s in ((), ("one", "two")))
    assert long.startswith(short)


@pytest.mark.parametrize(
    ("text", "finished", "fault"),
    [
        ("<think>hm</think>\n3 + 4 = 7", True, ""),
        ("<think>hm</think>\n3 + 4 = 7", False, "cut off at the length limit"),
        ("3 + 4 = 7", True, "not exactly one think span"),
        ("<think>a</think><think>b</think>c", True, "not exactly one think span"),
        ("well <think>a</think>c", True, "text before the think span"),
        ("<think>a</think>  ", True, "no step after the think span"),
    ],
)
def test_format(text: str, finished: bool, fault: str) -> None:
    assert DEFAULT.read(text, finished).fault == fault


def test_warm_up_replies_follow_the_format_and_do_not_give_the_step_away() -> None:
    for prompt in step_prompts([TRAJECTORY], "all")[0]:
        reply = DEFAULT.read(warm_up_reply(prompt))
        assert not reply.fault and reply.action == prompt.expert_action
        assert prompt.expert_action not in reply.thought
        results = set(numbers(prompt.expert_action.partition("=")[2]))
        known = set(numbers(" ".join((prompt.problem, *prompt.previous_steps))))
        assert not (results - known) & set(numbers(reply.thought))


def test_the_warm_up_teaches_the_datas_thoughts_or_none(word: str = "Zuerst zähle ich.") -> None:
    told = replace(TRAJECTORY, thoughts=(word, *("" for _ in TRAJECTORY.steps[1:])))
    first, second, *_ = step_prompts([told], "all")[0]
    assert DEFAULT.read(warm_up_reply(first)).thought == word
    assert warm_up_reply(first, with_thought=False).startswith("<think></think>\n")
    assert word not in warm_up_reply(second)
    assert set(DEFAULT.read(warm_up_reply(second)).thought) <= set("0123456789., ")
    (whole,) = whole_prompts([told])[0]
    assert DEFAULT.read(warm_up_reply(whole)).thought == word


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=16), st.floats(-5, 5))
def test_advantages_are_centred_and_ignore_a_shift(rewards: list[float], shift: float) -> None:
    advantages = group_relative(rewards)
    assert abs(fmean(advantages)) < 1e-6
    if has_spread(rewards, 1e-3):
        moved = group_relative([r + shift for r in rewards])
        assert np.allclose(advantages, moved, atol=1e-4)


def test_spread_uses_the_population_std() -> None:
    assert not has_spread([0.5, 0.5], 0.0)
    assert has_spread([0.0, 0.02], 0.0099) and not has_spread([0.0, 0.02], 0.01)


@pytest.mark.parametrize("by_sequence", [True, False])
def test_losses_are_the_same_in_numpy_and_torch(by_sequence: bool) -> None:
    rng = np.random.default_rng(0)
    logprobs, old = rng.normal(size=(2, 3, 5)) * 0.3
    advantages = rng.normal(size=(3, 1))
    mask = np.arange(5)[None] < np.array([[5], [2], [3]])
    reference = algorithm.weighted_sum(
        algorithm.clipped_objective(np, logprobs, old, advantages, 0.2, 0.2), mask, by_sequence
    )
    new, before, gains, kept = (torch.tensor(x) for x in (logprobs, old, advantages, mask))
    value = algorithm.weighted_sum(
        algorithm.clipped_objective(torch, new, before, gains, 0.2, 0.2), kept, by_sequence
    )
    assert np.isclose(reference, float(value))
    ratio = np.exp(logprobs - old)
    worse = np.minimum(ratio * advantages, np.clip(ratio, 0.8, 1.2) * advantages)
    assert np.isclose(
        reference,
        sum(
            worse[i, :n].mean() if by_sequence else worse[i, :n].sum()
            for i, n in enumerate((5, 2, 3))
        ),
    )
