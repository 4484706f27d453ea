# ruff: noqa: RUF001 - DeepSeek's tokens have a wide bar
"""Single values of a row, of any type that JSON or a table has, as texts."""

import ast
import json
import math
import re
import struct
import warnings
from collections.abc import Mapping
from decimal import Decimal
from textwrap import dedent
from typing import Any

from srl_edge.method import calls
from srl_edge.method.answers.expected import bare
from srl_edge.method.verifiers import same_value

_LONE = re.compile("[\ud800-\udfff]")
# What stands around a solution: OpenThoughts' and Cohere's marks.
_MARKS = re.compile(r"<\|(?:(?:begin|end)_of_solution|(?:START|END)_RESPONSE)\|>")
_BOX = re.compile(
    r"<\|begin_of_box\|>((?:(?!<\|begin_of_box\|>).)*?)<\|end_of_box\|>", re.DOTALL
)  # GLM's
# What ends a turn or begins the next one, which texts that were rendered once still have.
_ENDS = (
    r"</?s>|<end_of_turn>|<turn\|>|<eos>|<eoa>|<seed:eos>|<reserved_\d{1,4}>"
    r"|<\|(?:im_end|im_sep|endoftext|eo[tms]|eo[tm]_id|eos|end_of_text|end|return|endofturn)\|>"
    r"|<\|(?:END_OF_TURN_TOKEN|user|assistant|observation)\|>|<\|im_start\|>(?:user|assistant)?"
    r"|<｜(?:end▁of▁sentence|User|Assistant)｜>|\[\|endofturn\|\]|\[e~\[|\[END FINAL RESPONSE\]"
)
_END = re.compile(rf"(?:{_ENDS})\s*\Z")
_LONGEST_END = 60  # characters, with blanks

_HOLDERS = {"answer", "final_answer", "result", "value"}  # of an answer, and no functions
_NO_ANSWERS = ("", "proof", "notfound")  # the marks of NuminaMath-1.5 and what is made of it
# How tables, and what is made of them, write that nothing is there.
NOTHING = {"", "nan", "NaN", "NA", "<NA>", "N/A", "n/a", "#N/A", "NULL", "null", "None"}
_NO_INPUT = re.compile(r"[<(\[]?no[ _-]?input[>)\]]?", re.IGNORECASE)  # Alpaca's


class Unusable(Exception):
    """Why a row cannot be used, in a few words that are counted."""


def is_text(value: Any) -> bool:
    """Whether a value is a text that can be written: half of a character or a NUL cannot."""
    return isinstance(value, str) and "\0" not in value and not _LONE.search(value)


def is_nothing(text: str) -> bool:
    """Whether a text stands for none, as tables write it or as Alpaca's rows do."""
    return text.strip() in NOTHING or _NO_INPUT.fullmatch(text.strip()) is not None


def clean(text: str) -> str:
    """A text with line ends of one kind; raises Unusable for characters that no tokenizer takes.

    What all its lines are indented by is left out.
    """
    text = tidy(text)
    return (dedent(text) if text[:1].isspace() else text).strip()


def tidy(text: str) -> str:
    """The same, with the blanks around it."""
    if _LONE.search(text):
        raise Unusable("half of a character (a lone surrogate)")
    if "\0" in text:
        raise Unusable("a NUL character")
    end = len(text)
    while match := _END.search(text, max(0, end - _LONGEST_END), end):
        end = match.start()
    text = _BOX.sub(_box, text[:end]) if "<|begin_of_box|>" in text else text[:end]
    return _MARKS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def _box(match: re.Match[str]) -> str:
    said = match[1].strip()
    return said if "\\boxed" in said else f"\\boxed{{{said}}}"


