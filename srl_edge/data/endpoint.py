"""An OpenAI-compatible endpoint that chats are sent to."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from srl_edge.asking import Answer, Late, Unfit, Unreached, ask, is_loopback, require_address
from srl_edge.data.values import is_text
from srl_edge.errors import InputError
from srl_edge.terminal import progress

_TRIES = 3
_WAIT = 0.5  # seconds before the second, and twice that before the third
_AGAIN = (408, 409, 429)  # and what is the endpoint's own fault
_BYTES = (4 << 20, 1000)  # of a reply, and more for each token that it may have


class Unanswered(Exception):
    """Why an endpoint gave no reply."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where replies come from; `url` ends in /v1, key is '' for none.

    timeout: seconds to a whole reply, tries again included.
    """

    url: str
    model: str
    key: str
    timeout: float
    temperature: float
    max_tokens: int

    def ask(self, chat: Sequence[Mapping[str, str]]) -> tuple[str, int, int]:
        """The reply to a chat, and how many tokens were read and written; raises Unanswered."""
        answer = self._answer(
            {
                "model": self.model,
                "messages": list(chat),
                "temperature": self.temperature,
                "max_tokens": self.max_tokens,
            }
        )
        if not answer.ok:
            raise Unanswered(f"status {answer.status}")
        try:
            found = json.loads(answer.body)
            text = found["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError, ValueError, RecursionError):
            raise Unanswered("a reply of another form") from None
        if not is_text(text):
            raise Unanswered("a reply without text")
        usage = found.get("usage")
        counts = usage if isinstance(usage, dict) else {}
        used = (counts.get(f"{name}_tokens") for name in ("prompt", "completion"))
        read_, written = (count if type(count) is int else 0 for count in used)
        return text, read_, written

    def _answer(self, asked: Mapping[str, Any]) -> Answer:
        """What is answered, of three tries; raises Unanswered."""
        until = time.monotonic() + self.timeout
        url, body = f"{self.url.rstrip('/')}/chat/completions", json.dumps(asked).encode()
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        least, of_a_token = _BYTES
        most = least + of_a_token * self.max_tokens
        for number in range(1, _TRIES + 1):
            why, wait = "no connection", _WAIT * 2 ** (number - 1)
            try:
                left = max(until - time.monotonic(), 0.01)
                answer = ask(url, body, left, most, headers, not is_loopback(url))
                if answer.status not in _AGAIN and answer.status < 500:
                    return answer
                why = f"status {answer.status}"
                wait = max(wait, _asked_to_wait(answer.headers))
            except Late:
                raise Unanswered(f"no reply within {self.timeout:.0f} s") from None
            except Unfit as error:
                raise Unanswered(str(error)) from None
            except Unreached:
                pass
            if number == _TRIES or time.monotonic() + wait >= until:
                break
            time.sleep(wait)
        raise Unanswered(why)


def require_url(url: str) -> None:
    """Raise InputError for what is no address of an endpoint."""
    try:
        require_address(url)
    except ValueError as error:
        raise InputError(f"--url {url}: no address of an endpoint ({error}).") from None


def _asked_to_wait(headers: Mapping[str, str]) -> float:
    """Seconds that an endpoint asks for before another try."""
    said = next((v for name, v in headers.items() if name.lower() == "retry-after"), "")
    return float(said) if said.isascii() and said.isdigit() and len(said) < 6 else 0.0


def key_for(url: str, name: str | None, environment: Mapping[str, str]) -> str:
    """The key of a variable, '' for none; whom it goes to is said.

    Without a name it is OPENAI_API_KEY's, and goes over https or to this computer alone. Raises
    InputError where no such variable is set, or a key has characters that none has.
    """
    variable = name or "OPENAI_API_KEY"
    key = environment.get(variable, "")
    if name and not key:
        raise InputError(f"--key {name}: no such variable is set; set it, or leave --key out.")
    if not key.isascii() or not key.isprintable():
        raise InputError(f"{variable}: a key has no such characters; set the variable anew.")
    host = urlsplit(url).hostname
    if not key or is_loopback(url):
        return key
    if name is None and not url.startswith("https://"):
        progress.say(
            f"data: {host} is not sent the key in {variable}, since anybody between could read it; "
            f"--key {variable} sends it."
        )
        return ""
    progress.say(f"data: {host} is sent the key in {variable}")
    return key
