"""Whole numbers in English words: `twelve`, `twenty-one`, `three hundred and five`."""

import re

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NUMBERS = {w: n for n, w in enumerate(_SMALL)} | {w: 20 + 10 * n for n, w in enumerate(_TENS)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}


def number_word(text: str) -> int | None:
    """The number that the whole of a text says in words; None for any other text."""
    if len(text) > 80 or not text[:1].isalpha():
        return None
    words = re.split(r"[ -]+", text.lower().removeprefix("negative "))
    total = part = 0
    before = ""
    for word in words:
        if word in _NUMBERS and _fits(before, word):
            part += _NUMBERS[word]
        elif word == "hundred" and 0 < part < 10:
            part *= 100
        elif word in _SCALES and part and (not total or total >= 1000 * _SCALES[word]):
            total, part = total + part * _SCALES[word], 0
        elif not (word == "and" and before in ("hundred", *_SCALES) and word != words[-1]):
            return None
        before = word
    return -(total + part) if text.lower().startswith("negative ") else total + part


def _fits(before: str, word: str) -> bool:
    """Whether a number's word may follow another: twenty one, but not one two."""
    if before in _TENS:
        return 0 < _NUMBERS[word] < 10
    return before not in _NUMBERS
