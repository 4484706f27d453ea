"""The nouns that flow through the line, from expert trajectory to scored rollout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from srl_edge.method.prompt_form import DEFAULT, PromptForm


@dataclass(frozen=True, slots=True)
class Trajectory:
    """An expert solution cut into steps; the last step states the answer where there is one.

    thoughts: what the expert thought before each step, '' for nothing; () where no step has one.
    observations: what the world said after each step, where the steps are actions. tools: schemas
    of the functions that may be called. world: where actions are taken, as `agents.worlds` opens
    it; then the world says whether the problem is solved, and not the answer.
    """

    id: str
    problem: str
    steps: tuple[str, ...]
    answer: str | None = None
    thoughts: tuple[str, ...] = ()
    observations: tuple[str, ...] = ()
    tools: tuple[Any, ...] = field(default=(), hash=False)
    world: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class StepPrompt:
    """A problem with the steps so far, and what the expert writes next.

    title: the next step's title where the prompt gives it away. whole: the reply is to be the whole
    solution, not one step. form: how it is asked and read. thought: what is thought before the
    expert's step, where that is known. observations, tools, world: as a trajectory's, of the steps
    so far.
    """

    trajectory_id: str
    step_index: int
    problem: str
    previous_steps: tuple[str, ...]
    expert_action: str
    answer: str | None = None
    title: str = ""
    whole: bool = False
    form: PromptForm = DEFAULT
    thought: str = ""
    observations: tuple[str, ...] = ()
    tools: tuple[Any, ...] = field(default=(), hash=False)
    world: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat that asks for it."""
        return self.form.messages(
            self.problem, self.previous_steps, self.title, self.whole, self.observations
        )

    @property
    def template_kwargs(self) -> dict[str, Any]:
        """What its chat template is told."""
        return self.form.told(self.tools)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled completion; logprobs are those of the distribution that was sampled from.

    `finished` is False where the length limit cut the completion off. `completion_ids` ends with
    the stop token when finished; `text` does not contain it.
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    finished: bool


@dataclass(frozen=True, slots=True)
class Reward:
    """A scalar reward, its named terms, and the format fault where there was one ('' if none)."""

    total: float
    parts: Mapping[str, float]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence of a training batch: completion tokens after a prompt, and their advantage.

    `old_logprobs` is empty for supervised samples, whose loss is the plain negative log-likelihood.
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    old_logprobs: tuple[float, ...]
    advantage: float
