"""The failures a person can mend, each with its exit code."""


class InputError(Exception):
    """Something given cannot be used; the message says what, where, how to mend it (exit 2)."""


class ParityError(Exception):
    """An artifact does not answer as the trained model does (exit 3)."""


class StageError(Exception):
    """A stage cannot go on, though its input was sound; the message says why (exit 1)."""


class NothingToCompare(StageError):
    """No group of rollouts has rewards that differ."""
