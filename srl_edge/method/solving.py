"""Solving a problem step by step, as the model was trained to: one reply, one step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.types import Trajectory
from srl_edge.method.verifiers import given_answer, is_correct, is_marked_correct


@dataclass(slots=True)
class Attempt:
    """One problem, the steps that the model took, and whether its final answer is right.

    marked: right, and marked as the answer, not read off as the last number.
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


# Attempts that go on -> the model's next replies, and whether each ended by itself.
Reply = Callable[[Sequence[Attempt]], list[tuple[str, bool]]]


def solve(
    problems: Sequence[Trajectory], reply: Reply, max_steps: int, advance: Callable[[], None],
    form: PromptForm = DEFAULT,
) -> list[Attempt]:  # fmt: skip
    """Let a model solve problems, all of them one step at a time.

    An attempt ends with a step that states the answer as the form says, or with a reply that breaks
    the format, whose text then counts as the rest of the solution: so a model that was never taught
    the format is judged by the answer that it gives. `advance` is called once a finished attempt.
    """
    attempts = [Attempt(t.id, t.problem, t.answer or "") for t in problems]
    going = list(attempts)
    for step in range(max_steps):
        if not going:
            break
        replies = reply(going)
        unfinished = []
        for attempt, (text, finished) in zip(going, replies, strict=True):
            read = form.read(text, finished)
            attempt.replies.append(text)
            if read.action:
                attempt.steps.append(read.action)
            attempt.fault = read.fault
            if read.fault or form.states_answer(read.action) or step + 1 == max_steps:
                advance()
            else:
                unfinished.append(attempt)
        going = unfinished
    for attempt in attempts:
        solution = "\n".join(attempt.steps)
        attempt.given = given_answer(solution, attempt.answer, form)
        attempt.correct = is_correct(solution, attempt.answer, form)
        attempt.marked = attempt.correct and is_marked_correct(solution, attempt.answer, form)
    return attempts
