r"""The form of a prompt and of its reply, as data: what is asked, and how the reply is read.

A recipe's `[prompt]` names a preset and changes what it likes of it; manifests carry the whole of
it, so that training, gate and device ask and read alike.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from srl_edge.method import actions
from srl_edge.method.answers.reading import matches, states_answer
from srl_edge.method.answers.texts import as_step
from srl_edge.models.chat_template import DATE

OPEN, CLOSE = "<think>", "</think>"
HASHES, BOXED = "####", "boxed"  # how an answer is marked, beside a regular expression
DONE = "done"  # likewise: a last line says so, and the answer is all that comes before it
# What the user, or the system, says between actions begins a paragraph of its own.
SAID = ("User: ", "System: ")
SAID_BETWEEN = re.compile(rf"(?:\A|(?<=\n\n))(?:{'|'.join(SAID)})")
# Word by word, possessive: a long run of blanks is looked at once.
_BEFORE_DONE = r"(?m)\A((?:\s*+(?!^done\s*+\Z)\S++)*+)\s*+(?:^done\s*+)?\Z"


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion taken apart; `fault` names what breaks the format ('' if nothing does)."""

    thought: str
    action: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class PromptForm:
    r"""How a model is asked for a step or for a whole solution, and how its reply is read.

    system, whole_system: the system message of either; '' leaves the chat template's own.
    step, whole: the user's message of either, with `{problem}`, and in `step` with `{steps}`.
    think: whether a reply begins with one <think> span. answer: `####`, `boxed` for \boxed{…},
    `done` for all steps before one that says done, or a regular expression whose first group is the
    answer. verifier: how answers are compared:
    `auto`, by the right answer's kind; number, math, exact, choice, call; or "file.py:function".
    date: what a chat template that asks for today's date is told. chat_template_kwargs: what else
    it is told, by name, as transformers and vLLM call it: `enable_thinking`, `tools`, …
    action: how a step is read where steps are actions, as in `actions`. context_pairs: how many of
    the last actions, with what came of them, a prompt holds; None for all. What a user says
    between them is no result: it stays, with the action that it follows.
    """

    system: str
    step: str
    whole_system: str
    whole: str
    think: bool
    answer: str
    verifier: str = "auto"
    date: str = DATE
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict, hash=False)
    action: actions.Kind = "text"
    context_pairs: int | None = None

    def messages(
        self,
        problem: str,
        previous_steps: Sequence[str],
        title: str = "",
        whole: bool = False,
        observations: Sequence[str] = (),
    ) -> list[dict[str, str]]:
        """The chat that asks for the next step; a longer solution continues the same text.

        title: the next step's title, given away. whole: ask for the whole solution instead.
        observations: what came of the steps that were actions.
        """
        system, user = (self.whole_system, self.whole) if whole else (self.system, self.step)
        steps = self._so_far(previous_steps, observations) + title
        # One pass: what a problem itself says in braces stays as it is.
        values = {"{problem}": problem, "{steps}": steps}
        user = re.sub(r"\{problem\}|\{steps\}", lambda found: values[found[0]], user)
        chat = [{"role": "user", "content": user}]
        return [{"role": "system", "content": system}, *chat] if system else chat

    def told(self, tools: Sequence[Any] = ()) -> dict[str, Any]:
        """What the chat template is told; tools: of a problem, in place of the form's own."""
        return dict(self.chat_template_kwargs) | ({"tools": list(tools)} if tools else {})

    def _so_far(self, steps: Sequence[str], observations: Sequence[str]) -> str:
        if not observations:
            return "".join(f"{step}\n" for step in steps)
        pairs = list(zip(steps, observations, strict=True))
        first = 0 if self.context_pairs is None else max(0, len(pairs) - self.context_pairs)
        earlier = [
            (step, observed[said.start() :])
            for step, observed in pairs[:first]
            if (said := SAID_BETWEEN.search(observed))
        ]
        return "".join(f"> {step}\n{observed}\n" for step, observed in [*earlier, *pairs[first:]])

    def read(self, text: str, finished: bool = True) -> Reply:
        """Split a completion into thought and action.

        The format is one <think> span at the start where the form has one, then a step that is not
        empty, then the stop token. Where it is broken, the action is what can still be read: all
        text after the last tag. An action that cannot be read as one breaks it too.
        """
        reply = self._split(text, finished)
        if reply.fault or self.action == "text" or reply.action == DONE:
            return reply
        return replace(reply, fault=actions.fault(reply.action, self.action))

    def _split(self, text: str, finished: bool) -> Reply:
        stripped = text.strip()
        last = self._action(*re.split(f"({OPEN}|{CLOSE})", text)[-2:])
        if not finished:
            return Reply("", last, CUT_OFF)
        if not self.think:
            return Reply("", last, "" if last else "an empty reply")
        if stripped.count(OPEN) != 1 or stripped.count(CLOSE) != 1:
            return Reply("", last, "not exactly one think span")
        if not stripped.startswith(OPEN):
            return Reply("", last, "text before the think span")
        thought, _, action = stripped.removeprefix(OPEN).partition(CLOSE)
        if not action.strip():
            return Reply(thought.strip(), "", "no step after the think span")
        return Reply(thought.strip(), self._action(CLOSE, action))

    def _action(self, *after: str) -> str:
        """What stands after a tag, maybe; on the tag's line it is not indented."""
        text = after[-1].lstrip(" \t") if len(after) > 1 else after[-1]
        return as_step(text) if self.action == "text" else text.strip()

    def answers_like(self, other: "PromptForm") -> bool:
        """Whether both ask for a whole solution, and read it, in the same way."""
        mine, theirs = (
            (form.whole_system, form.whole, form.think, form.answer) for form in (self, other)
        )
        return mine == theirs

    def states_answer(self, text: str) -> bool:
        """Whether a text marks its final answer in this form."""
        if self.answer == BOXED:
            return r"\boxed{" in text
        if self.answer == HASHES:
            return states_answer(text)
        if self.answer == DONE:
            return text.strip().rpartition("\n")[2].strip() == DONE
        return bool(matches(self.answer, text))

    def stated(self, answer: str) -> str:
        """A line that states a final answer; '' where a regular expression says how to read one."""
        answer = " ".join(answer.split("\n"))  # a mark's answer ends with its line
        if answer.endswith("\\"):
            answer += " "  # or it would escape the brace
        marks = {
            HASHES: f"{HASHES} {answer}",
            BOXED: rf"The final answer is \boxed{{{answer}}}.",
            DONE: DONE,
        }
        return marks[self.answer] if self.answer in marks else _by_pattern(self.answer, answer)

    @property
    def pattern(self) -> str:
        """The regular expression of an answer, where the form has one of its own."""
        if self.answer == DONE:
            return _BEFORE_DONE
        return "" if self.answer in (HASHES, BOXED) else self.answer

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, which `form_of` reads back, without what is code of the recipe's."""
        return asdict(self) | ({"verifier": "auto"} if ":" in self.verifier else {})


