"""What the model is asked, and how its reply is read: a thought, then one step."""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from srl_edge.types import StepPrompt, Trajectory

SYSTEM = (
    "You solve word problems one step at a time. You are given a problem and the steps found so "
    "far. First think inside <think> and </think>. After that, write only the next step. When it "
    "gives the final answer, end it with a line '#### answer'."
)
SYSTEM_WHOLE = (
    "You solve word problems. First think inside <think> and </think>. After that, write the whole "
    "solution, one step a line, and end it with a line '#### answer'."
)
OPEN, CLOSE = "<think>", "</think>"

Targets = Literal["paper", "all", "skip_first"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion taken apart; `fault` names what breaks the format ('' if nothing does)."""

    thought: str
    action: str
    fault: str = ""


def step_prompts(
    trajectories: Iterable[Trajectory], targets: Targets = "paper", title_hint: bool = False
) -> list[list[StepPrompt]]:
    """Step prompts of each trajectory, in order; they share their prefix.

    targets: `paper` 1..N-1 (the last step is never a target), `all` 1..N, `skip_first` 2..N.
    title_hint: a step like `2. **Title**: body` becomes a prompt that ends with the title and asks
    for the body. Source: arXiv 2510.25992, section 4.2 and footnote 1.
    """
    prompts = []
    for t in trajectories:
        first = 1 if targets == "skip_first" else 0
        last = len(t.steps) - 1 if targets == "paper" else len(t.steps)
        group = []
        for k in range(first, last):
            title, body = titled(t.steps[k]) if title_hint else ("", t.steps[k])
            group.append(StepPrompt(t.id, k, t.problem, t.steps[:k], body, t.answer, title))
        prompts.append(group)
    return prompts


def whole_prompts(trajectories: Iterable[Trajectory]) -> list[list[StepPrompt]]:
    """One prompt a trajectory, whose target is the whole solution.

    Source: the holistic reward of arXiv 2510.25992, table 3.
    """
    return [
        [StepPrompt(t.id, 0, t.problem, (), "\n".join(t.steps), t.answer, whole=True)]
        for t in trajectories
    ]


_TITLE = re.compile(r"(\d+[.)]\s+(?:\*\*.+?\*\*|[^\n:]{1,80}(?=:)))\s*:?\s*(?=\S)")


def titled(step: str) -> tuple[str, str]:
    """A step's numbered title and its body; ('', step) where it has no title."""
    match = _TITLE.match(step)
    return (match[1], step[match.end() :]) if match else ("", step)


def messages(
    problem: str, previous_steps: Sequence[str], title: str = "", whole: bool = False
) -> list[dict[str, str]]:
    """The chat that asks for the next step; a longer solution continues the same text.

    title: the next step's title, given away. whole: ask for the whole solution instead.
    """
    if whole:
        system, content = SYSTEM_WHOLE, f"Problem: {problem}"
    else:
        so_far = "".join(f"{step}\n" for step in previous_steps)
        system, content = SYSTEM, f"Problem: {problem}\n\nSolution so far:\n{so_far}{title}"
    return [{"role": "system", "content": system}, {"role": "user", "content": content}]


def prompt_ids(
    tokenizer: Any, problem: str, previous_steps: Sequence[str], title: str = "",
    whole: bool = False,
) -> tuple[int, ...]:  # fmt: skip
    """Token ids of the rendered chat, up to where the reply begins."""
    chat = messages(problem, previous_steps, title, whole)
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return tuple(tokenizer.encode(without_thought(text), add_special_tokens=False))


_THOUGHT_BEGUN = re.compile(rf"{OPEN}\s*(?:{CLOSE}\s*)?\Z")


def without_thought(rendered: str) -> str:
    """A rendered prompt without the thought that its template begins, or gives as empty.

    Templates of models that always think end with `<think>`, Qwen 3.5's with an empty thought; a
    reply here writes its own.
    """
    return _THOUGHT_BEGUN.sub("", rendered)


def read_reply(text: str, finished: bool = True) -> Reply:
    """Split a completion into thought and action.

    The format is one <think> span at the start, then a step that is not empty, then the stop token.
    Where it is broken, the action is what can still be read: all text after the last tag.
    """
    action = re.split(f"{OPEN}|{CLOSE}", text)[-1].strip()
    stripped = text.strip()
    if not finished:
        return Reply("", action, "cut off at the length limit")
    if stripped.count(OPEN) != 1 or stripped.count(CLOSE) != 1:
        return Reply("", action, "not exactly one think span")
    if not stripped.startswith(OPEN):
        return Reply("", action, "text before the think span")
    thought, _, action = stripped.removeprefix(OPEN).partition(CLOSE)
    if not action.strip():
        return Reply(thought.strip(), "", "no step after the think span")
    return Reply(thought.strip(), action.strip())


_OPENINGS = (
    "What comes next?",
    "Let me see what is known.",
    "I look at what is left to do.",
    "One step at a time.",
)


def warm_up_reply(prompt: StepPrompt) -> str:
    """An expert step in the reply format, for supervised warm-up.

    The thought names the numbers that the step starts from, never the step or its result: a thought
    that contains the step would teach the model to copy.
    """
    rng = random.Random(f"{prompt.trajectory_id}/{prompt.step_index}")
    known = numbers(" ".join((prompt.problem, *prompt.previous_steps)))
    used = [n for n in dict.fromkeys(numbers(prompt.expert_action)) if n in known]
    thought = rng.choice(_OPENINGS)
    if used and not set(prompt.expert_action) <= set("0123456789., "):
        thought += f" The numbers I need: {', '.join(used)}."
    return f"{OPEN}{thought}{CLOSE}\n{prompt.expert_action}"


def numbers(text: str) -> list[str]:
    """Numbers written in a text, without thousands separators."""
    return re.findall(r"\d+(?:\.\d+)?", text.replace(",", ""))


def shared_length(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their start."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))
