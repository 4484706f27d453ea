"""Solving a problem step by step, as the model was trained to: one reply, one step.

Where a problem has a world, each step is an action there, and the world says what came of it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.types import Trajectory
from srl_edge.method.verifiers import given_answer, is_correct, is_marked_correct


class World(AbstractContextManager["World"], Protocol):
    """Where actions are taken; leaving its context removes what it holds.

    failed: whether the last action could not be done at all.
    """

    failed: bool

    def act(self, action: str) -> str:
        """What comes of an action, in text; an error is one too."""

    def fulfilled(self) -> bool:
        """Whether the goal holds."""

    def reached(self) -> Any:
        """What it is like now as a record's goal; None where a goal must be told."""


@dataclass(slots=True)
class Attempt:
    """One problem, the steps that the model took, and whether its final answer is right.

    marked: right, and marked as the answer, not read off as the last number. observations: what
    came of each step, where the problem has a world.
    """

    id: str
    problem: str
    answer: str
    steps: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    fault: str = ""
    given: str | None = None
    correct: bool = False
    marked: bool = False
    observations: list[str] = field(default_factory=list)
    tools: Sequence[Any] = ()


# Attempts that go on -> the model's next replies, and whether each ended by itself.
Reply = Callable[[Sequence[Attempt]], list[tuple[str, bool]]]
Enter = Callable[[Mapping[str, Any]], World]  # a trajectory's world, opened


def solve(
    problems: Sequence[Trajectory],
    reply: Reply,
    max_steps: int,
    advance: Callable[[], None],
    form: PromptForm = DEFAULT,
    enter: Enter | None = None,
) -> list[Attempt]:
    """Let a model solve problems, all of them one step at a time.

    An attempt ends with a step that states the answer as the form says, or with a reply that breaks
    the format, whose text then counts as the rest of the solution: so a model that was never taught
    the format is judged by the answer that it gives. `advance` is called once a finished attempt.
    enter: opens a problem's world, which then judges the attempt, once it says that it is done.
    """
    attempts = [Attempt(t.id, t.problem, t.answer or "", tools=t.tools) for t in problems]
    with ExitStack() as opened:
        worlds = {
            id(attempt): opened.enter_context(enter(t.world))
            for attempt, t in zip(attempts, problems, strict=True)
            if t.world is not None and enter is not None
        }
        going = list(attempts)
        for step in range(max_steps):
            if not going:
                break
            replies = reply(going)
            unfinished = []
            for attempt, (text, finished) in zip(going, replies, strict=True):
                ended = take_step(attempt, text, finished, form, worlds.get(id(attempt)))
                if ended or step + 1 == max_steps:
                    advance()
                else:
                    unfinished.append(attempt)
            going = unfinished
        for attempt in attempts:
            _judge(attempt, form, worlds.get(id(attempt)))
    return attempts


def take_step(
    attempt: Attempt, text: str, finished: bool, form: PromptForm, world: World | None = None
) -> bool:
    """Note a reply; whether the attempt ends with it."""
    read = form.read(text, finished)
    attempt.replies.append(text)
    if read.action:
        attempt.steps.append(read.action)
    attempt.fault = read.fault
    if read.fault:
        return True
    if form.states_answer(read.action):
        before = read.action.rpartition("\n")[0]
        if world is not None and before.strip():  # actions, and at once that they are all
            world.act(before)
        return True
    if world is not None:
        attempt.observations.append(world.act(read.action))
    return False


def _judge(attempt: Attempt, form: PromptForm, world: World | None) -> None:
    """Note whether an attempt is right; in a world, that is what it left there and said of it."""
    solution = "\n".join(attempt.steps)
    if world is not None:
        said = bool(attempt.steps) and form.states_answer(attempt.steps[-1]) and not attempt.fault
        attempt.given = solution or None
        attempt.correct = attempt.marked = said and world.fulfilled()
        return
    attempt.given = given_answer(solution, attempt.answer, form)
    asked = (solution, attempt.answer, form, attempt.problem)
    attempt.correct = is_correct(*asked)
    attempt.marked = attempt.correct and is_marked_correct(*asked)
