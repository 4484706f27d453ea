"""A reply's text as it comes: whole characters, and nothing of a string that ends it."""

from collections.abc import Sequence

from srl_edge.method.prompt_form import CLOSE, OPEN


class ReplyText:
    """The text that can be shown so far; what may begin one of `stops` is held back.

    begun: what the prompt began of the reply. It is no place to look for stops.
    """

    def __init__(self, stops: Sequence[str] = (), begun: str = "") -> None:
        self.text, self.stopped = begun, False
        self._stops, self._held = tuple(stops), ""

    def add(self, piece: str) -> str:
        """What can be shown now that a piece has come; `stopped` says whether a stop ended it."""
        held = self._held + piece
        found = [at for stop in self._stops if (at := held.find(stop)) >= 0]
        self.stopped = bool(found)
        shown = held[: min(found)] if found else held[: len(held) - self._begun_in(held)]
        self._held = "" if found else held[len(shown) :]
        self.text += shown
        return shown

    def rest(self) -> str:
        """What was held back, at the end."""
        shown, self._held = self._held, ""
        self.text += shown
        return shown

    def _begun_in(self, held: str) -> int:
        """How many of the last characters may be the beginning of a stop."""
        longest = max(map(len, self._stops), default=1) - 1
        for length in range(min(longest, len(held)), 0, -1):
            if any(stop.startswith(held[-length:]) for stop in self._stops):
                return length
        return 0


class AnswerAlone:
    """The answer of a reply as it comes, without the thought before it.

    thinking: whether the last piece belongs to a thought; tokens: pieces of the thought so far.
    """

    def __init__(self) -> None:
        self.thinking, self.tokens, self.answer = False, 0, ""
        self._held, self._decided = "", False

    def add(self, piece: str) -> str:
        """What the answer has more, with this piece of the reply."""
        self._held += piece
        if not self._decided:
            begun = self._held.lstrip()
            if OPEN.startswith(begun[: len(OPEN)]) and len(begun) < len(OPEN):
                return ""
            self._decided, self.thinking = True, begun.startswith(OPEN)
        if self.thinking:
            self.tokens += 1
            if CLOSE not in self._held:
                return ""
            self._held, self.thinking = self._held.partition(CLOSE)[2], False
        return self._shown()

    def rest(self) -> str:
        """What was held back, at the end."""
        return "" if self.thinking else self._shown()

    def _shown(self) -> str:
        shown, self._held = self._held if self.answer else self._held.lstrip(), ""
        self.answer += shown
        return shown


def divided(text: str) -> tuple[str, str]:
    """A reply's thought and its answer; a thought that does not end leaves no answer."""
    stripped = text.lstrip()
    if not stripped.startswith(OPEN):
        return "", text.strip()
    thought, _, answer = stripped.removeprefix(OPEN).partition(CLOSE)
    return thought.strip(), answer.strip()
