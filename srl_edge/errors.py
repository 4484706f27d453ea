"""The failures a person can mend, each with its exit code."""

import re
from collections.abc import Sequence
from typing import Any


class InputError(Exception):
    """Something given cannot be used; the message says what, where, how to mend it (exit 2)."""


class ParityError(Exception):
    """An artifact does not answer as the trained model does (exit 3)."""


class UnmeasuredError(Exception):
    """The gate could not measure an artifact, so it says neither that it is sound (exit 4)."""


class StageError(Exception):
    """A stage cannot go on, though its input was sound; the message says why (exit 1)."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: CUDA and NumPy have errors of their own, others a message."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"  # torch's, which is not imported for that
        or "MPS backend out of memory" in text
        or "DefaultCPUAllocator: can't allocate memory" in text
        or "std::bad_alloc" in text
        or "Failed to allocate memory" in text  # ONNX Runtime's
    )


def no_threads(error: BaseException) -> bool:
    """Whether the system let no thread be started."""
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


def first_line(error: BaseException) -> str:
    """What a library says of its failure, for a sentence of ours."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    said = re.sub(r".*\[ONNXRuntimeError\] : \d+ : \w+ : ", "", lines[0])  # a line of its code
    return said.strip().rstrip(".")[:500]


class NothingToCompare(StageError):
    """No group of rollouts has rewards that differ; `groups` are those that were sampled."""

    def __init__(self, message: str, groups: Sequence[Any]) -> None:
        super().__init__(message)
        self.groups = groups
