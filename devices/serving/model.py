"""A model that people and programs ask: its replies as they come, and its solutions step by step.

It runs by its own runtime, which is not thread-safe: one thread makes a model and asks it.
"""

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from srl_edge.devices.bench.what import LONGEST, models_of
from srl_edge.devices.runtimes.chat import asked_of
from srl_edge.devices.runtimes.contract import Logits
from srl_edge.devices.runtimes.open import open_model
from srl_edge.devices.serving.sampling import chooser
from srl_edge.devices.serving.text import ReplyText, divided
from srl_edge.errors import InputError
from srl_edge.method.prompt_form import DONE, OPEN
from srl_edge.method.solving import Attempt, take_step
from srl_edge.models.chat_template import NEXT_QUESTION
from srl_edge.recipe import Bench

# For each token of the context: a text of more, as hardly any token has, is refused unread.
CHARACTERS = 128
Message = Mapping[str, Any]  # a role and a content, as chat templates read them


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is written: greedily, unless a temperature says otherwise.

    stop: texts before which it ends. Raises InputError for values that mean nothing.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        for name in ("max_new_tokens", "seed"):
            value = getattr(self, name)
            if not (isinstance(value, int) or (name == "seed" and value is None)):
                raise InputError(f"{name}: a whole number is needed, not {value!r}.")
        for name in ("temperature", "top_p"):
            if not isinstance(value := getattr(self, name), int | float):
                raise InputError(f"{name}: a number is needed, not {value!r}.")
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens: at least 1 is needed, not {self.max_new_tokens}.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise InputError(f"temperature: 0 or more is needed, not {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p: above 0 and at most 1 is needed, not {self.top_p}.")
        if not all(self.stop):
            raise InputError("stop: an empty text is in every reply.")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that has ended. answer: its text without the thought.

    finish_reason: `length` where it reached the limit of tokens, or the context's end.
    seconds_to_first: to the first token, of `seconds` in all. Tokens count the one that ended it.
    """

    text: str
    thought: str
    answer: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
    seconds_to_first: float
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Of those after the first, which also took the reading of the prompt."""
        count, spent = self.completion_tokens - 1, self.seconds - self.seconds_to_first
        if count < 1:
            count, spent = self.completion_tokens, self.seconds
        return count / max(spent, 1e-9)


GREEDY = Sampling()


