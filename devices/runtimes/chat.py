"""Prompts to token ids and back, as on a device: the artifact's own files, without transformers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers.decoders import DecodeStream

from srl_edge.artifact import MANIFEST
from srl_edge.devices.runtimes.contract import Batched, Runtime, greedy, likeliest
from srl_edge.errors import InputError
from srl_edge.files import read_json_if_there
from srl_edge.method.prompt_form import DEFAULT, PromptForm, form_of
from srl_edge.method.prompts import without_thought
from srl_edge.method.solving import Attempt, Reply
from srl_edge.models.chat_template import NEXT_QUESTION, of_folder, plain
from srl_edge.models.tokenizer_file import heard, opened


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model is asked, and whether a reply is the whole solution.

    shots: worked examples that come before, each a problem and its solution. plain: in running
    text, without a chat template.
    """

    form: PromptForm = DEFAULT
    whole: bool = False
    shots: tuple[tuple[str, str], ...] = ()
    plain: bool = False

    def steps(self, most: int) -> int:
        """How many replies a solution may take."""
        return 1 if self.whole else most


def asked_of(folder: Path) -> Asked:
    """What an artifact says that its model was trained on being asked; the default for others."""
    said = (read_json_if_there(folder / MANIFEST, "Asked") or {}).get("prompt") or {}
    return Asked(form_of(said), said.get("reply") == "whole")


class Chat:
    """The tokenizer and chat template of a model or artifact folder.

    asked: what its prompts ask; without it, what the folder's manifest says.
    """

    def __init__(self, folder: Path, asked: Asked | None = None) -> None:
        self.asked = asked or asked_of(folder)
        self._folder, self._tokenizer = folder, opened(folder)
        self._template = plain() if self.asked.plain else of_folder(folder)

    def prompt_ids(
        self,
        problem: str,
        steps: Sequence[str],
        observations: Sequence[str] = (),
        tools: Sequence[Any] = (),
    ) -> list[int]:
        """Token ids of the chat that asks for the next step, or for the whole solution."""
        asked, form = self.asked, self.asked.form
        *system, question = form.messages(
            problem, steps, whole=asked.whole, observations=observations
        )
        examples = [
            turn
            for other, solution in asked.shots
            for turn in (
                form.messages(other, (), whole=asked.whole)[-1],
                {"role": "assistant", "content": solution},
            )
        ]
        text = self.render([*system, *examples, question], tools)
        return self.read(text if asked.plain else without_thought(text, form))

    def of_attempt(self, attempt: Attempt) -> list[int]:
        """Token ids of the chat that asks for what comes next in an attempt."""
        return self.prompt_ids(attempt.problem, attempt.steps, attempt.observations, attempt.tools)

    def render(self, chat: Sequence[dict[str, str]], tools: Sequence[Any] = ()) -> str:
        """The text of a chat, up to where the reply begins."""
        form = self.asked.form
        return self._template.render(chat, True, form.date, form.told(tools))

    def read(self, rendered: str) -> list[int]:
        """Token ids of a chat's text, with what a text begins with where no template writes it."""
        try:
            rendered.encode()
        except UnicodeEncodeError:
            raise InputError("the chat holds half of a character, as \\ud800 is one.") from None
        with heard(self._folder):
            return list(self._tokenizer.encode(rendered, add_special_tokens=self.asked.plain).ids)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with no special tokens added."""
        with heard(self._folder):
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
            return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens included."""
        with heard(self._folder):
            text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
            return text

    def pieces(self) -> Callable[[int], str]:
        """Takes a reply's tokens, and gives the text that each adds: '' within a character."""
        stream = DecodeStream(skip_special_tokens=False)

        def piece(token: int) -> str:
            with heard(self._folder):
                return stream.step(self._tokenizer, token) or ""

        return piece


def text_of(chat: Chat, completion: Sequence[int], stops: Sequence[int]) -> tuple[str, bool]:
    """A completion's text without the token that ended it, and whether one did."""
    finished = bool(completion) and completion[-1] in stops
    text = chat.decode(completion[:-1] if finished else completion)
    if chat.asked.plain and NEXT_QUESTION in text:
        return text.partition(NEXT_QUESTION)[0], True
    return text, finished


# Prompts of token ids -> the completion of each, with the stop token that ended it, if any.
Complete = Callable[[Sequence[Sequence[int]]], list[list[int]]]


def replies(complete: Complete, chat: Chat, stops: Sequence[int]) -> Reply:
    """What `solving.solve` asks for: a model's replies to attempts that go on."""

    def reply(asked: Sequence[Attempt]) -> list[tuple[str, bool]]:
        completions = complete([chat.of_attempt(attempt) for attempt in asked])
        return [text_of(chat, completion, stops) for completion in completions]

    return reply


def completions(runtime: Runtime, stops: Sequence[int], max_new_tokens: int) -> Complete:
    """Greedy completions by a model in this process."""
    if isinstance(runtime, Batched) and runtime.takes_several():
        return lambda prompts: runtime.complete(
            prompts, [max_new_tokens] * len(prompts), stops, [likeliest] * len(prompts)
        )
    return lambda prompts: [greedy(runtime, ids, max_new_tokens, stops) for ids in prompts]