def answer_of(value: Any) -> str | None:
    """An answer of any type as a text; None for none. Raises Unusable."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case int():
            if abs(value) >= 10**1000:
                raise Unusable("a number of thousands of digits")
            return str(value)
        case float():
            if not math.isfinite(value):
                return None  # NaN is how tables write that nothing is there
            return str(int(value)) if value.is_integer() else f"{Decimal(repr(value)):f}"
        case Decimal():
            return f"{value.normalize():f}" if value.is_finite() else None
        case str():
            said = clean(value)
            if (held := written_list(said)) is not None:
                return answer_of(held)
            return None if said in NOTHING or said.lower() in _NO_ANSWERS else bare(said)
        case {"ground_truth": held}:  # verl's, beside how it is judged
            return answer_of(held)
        case list() | dict() if _is_call(value):
            return clean(json.dumps(value, ensure_ascii=False))
        case list() | dict() if len(value) == 1:
            return answer_of(value[0] if isinstance(value, list) else next(iter(value.values())))
        case list() | dict() if not value:
            return None
        case [str() as first, *others] if all(_is_same(first, other) for other in others):
            return answer_of(first)  # in several forms
    raise Unusable("an answer that is a list or an object")


def _is_same(answer: str, other: Any) -> bool:
    return isinstance(other, str) and same_value(other, answer)


def _is_call(value: Any) -> bool:
    """Whether an answer is the object of a call, or a list of such; what only holds one is none."""
    if isinstance(value, list):
        return bool(value) and all(map(_is_call, value))
    if not isinstance(value, dict) or not value.keys() - {"name"} or value.keys() & _HOLDERS:
        return False
    try:
        return calls.parsed(json.dumps(value)) is not None
    except (TypeError, ValueError, RecursionError):
        return False


def as_written(row: Mapping[str, Any], narrow: Mapping[str, str]) -> dict[str, Any]:
    """A row of a table without what its structures were filled up with.

    narrow: how `struct` packs the columns of short floats, by name, whose values are read as the
    shortest numbers that they can be.

    Arrow gives each of them the members of all rows, as nulls. Those that somebody wrote cannot be
    told from them, so that an argument that is null is left out as well.
    """
    found = {column: _unfilled(value) for column, value in row.items()}
    for column, packs in narrow.items():
        if isinstance(value := found.get(column), float):
            found[column] = _shortest(value, packs)
    return found


def narrow_floats(columns: Mapping[str, str]) -> dict[str, str]:
    """Of columns by their types, as Arrow and `datasets` name these, those of short floats."""
    packs = {"float": "f", "float32": "f", "halffloat": "e", "float16": "e"}
    return {column: packs[kind] for column, kind in columns.items() if kind in packs}


def _shortest(value: float, packs: str) -> float:
    near = (float(f"{value:.{digits}g}") for digits in range(1, 10))
    packed = struct.pack(packs, value)
    return next((each for each in near if struct.pack(packs, each) == packed), value)


def _unfilled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _unfilled(held) for key, held in value.items() if held is not None}
    return [_unfilled(held) for held in value] if isinstance(value, list) else value


def as_list(value: Any) -> list[Any] | None:
    """A list, also where it is written out as a text, as in a cell of CSV; None for others."""
    if isinstance(value, list):
        return value
    if not isinstance(value, str) or not value.strip().startswith("["):
        return None
    for read in (json.loads, _of_python):
        try:
            found = read(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        return found if isinstance(found, list) else None
    return None


def written_list(text: str) -> list[Any] | None:
    """A list of texts that is written out as a text; None for others.

    Numbers, and one text twice, are no forms of one answer: they are what some code gives.
    """
    found = as_list(text) if text.startswith("[") else None
    if found is None or not all(isinstance(each, str) for each in found):
        return None
    return found if len(set(found)) == len(found) else None


def _of_python(text: str) -> Any:
    quote = text[1:].lstrip()[:1]
    if quote in ("'", '"') and not re.search(rf"{quote}\s*,", text):  # as numpy writes an array
        text = re.sub(rf"(?<!\\){quote}\s+{quote}", f"{quote}, {quote}", text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of a text that is no Python
        return ast.literal_eval(text)
