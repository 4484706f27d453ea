"""How a model runs on this computer: one file a runtime, all with the same calls.

`prefill(ids)` reads a prompt and `decode(token)` goes on with it; both return the logits [V] that
follow. `encode(text)` is the runtime's own tokenizer, `stop_ids()` where it ends a reply.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from srl_edge.errors import InputError
from srl_edge.method.prompts import shared_length

Logits = np.ndarray[Any, np.dtype[np.float32]]


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


def greedy(
    runtime: Runtime, ids: Sequence[int], max_new_tokens: int, stops: Sequence[int]
) -> list[int]:
    """The most likely completion, token by token, with the stop token that ended it, if any."""
    completion: list[int] = []
    logits = runtime.prefill(ids)
    while len(completion) < max_new_tokens:
        completion.append(int(logits.argmax()))
        if completion[-1] in stops or len(completion) == max_new_tokens:
            break
        logits = runtime.decode(completion[-1])
    return completion


def reusable(old: Sequence[int], new: Sequence[int]) -> int:
    """Tokens at the start of `new` whose keys and values are still those of `old`."""
    return min(shared_length(old, new), len(new) - 1)


def require_room(length: int, context_length: int) -> None:
    """Raise InputError where a text is longer than the context that an artifact declares."""
    if length > context_length:
        raise InputError(
            f"{length} tokens do not fit the artifact's context of {context_length}; export it "
            "with a larger export.context_length."
        )
