"""Calls and their results as a chat template takes them, which templates do in unlike ways."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from srl_edge.models.tools_in_text import MARK

Turn = dict[str, Any]
_ASKED = {"role": "user", "content": "Yes?"}
# Mistral's templates refuse all ids but those of nine letters and figures.
_SHORT, _LONG = "srl000001", "call_000000000000000000000001"


class CallForms:
    """How a template is given calls, found by what it writes of one.

    tried: the text of a chat by that template, '' where it does not take it.
    """

    def __init__(self, tried: Callable[[list[Turn]], str]) -> None:
        self._tried = tried
        self._of_turns: dict[bool, int] = {}  # which of the forms, by whether text comes before

    def given(self, turns: Sequence[Turn]) -> list[Turn]:
        """A chat in which calls and results are as the template writes them.

        A call stands in the text where the template has no place for calls, and what came of it
        in a user's turn, so that neither is left out without a word.
        """
        if not any(turn.get("tool_calls") or turn["role"] == "tool" for turn in turns):
            return list(turns)
        if self._refuses_long_ids:
            turns = [_with_short_ids(turn) for turn in turns]
        found: list[Turn] = []
        after_result = False
        for turn in turns:
            is_result = turn["role"] == "tool" and not self._takes_results
            if is_result and after_result:  # users do not speak twice in a row
                found[-1]["content"] += f"\n\n{turn['content']}"
            elif is_result:
                found.append({"role": "user", "content": turn["content"]})
            elif turn.get("tool_calls"):
                found += _forms(turn)[self._form(bool(turn.get("content")))]
            else:
                found.append(turn)
            after_result = is_result
        return found

    def _form(self, with_text: bool) -> int:
        if with_text not in self._of_turns:
            found = self._first_shown(with_text, _SHORT)
            self._of_turns[with_text] = 0 if found is None else found
        return self._of_turns[with_text]

    def _first_shown(self, with_text: bool, call_id: str) -> int | None:
        for at, form in enumerate(_forms(_probe(with_text, call_id))):
            if self._tried([_ASKED, *form]).count(MARK) > 1:  # its name and its argument
                return at
        return None

    @cached_property
    def _refuses_long_ids(self) -> bool:
        long, short = (self._first_shown(False, each) for each in (_LONG, _SHORT))
        return long != short

    @cached_property
    def _takes_results(self) -> bool:
        """Whether a result is written, or a user's turn in its place is not either."""
        before = [_ASKED, *_forms(_probe(False, _SHORT))[self._form(False)]]
        told = {"content": f"{MARK}, and this came of it"}
        result, said = (
            told["content"] in self._tried([*before, turn])
            for turn in (
                {"role": "tool", "tool_call_id": _SHORT, "name": MARK, **told},
                {"role": "user", **told},
            )
        )
        return result or not said


def _probe(with_text: bool, call_id: str) -> Turn:
    function = {"name": MARK, "arguments": {"x": MARK}}
    calls = [{"id": call_id, "type": "function", "function": function}]
    content = "I look." if with_text else ""
    return {"role": "assistant", "content": content, "tool_calls": calls}


def _forms(turn: Turn) -> tuple[list[Turn], ...]:
    """A turn that calls in each form that some template takes, the usual first.

    Arguments as an object, as Qwen's, or as JSON in a text; and where a template writes calls only
    of a turn that says nothing, as DeepSeek's, what is said stands in a turn before. The last has
    the calls in its text.
    """
    text = turn.get("content") or ""
    as_objects, as_texts = ([_with(c, form) for c in turn["tool_calls"]] for form in (_read, _told))
    before = [{"role": turn["role"], "content": text}] if text else []
    lines = (
        {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}
        for call in as_objects
    )
    written = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    others = {key: value for key, value in turn.items() if key != "tool_calls"}
    return (
        [turn | {"content": text, "tool_calls": as_objects}],
        [turn | {"content": text, "tool_calls": as_texts}],
        [*before, turn | {"content": None, "tool_calls": as_objects}],
        [*before, turn | {"content": None, "tool_calls": as_texts}],
        [others | {"content": f"{text}\n{written}" if text else written}],
    )


def _with(call: Mapping[str, Any], form: Callable[[Any], Any]) -> Turn:
    function = call["function"]
    return {**call, "function": {**function, "arguments": form(function.get("arguments"))}}


def _read(arguments: Any) -> Any:
    """Arguments as an object; a text that is no JSON stays one."""
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments


def _told(arguments: Any) -> str:
    """Arguments as a text."""
    if isinstance(arguments, str):
        return arguments or "{}"
    return json.dumps(arguments or {}, ensure_ascii=False)


def _with_short_ids(turn: Turn) -> Turn:
    short = dict(turn)
    if turn.get("tool_calls"):
        short["tool_calls"] = [
            {**call, "id": _short(call["id"])} if "id" in call else call
            for call in turn["tool_calls"]
        ]
    if turn.get("tool_call_id"):
        short["tool_call_id"] = _short(turn["tool_call_id"])
    return short


def _short(call_id: str) -> str:
    if len(call_id) == len(_SHORT) and call_id.isalnum():
        return call_id
    return hashlib.sha256(call_id.encode(errors="replace")).hexdigest()[: len(_SHORT)]
