"""How a model runs on this computer: one file a runtime, all with the same calls.

`prefill(ids)` reads a prompt and `decode(token)` goes on with it; both return the logits [V] that
follow. `encode(text)` is the runtime's own tokenizer, `stop_ids()` where it ends a reply.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from srl_edge.errors import InputError, first_line
from srl_edge.method.prompts import shared_length

Logits = np.ndarray[Any, np.dtype[np.float32]]
Choose = Callable[[Logits], int]  # the next token of logits [V]


class Damaged(InputError):
    """A runtime does not load what it is given, or fails at it: `said` is in its library's words.

    Its file may be cut off, or be of another version.
    """

    def __init__(self, path: Path, library: str, does_not: str, error: Exception) -> None:
        self.said = first_line(error)
        super().__init__(
            f"{path}: {library} does not {does_not} it: {self.said}; fetch or export it again."
        )


class Runtime(Protocol):
    """A loaded model that decodes one sequence at a time."""

    def prefill(self, ids: Sequence[int], reuse: bool = True) -> Logits:
        """Logits after a prompt; what it shares with the last sequence is not computed again."""

    def decode(self, token: int) -> Logits:
        """Logits after one more token."""

    def encode(self, text: str) -> list[int] | None:
        """Token ids of a rendered chat by the runtime's own tokenizer, if it has one."""

    def stop_ids(self) -> list[int]:
        """Token ids at which the runtime itself ends a reply."""


class ArtifactRuntime(Runtime, Protocol):
    """One that can also go on with another adapter than the one it was loaded with."""

    def switch(self, adapter: Path | None) -> None:
        """Go on with an adapter file, or without one."""


@runtime_checkable
class Batched(Protocol):
    """One that also completes several prompts together."""

    def takes_several(self) -> bool:
        """Whether this model can be asked so."""

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        stops: Sequence[int],
        choices: Sequence[Choose],
    ) -> list[list[int]]:
        """A completion of each prompt, of at most as many tokens as its limit; see `greedy`."""


def likeliest(logits: Logits) -> int:
    """The most likely token."""
    return int(logits.argmax())


def greedy(
    runtime: Runtime, ids: Sequence[int], max_new_tokens: int, stops: Sequence[int]
) -> list[int]:
    """The most likely completion, token by token, with the stop token that ended it, if any."""
    completion: list[int] = []
    logits = runtime.prefill(ids)
    while len(completion) < max_new_tokens:
        completion.append(likeliest(logits))
        if completion[-1] in stops or len(completion) == max_new_tokens:
            break
        logits = runtime.decode(completion[-1])
    return completion


def reusable(old: Sequence[int], new: Sequence[int]) -> int:
    """Tokens at the start of `new` whose keys and values are still those of `old`."""
    return min(shared_length(old, new), len(new) - 1)


def require_room(length: int, context_length: int) -> None:
    """Raise InputError where a text is longer than the context that a model has."""
    if length > context_length:
        raise InputError(
            f"{length} tokens do not fit the artifact's context of {context_length}; export it "
            "with a larger one (export.context_length)."
        )
