"""What the model is asked, and how its reply is read: a thought, then one step."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from srl_edge.method.prompt_form import CLOSE, DEFAULT, OPEN, PromptForm
from srl_edge.method.types import StepPrompt, Trajectory
from srl_edge.models.chat_template import of_tokenizer, source_of

Targets = Literal["paper", "all", "skip_first"]


def step_prompts(
    trajectories: Iterable[Trajectory],
    targets: Targets = "paper",
    title_hint: bool = False,
    form: PromptForm = DEFAULT,
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
            thought = t.thoughts[k] if k < len(t.thoughts) else ""
            group.append(
                StepPrompt(
                    t.id,
                    k,
                    t.problem,
                    t.steps[:k],
                    body,
                    t.answer,
                    title,
                    form=form,
                    thought=thought,
                    observations=t.observations[:k],
                    tools=t.tools,
                    world=t.world,
                )
            )
        prompts.append(group)
    return prompts


def first_prompts(
    trajectories: Iterable[Trajectory], form: PromptForm = DEFAULT
) -> list[list[StepPrompt]]:
    """The prompt that each problem begins with, without an expert's step."""
    return [
        [StepPrompt(t.id, 0, t.problem, (), "", t.answer, form=form, tools=t.tools, world=t.world)]
        for t in trajectories
    ]


def whole_prompts(
    trajectories: Iterable[Trajectory], form: PromptForm = DEFAULT
) -> list[list[StepPrompt]]:
    """One prompt a trajectory, whose target is the whole solution.

    Source: the holistic reward of arXiv 2510.25992, table 3.
    """
    return [
        [
            StepPrompt(
                t.id,
                0,
                t.problem,
                (),
                "\n".join(t.steps),
                t.answer,
                whole=True,
                form=form,
                thought="\n".join(filter(None, t.thoughts)),
                tools=t.tools,
                world=t.world,
            )
        ]
        for t in trajectories
    ]


_TITLE = re.compile(r"(\d+[.)]\s+(?:\*\*.+?\*\*|[^\n:]{1,80}(?=:)))\s*:?\s*(?=\S)")


def titled(step: str) -> tuple[str, str]:
    """A step's numbered title and its body; ('', step) where it has no title."""
    match = _TITLE.match(step)
    return (match[1], step[match.end() :]) if match else ("", step)


def prompt_ids(tokenizer: Any, prompt: StepPrompt) -> tuple[int, ...]:
    """Token ids of the rendered chat, up to where the reply begins."""
    return tuple(tokenizer.encode(prompt_text(tokenizer, prompt), add_special_tokens=False))


def prompt_text(tokenizer: Any, prompt: StepPrompt) -> str:
    """The rendered chat, with all its special tokens, up to where the reply begins."""
    form, template = prompt.form, of_tokenizer(tokenizer)
    text = template.render(prompt.messages, True, form.date, prompt.template_kwargs)
    return without_thought(text, form)


_THOUGHT_BEGUN = re.compile(rf"{OPEN}\s*(?:{CLOSE}\s*)?\Z")


def without_thought(rendered: str, form: PromptForm = DEFAULT) -> str:
    """A rendered prompt without the thought that its template begins, or gives as empty.

    Templates of models that always think end with `<think>`, Qwen 3.5's with an empty thought;
    where a reply here writes its own, both are left off.
    """
    return _THOUGHT_BEGUN.sub("", rendered) if form.think else rendered


def expert_ids(tokenizer: Any, prompt: StepPrompt, with_thought: bool = True) -> list[int]:
    """Token ids of `warm_up_reply`, after `prompt_ids`.

    Where the template has begun a thought that the form has not got, it ends before the step.
    """
    text = warm_up_reply(prompt, with_thought)
    if not prompt.form.think and OPEN in source_of(tokenizer):
        begun = re.search(rf"{OPEN}(\s*)\Z", prompt_text(tokenizer, prompt))
        text = f"{begun[1]}{CLOSE}\n\n{text}" if begun else text
    return list(tokenizer.encode(text, add_special_tokens=False))


def warm_up_reply(prompt: StepPrompt, with_thought: bool = True) -> str:
    """An expert step in the reply format, for supervised warm-up; the step alone without thoughts.

    Without a thought of its own it gets the numbers that the step starts from, which are of no
    language, and never the step or its result: a thought that contains the step would teach the
    model to copy. with_thought: whether the think span holds anything.
    """
    if not prompt.form.think:
        return prompt.expert_action
    thought = (prompt.thought or _starting_from(prompt)) if with_thought else ""
    return f"{OPEN}{thought}{CLOSE}\n{prompt.expert_action}"


def _starting_from(prompt: StepPrompt) -> str:
    if set(prompt.expert_action) <= set("0123456789., "):
        return ""
    known = numbers(" ".join((prompt.problem, *prompt.previous_steps)))
    return ", ".join(n for n in dict.fromkeys(numbers(prompt.expert_action)) if n in known)


def numbers(text: str) -> list[str]:
    """Numbers written in a text, without thousands separators, which TeX has in braces."""
    found = _NUMBER.findall(text.replace("{,}", "").replace(",", ""))
    return [f"0{number}" if number[0] == "." else number for number in found]


_NUMBER = re.compile(r"\d+(?:\.\d+)?|(?<![\w.])\.\d+")


def shared_length(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their start."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))
