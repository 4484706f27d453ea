"""The model's own thoughts for the warm-up: sampled, kept where the expert's step follows them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from srl_edge.errors import StageError
from srl_edge.files import read_json
from srl_edge.files import replace as write_at_once
from srl_edge.method.prompt_form import OPEN
from srl_edge.method.prompts import prompt_ids
from srl_edge.method.rewards import step_reward
from srl_edge.method.types import Rollout, StepPrompt
from srl_edge.recipe import Stage
from srl_edge.terminal import progress
from srl_edge.trainers.loop.stream import PromptStream
from srl_edge.trainers.policy.contract import Policy

TRIES = 4  # thoughts that are sampled for a step
CLOSE_ENOUGH = 0.6  # reward of the step after a thought that is kept
ROWS = 128  # replies that are sampled at a time


def with_own_thoughts(
    policy: Policy, stream: PromptStream, stage: Stage, file: Path, going_on: bool
) -> list[list[StepPrompt]]:
    """Those prompts of a stage for which the model found a thought, each with its best one.

    Each thought begins behind an opened think span, so that a model that knows no format thinks
    all the same. file: where they are noted; going_on: they are read from there. Raises StageError
    where there are fewer than a batch takes.
    """
    if not going_on:
        size = stream.size
        count = min(size, stage.steps * stage.prompts_per_step) if stage.steps else size
        thoughts = _sampled(policy, stream.take(0, count), stage)
        close = f"{len(thoughts)} of {count} steps"
        progress.say(f"train: the model's own thoughts came close to the expert in {close}.")
        write_at_once(file, json.dumps(thoughts, ensure_ascii=False, indent=1) + "\n")
    found: dict[str, str] = read_json(file, "Texts")
    groups = [
        [replace(p, thought=found[_name(p)]) for p in group if _name(p) in found]
        for group in stream.prompts
    ]
    kept = [group for group in groups if group]
    if sum(map(len, kept)) < stage.prompts_per_step:
        raise StageError(
            f"train: the model's own thoughts came close to the expert's step {len(found)} times, "
            f"and a batch takes {stage.prompts_per_step}; set warm_up_thoughts to data or none."
        )
    return kept


def _sampled(policy: Policy, prompts: Sequence[StepPrompt], stage: Stage) -> dict[str, str]:
    opened = tuple(policy.tokenizer.encode(OPEN, add_special_tokens=False))
    at_a_time, found = ROWS // TRIES, {}
    with progress.bar("train: own thoughts", len(prompts)) as advance:
        for start in range(0, len(prompts), at_a_time):
            part = prompts[start : start + at_a_time]
            ids = [(*prompt_ids(policy.tokenizer, prompt), *opened) for prompt in part]
            groups = policy.sample(ids, TRIES, stage.max_new_tokens, 1.0, seed=start)
            for prompt, group in zip(part, groups, strict=True):
                if thought := _best(prompt, group):
                    found[_name(prompt)] = thought
            advance(f"{len(found)} kept", by=len(part))
    return found


def _best(prompt: StepPrompt, group: Sequence[Rollout]) -> str:
    """The thought whose step is closest to the expert's; '' where none is close enough."""
    scored = []
    for rollout in group:
        whole = replace(rollout, text=OPEN + rollout.text)
        reward = step_reward(whole, prompt, {})
        thought = prompt.form.read(whole.text, rollout.finished).thought
        if not reward.fault and thought and reward.total >= CLOSE_ENOUGH:
            scored.append((reward.total, thought))
    return max(scored, default=(0.0, ""))[1]


def _name(prompt: StepPrompt) -> str:
    return f"{prompt.trajectory_id}/{prompt.step_index}"