class Model:
    """An artifact, or a model of anybody's that `bench/what.py` recognizes, loaded.

    name: what it is called. context_length: most tokens of a prompt and its reply. asked: how
    `solve` asks. trained_step_by_step: whether its manifest says that one reply is one step.
    """

    def __init__(self, what: str | Path, threads: int = 0, context: int = 0) -> None:
        """Load it; threads and context, in tokens: 0 is the runtime's own choice.

        Raises InputError for what is no model, and where its runtime is not installed.
        """
        (found,) = models_of([what], False, Bench())
        kind, self.context_length = _within(found.kind, *_contexts(found), context, found.name)
        self.name, self.chat, self._stops = found.name, found.chat, found.stop_ids
        self.asked = found.asked or asked_of(found.path)
        self.trained_step_by_step = found.kind == "artifact" and not self.asked.whole
        self._runtime = open_model(kind, found.path, threads)
        self._sound = True  # whether the runtime's cache is what it takes it for

    def stream(
        self,
        messages_or_question: str | Sequence[Message],
        sampling: Sampling = GREEDY,
        tools: Sequence[Any] = (),
    ) -> Iterator[str | Reply]:
        """Pieces of the reply to a chat or a question as they come, one a token; then the whole.

        A piece is empty within a character, or where what it holds may begin a stop. Whoever no
        longer asks for pieces ends the reply. Raises InputError for a chat that the template does
        not take, or that does not fit the context.
        """
        turns = _turns(messages_or_question)
        self._require_short(turns, tools)
        text = self.chat.render(turns, tools)
        begun = OPEN if text.rstrip().endswith(OPEN) else ""
        yield from self._written(self.chat.read(text), sampling, begun)

    def reply(
        self,
        messages_or_question: str | Sequence[Message],
        sampling: Sampling = GREEDY,
        tools: Sequence[Any] = (),
    ) -> Reply:
        """The reply to a chat, or to one question; raises as `stream`."""
        (*_, last) = self.stream(messages_or_question, sampling, tools)
        assert isinstance(last, Reply)
        return last

    def solve(
        self, problem: str, max_steps: int = 8, sampling: Sampling = GREEDY
    ) -> Iterator[Reply]:
        """The replies that solve a problem, one a step, asked as in training.

        They end as those of `method/solving.py`: with the answer, with a reply that breaks the
        format, or after `max_steps`.
        """
        for each in self.solution(problem, max_steps, sampling):
            if isinstance(each, Reply):
                yield each

    def solution(
        self, problem: str, max_steps: int = 8, sampling: Sampling = GREEDY
    ) -> Iterator[str | Reply | Attempt]:
        """As `solve`, with the pieces of each reply before it, and the attempt after the last."""
        form = self.asked.form
        if form.action != "text":
            raise InputError(
                f"{self.name}: was trained to act in a world that answers each action, and nothing "
                "here is one; ask it in a chat."
            )
        self._require_short([problem])
        attempt = Attempt("", problem, "")
        for _ in range(self.asked.steps(max_steps)):
            ended = False
            for each in self._written(self.chat.of_attempt(attempt), sampling):
                yield each
                if isinstance(each, Reply):
                    finished = each.finish_reason == "stop"
                    ended = take_step(attempt, each.text, finished, form)
            if ended:
                break
        yield attempt

    def _require_short(self, turns: Sequence[Any], tools: Sequence[Any] = ()) -> None:
        """Raise InputError for what no context can hold, which rendering it would show late."""
        characters, said = len(str((turns, tools))), ""
        if len(turns) > self.context_length:
            said = f"{len(turns)} turns"
        elif characters > CHARACTERS * self.context_length:
            said = f"{characters} characters"
        if said:
            raise InputError(
                f"the prompt has {said}, and {self.name} takes {self.context_length} tokens of "
                "prompt and reply together; ask for less."
            )

    def _written(
        self, ids: Sequence[int], sampling: Sampling, begun: str = ""
    ) -> Iterator[str | Reply]:
        """A reply to a prompt; begun: the part of it that the prompt ends with."""
        room = self.context_length - len(ids)
        if room < 1:
            raise InputError(
                f"the prompt has {len(ids)} tokens, and {self.name} takes {self.context_length} of "
                "prompt and reply together; ask for less."
            )
        limit = min(sampling.max_new_tokens, room)
        plain = (NEXT_QUESTION,) if self.asked.plain else ()
        shown, piece = ReplyText((*sampling.stop, *plain), begun), self.chat.pieces()
        choose = chooser(sampling.temperature, sampling.top_p, sampling.seed)
        reason: Literal["stop", "length"] = "stop"
        start = time.perf_counter()
        tokens, raw = [choose(self._prefilled(ids))], 0
        first = time.perf_counter() - start
        if begun:
            yield begun
        while tokens[-1] not in self._stops:
            text = piece(tokens[-1])
            raw += len(text)
            yield shown.add(text)
            if shown.stopped:
                break
            if len(tokens) == limit:
                reason = "length"
                break
            tokens.append(choose(self._decoded(tokens[-1])))
        if not shown.stopped:
            ended = tokens[-1] in self._stops
            # A character that never became whole.
            rest = self.chat.decode(tokens[:-1] if ended else tokens)[raw:]
            if left := shown.add(rest) + ("" if shown.stopped else shown.rest()):
                yield left
        yield Reply(
            shown.text,
            *divided(shown.text),
            reason,
            len(ids),
            len(tokens),
            first,
            time.perf_counter() - start,
        )

    def _prefilled(self, ids: Sequence[int]) -> Logits:
        # What was interrupted or failed may have left more, or less, in the cache than it notes.
        sound, self._sound = self._sound, False
        logits = self._runtime.prefill(ids, reuse=sound)
        self._sound = True
        return logits

    def _decoded(self, token: int) -> Logits:
        self._sound = False
        logits = self._runtime.decode(token)
        self._sound = True
        return logits


def ending(model: Model, attempt: Attempt) -> str:
    """Why a solution ended, in a sentence."""
    if attempt.fault:
        return f"The last reply breaks the format: {attempt.fault}."
    form = model.asked.form
    if form.states_answer(attempt.steps[-1]):
        return "It says that it is done." if form.answer == DONE else "It gave its answer."
    if model.asked.whole:
        return "The reply ended without an answer that is marked as one."
    return f"{len(attempt.steps)} steps were the limit."


def _turns(asked: str | Sequence[Message]) -> list[dict[str, Any]]:
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    if not messages:
        raise InputError("messages: at least one is needed.")
    if wrong := next((each for each in messages if not isinstance(each, Mapping)), None):
        raise InputError(f"messages: {wrong!r} is no message with a role and a content.")
    return [dict(message) for message in messages]


def _contexts(found: Any) -> tuple[int | None, int]:
    """The most tokens that a model can be run with, if it tells them, and what it is run with."""
    told = re.match(r"(\d+) tokens", found.told.get("context", ""))
    most = int(told[1]) if told else found.context
    return most, found.context or min(most or LONGEST, LONGEST)


def _within(kind: str, most: int | None, usual: int, wanted: int, name: str) -> tuple[str, int]:
    """The kind that a model is opened as, and the context that it then has."""
    if wanted < 0 or (most is not None and wanted > most):
        raise InputError(f"{name}: takes up to {most} tokens of context, not {wanted}.")
    context = wanted or usual
    format_, separator, _ = kind.partition(":")
    return (f"{format_}:{context}" if separator else kind), context
