"""What one training step learns from: expert replies, sampled steps, or sampled solutions."""

import time
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from random import Random
from typing import TypeVar

from srl_edge.data.agents.worlds import entered
from srl_edge.errors import NothingToCompare
from srl_edge.method.algorithm import group_relative, has_spread
from srl_edge.method.prompt_form import PromptForm
from srl_edge.method.prompts import expert_ids, prompt_ids
from srl_edge.method.rewards import step_reward
from srl_edge.method.solving import Attempt, solve
from srl_edge.method.types import Reward, Rollout, Sample, StepPrompt, Trajectory
from srl_edge.recipe import Stage
from srl_edge.trainers.loop.logs import Group
from srl_edge.trainers.loop.stream import PromptStream
from srl_edge.trainers.policy.contract import Policy
from srl_edge.trainers.policy.packing import PrefixCache

PATIENT = 3
Item = TypeVar("Item")


def in_parts(items: Sequence[Item], count: int) -> list[Sequence[Item]]:
    """Items cut into `count` parts, as many as there are at most, whose sizes differ by 1 at most.

    Neighbours stay together: they share a prefix where they are of one trajectory.
    """
    count = min(count, len(items))
    ends = [len(items) * i // count for i in range(count + 1)]
    return [items[start:end] for start, end in pairwise(ends)]


def expert_batch(
    policy: Policy, prompts: Sequence[StepPrompt], with_thoughts: bool = True
) -> list[list[Sample]]:
    """The expert's replies to prompts, as supervised samples by trajectory."""
    samples = []
    for prompt in prompts:
        reply = expert_ids(policy.tokenizer, prompt, with_thoughts)
        completion = (*reply, policy.stop_ids[0])
        samples.append(
            (prompt, [Sample(prompt_ids(policy.tokenizer, prompt), completion, (), 1.0)])
        )
    return by_trajectory(samples)


def sampled_batch(
    policy: Policy, stream: PromptStream, taken: int, stage: Stage, seed: int
) -> tuple[list[Group], list[Group], int, float]:
    """Sample groups until `prompts_per_step` of them have spread, or `max_rounds` are over.

    While none has, sampling goes on for up to PATIENT times as many rounds: where few groups pass,
    a batch of none is bad luck more often than the end.

    Returns the kept groups, all that were sampled, how many prompts were taken from the stream,
    and the seconds of sampling; raises NothingToCompare where none has spread, and says why.
    Source: dynamic sampling, arXiv 2510.25992, section 4.2.
    """
    sample = sample_solutions if stage.kind == "rlvr" else sample_steps
    kept: list[Group] = []
    seen: list[Group] = []
    start = time.monotonic()
    for round_ in range(PATIENT * stage.max_rounds):
        if kept and round_ >= stage.max_rounds:
            break
        batch = stream.take(taken + len(seen), stage.prompts_per_step - len(kept))
        groups = sample(policy, batch, stage, seed + round_ * stage.max_steps)
        seen += groups
        kept += [g for g in groups if has_spread(g.totals, stage.spread_epsilon)]
        if len(kept) == stage.prompts_per_step:
            break
    if not kept:
        raise NothingToCompare(_why_nothing_passed(seen, stage), seen)
    return kept, seen, len(seen), time.monotonic() - start


def sample_steps(
    policy: Policy, prompts: Sequence[StepPrompt], stage: Stage, seed: int
) -> list[Group]:
    """One reply a rollout, scored against the expert's."""
    ids = [prompt_ids(policy.tokenizer, p) for p in prompts]
    groups = policy.sample(ids, stage.group_size, stage.max_new_tokens, stage.temperature, seed)
    return [
        Group(
            prompt,
            [[(prompt, rollout)] for rollout in rollouts],
            [step_reward(r, prompt, stage.reward, stage.guards, stage.autojunk) for r in rollouts],
            stage.overlong == "masked",
            stage.learned_rollouts,
        )
        for prompt, rollouts in zip(prompts, groups, strict=True)
    ]


def sample_solutions(
    policy: Policy, prompts: Sequence[StepPrompt], stage: Stage, seed: int
) -> list[Group]:
    """Whole solutions of problems, step by step or in one reply; all replies share the reward.

    Reward 1 if every reply keeps the format and the final answer is right, or the world says that
    the goal is reached, else 0.
    """
    problems = [
        # A batch may have a problem twice.
        Trajectory(f"{at}/{i}", p.problem, (), p.answer, tools=p.tools, world=p.world)
        for at, p in enumerate(prompts)
        for i in range(stage.group_size)
    ]
    replies: dict[str, list[tuple[StepPrompt, Rollout]]] = {t.id: [] for t in problems}
    form = prompts[0].form
    attempts = solve_by_policy(policy, problems, stage, form, stage.temperature, seed, replies)
    groups = []
    for at, prompt in enumerate(prompts):
        members = attempts[at * stage.group_size : (at + 1) * stage.group_size]
        rewards = []
        for attempt in members:
            right = float(attempt.correct and not attempt.fault)
            parts = {"format": float(not attempt.fault), "answer": right}
            rewards.append(Reward(right, parts, attempt.fault))
        found = [replies[a.id] for a in members]
        masked = stage.overlong == "masked"
        groups.append(Group(prompt, found, rewards, masked, stage.learned_rollouts))
    return groups


def solve_by_policy(
    policy: Policy,
    problems: Sequence[Trajectory],
    stage: Stage,
    form: PromptForm,
    temperature: float,
    seed: int,
    replies: dict[str, list[tuple[StepPrompt, Rollout]]] | None = None,
) -> list[Attempt]:
    """Let the policy solve problems with the stage's kind of reply; notes each reply in `replies`.

    Problems that are the same and stand together are prefilled once; of a step's prompt, only what
    the step before did not read.
    """
    whole = stage.reply == "whole"
    round_ = 0
    cache: PrefixCache | None = None if whole else {}

    def reply(asked: Sequence[Attempt]) -> list[tuple[str, bool]]:
        nonlocal round_
        prompts = [
            StepPrompt(
                a.id,
                len(a.steps),
                a.problem,
                tuple(a.steps),
                "",
                a.answer,
                whole=whole,
                form=form,
                observations=tuple(a.observations),
                tools=tuple(a.tools),
            )
            for a in asked
        ]
        ids = [prompt_ids(policy.tokenizer, p) for p in prompts]
        times = Counter(ids)
        size = len(ids) // len(times) if len(set(times.values())) == 1 else 1
        distinct = list(times) if size > 1 else ids
        groups = policy.sample(
            distinct, size, stage.max_new_tokens, temperature, seed + round_, cache
        )
        round_ += 1
        left = {key: list(group) for key, group in zip(distinct, groups, strict=True)}
        texts = []
        for index, (attempt, prompt) in enumerate(zip(asked, prompts, strict=True)):
            rollout = left[ids[index]].pop(0) if size > 1 else groups[index][0]
            if replies is not None:
                replies[attempt.id].append((prompt, rollout))
            texts.append((rollout.text, rollout.finished))
        return texts

    return solve(problems, reply, 1 if whole else stage.max_steps, lambda: None, form, entered)


def training_samples(groups: Sequence[Group]) -> list[list[Sample]]:
    """Every reply with its group-relative advantage, by trajectory."""
    samples = []
    for group in groups:
        advantages = group_relative(group.totals)
        samples.append(
            (
                group.prompt,
                [
                    Sample(r.prompt_ids, r.completion_ids, r.logprobs, advantage)
                    for replies, advantage in zip(group.learned, advantages, strict=True)
                    for _, r in replies
                ],
            )
        )
    return by_trajectory(samples)


def by_trajectory(samples: list[tuple[StepPrompt, list[Sample]]]) -> list[list[Sample]]:
    """Samples of neighbouring prompts of one trajectory together: they share a prefix."""
    runs = groupby(samples, key=lambda item: item[0].trajectory_id)
    return [[s for _, group in run for s in group] for _, run in runs]


def step_seed(seed: int, stage: int, step: int) -> int:
    """A seed for one training step that depends on nothing but its place."""
    return Random(f"{seed}/{stage}/{step}").getrandbits(48)


def _why_nothing_passed(seen: Sequence[Group], stage: Stage) -> str:
    faults = [r.fault for group in seen for r in group.rewards]
    broken = [f for f in faults if f]
    why = f"rewards within each group differ by a std of at most {stage.spread_epsilon}"
    if len(broken) > len(faults) / 2:
        common = max(set(broken), key=broken.count)
        why = (
            f"{len(broken)} of {len(faults)} replies break the format or a guard, mostly: "
            f"{common}; "
            "a longer sft stage before this one teaches the format"
        )
    elif stage.kind == "rlvr":
        right = sum(sum(group.totals) for group in seen)
        why = (
            f"{right:.0f} of {len(faults)} answers are right, and in no group some but not all; "
            "easier or harder problems, a larger group_size or an srl stage before this one help"
        )
    return f"train: no group of rollouts has anything to compare after {len(seen)} prompts: {why}."
