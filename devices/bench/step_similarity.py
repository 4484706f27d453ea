"""How like the expert's steps a model's are: the reward of SRL, on solutions it was not shown."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from srl_edge.devices.bench.connection import Connection
from srl_edge.devices.bench.measure import Model
from srl_edge.devices.hosts.session import RunnerLost
from srl_edge.devices.runtimes.chat import text_of
from srl_edge.method.actions import same
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.prompts import step_prompts
from srl_edge.method.rewards import step_reward
from srl_edge.method.types import Rollout, StepPrompt, Trajectory
from srl_edge.recipe import Bench
from srl_edge.report.rows import StepSimilarity
from srl_edge.report.statistics import bootstrap_interval
from srl_edge.terminal import progress

Facts = dict[str, Any]


def chosen_prompts(
    problems: Sequence[Trajectory], settings: Bench, form: PromptForm = DEFAULT
) -> list[StepPrompt]:
    """The step prompts that are asked: those of the first solutions with two steps or more."""
    solutions = [problem for problem in problems if len(problem.steps) > 1]
    prompts = [prompt for group in step_prompts(solutions, "all", form=form) for prompt in group]
    return prompts[: settings.step_prompts]


def step_rows(
    model: Model, prompts: Sequence[StepPrompt], settings: Bench, connection: Connection
) -> Iterator[Facts]:
    """The greedy next step after each prompt beside the expert's, and their similarity.

    A reply that breaks the format has similarity 0, and its fault says why. Once the runner is
    lost, what is left is `lost`.
    """
    if not prompts:
        return
    chat, stops = model.chat, model.stop_ids
    left = list(prompts)
    try:
        with connection.session(*model[:3]) as session:
            while left:
                prompt = replace(left[0], form=chat.asked.form)
                ids = chat.prompt_ids(
                    prompt.problem, prompt.previous_steps, prompt.observations, prompt.tools
                )
                (reply,) = session.generate([ids], settings.max_new_tokens, stops, settings.timeout)
                text, finished = text_of(chat, reply.ids, stops)
                rollout = Rollout(tuple(ids), tuple(reply.ids), (), text, finished)
                reward = step_reward(rollout, prompt, {"characters": 1.0})
                yield {
                    "id": prompt.trajectory_id,
                    "step": prompt.step_index,
                    "reply": text,
                    "expert": prompt.expert_action,
                    "fault": reward.fault,
                    "similarity": reward.parts.get("similarity", 0.0),
                    "lost": "",
                    "equal": not reward.fault and _equal(text, finished, prompt),
                }
                left.pop(0)
    except RunnerLost as error:
        progress.say(f"bench: {error}")
        for prompt in left:
            yield {"id": prompt.trajectory_id, "step": prompt.step_index, "lost": str(error)}


def _equal(text: str, finished: bool, prompt: StepPrompt) -> bool:
    form = prompt.form
    return same(form.read(text, finished).action, prompt.expert_action, form.action)


def summarized(rows: Sequence[Facts]) -> StepSimilarity | None:
    """Mean similarity with its 95% interval, and the share of replies that keep the format."""
    kept = [row for row in rows if not row["lost"]]
    if not kept:
        return None
    values = [float(row["similarity"]) for row in kept]
    return StepSimilarity(
        steps=len(kept),
        lost=len(rows) - len(kept),
        similarity=fmean(values),
        interval=bootstrap_interval(values),
        format=fmean(not row["fault"] for row in kept),
        equal=fmean(row.get("equal", False) for row in kept),
    )
