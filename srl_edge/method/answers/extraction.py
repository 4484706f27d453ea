r"""GSM8K answers as lm-evaluation-harness takes them out of a reply, to set figures beside its own.

Its task gsm8k has two filters. strict-match reads the number after the first `#### `;
flexible-extract the last run of digits, signs of money, commas and points in the reply, whatever it
means. Both compare text with text, once commas, dollar signs, what stands before `#### ` and a full
stop at the end are gone: 18.00 is not 18.
"""

import re

_STRICT = re.compile(r"#### (-?[0-9.,]+)")
# At least two characters of a number, or a single digit, signed or not.
_FLEXIBLE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
_PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def strict(reply: str) -> str | None:
    """What strict-match reads; None where nothing is marked so."""
    found = _STRICT.search(reply)
    return found[1] if found else None


def flexible(reply: str) -> str | None:
    """What flexible-extract reads; None where the reply has no digit, and no two such signs."""
    found = _FLEXIBLE.findall(reply)
    return found[-1] if found else None


def same(extracted: str | None, answer: str) -> bool:
    """Whether what was read is the right answer, letter by letter once both are normalised."""
    return extracted is not None and _normalised(extracted) == _normalised(answer)


def is_number(answer: str) -> bool:
    """Whether the two filters can find such an answer at all: a plain number, commas in it or not.

    They say nothing of a formula, a choice or words.
    """
    return _PLAIN_NUMBER.fullmatch(_normalised(answer)) is not None


def _normalised(text: str) -> str:
    text = text.replace(",", "").replace("$", "").rpartition("#### ")[2]
    return text.removesuffix(".").casefold()