_LITERAL = r"(?:\\[^A-Za-z0-9]|[^\\()\[\]{}.*+?^$|])*"
_AROUND_A_GROUP = re.compile(rf"\^?({_LITERAL})\((?!\?)[^()]*\)({_LITERAL})\$?")


def _by_pattern(pattern: str, answer: str) -> str:
    """An answer with the words that a pattern has around its group; '' where that is no text."""
    spaced = re.sub(r"^\(\?\w+\)", "", re.sub(r"\\s[*+]?| [*+]", " ", pattern))
    if not (parts := _AROUND_A_GROUP.fullmatch(spaced)):
        return ""
    before, after = (re.sub(r"\\(.)", r"\1", part) for part in parts.groups())
    line = f"{before}{answer}{after}".strip()
    return line if answer in map(str, matches(pattern, line)) else ""


CUT_OFF = "cut off at the length limit"

PRESETS: Mapping[str, PromptForm] = {
    "word-problems": PromptForm(
        system="You solve word problems one step at a time. You are given a problem and the steps "
        "found so far. First think inside <think> and </think>. After that, write only the next "
        "step. When it gives the final answer, end it with a line '#### answer'.",
        step="Problem: {problem}\n\nSolution so far:\n{steps}",
        whole_system="You solve word problems. First think inside <think> and </think>. After "
        "that, write the whole solution, one step a line, and end it with a line '#### answer'.",
        whole="Problem: {problem}",
        think=True,
        answer=HASHES,
    ),
    "math": PromptForm(
        system="",
        step="{problem}\n\nThe solution so far:\n{steps}\nPlease write the next step alone; where "
        r"it gives the final answer, put that within \boxed{}.",
        whole_system="",
        whole="{problem}\nPlease reason step by step, and put your final answer within \\boxed{}.",
        think=False,
        answer=BOXED,
    ),
    "general": PromptForm(
        system="You work on a task one step at a time. You are given the task and the steps taken "
        "so far. First think inside <think> and </think>. After that, write only the next step. "
        "Where the task has a final answer, the last step ends with a line '#### answer'.",
        step="Task: {problem}\n\nSteps so far:\n{steps}",
        whole_system="You work on a task. First think inside <think> and </think>. After that, "
        "write all steps, and where the task has a final answer, end with a line '#### answer'.",
        whole="Task: {problem}",
        think=True,
        answer=HASHES,
    ),
    "commands": PromptForm(
        system="You fulfil requests by commands. Write only the next one, or done after the last.",
        step="{problem}\n{steps}",
        whole_system="You fulfil requests by commands. Write them, one a line, and then done.",
        whole="{problem}",
        think=False,
        answer=DONE,
    ),
    "agent": PromptForm(
        system="You fulfil a task by acting. You are given the task, and your last actions with "
        "what came of them. First think inside <think> and </think>. After that, write only the "
        "next action, or done when the task is fulfilled.",
        step="Task: {problem}\n\n{steps}",
        whole_system="You fulfil a task by acting. First think inside <think> and </think>. After "
        "that, write all actions, one a line, and then done.",
        whole="Task: {problem}",
        think=True,
        answer=DONE,
        action="command",
        context_pairs=2,
    ),
}
DEFAULT = PRESETS["word-problems"]


def form_of(values: Mapping[str, Any] | None) -> PromptForm:
    """The form that `as_dict` gave; without one, what artifacts were asked before they said so."""
    known = {field.name for field in fields(PromptForm)}
    if not values:
        return DEFAULT
    form = PromptForm(**{k: v for k, v in values.items() if k in known})
    # What is downloaded runs no code, whatever it names.
    return replace(form, verifier="auto") if ":" in form.verifier else form
