"""The shapes of rows that agents' recorders write; `data.shapes` tries them with the others."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from srl_edge.data.agents import episodes
from srl_edge.data.agents.declared import tools_of
from srl_edge.data.agents.system_text import declares_tools, told_of
from srl_edge.data.chats import is_chat, require_good, turns_of
from srl_edge.data.fields import PROBLEMS, Fields, Row, Shape
from srl_edge.data.values import Unusable, as_list
from srl_edge.data.verdicts import require_success
from srl_edge.method.prompt_form import DONE

_TASKS = ("problem_statement", "task", "issue")
_GLAIVE = re.compile(r"^\s*(USER|ASSISTANT|FUNCTION RESPONSE):[ \t]*", re.MULTILINE)
_GLAIVES = {"USER": "user", "ASSISTANT": "assistant", "FUNCTION RESPONSE": "tool"}


def of_chat(row: Row, turns: Any, asked: str, name: str) -> Fields | None:
    """The episode of a row's conversation, wherever it stands; None for talk.

    A chat with functions that may be called is an agent's, also where it calls none. name: of the
    shape. Raises Unusable.
    """
    tools = tools_of(row, turns)
    results = episodes.tells_results(turns)
    fenced = (results or row.get("instance_id")) and episodes.is_fenced(turns)
    with_tools = has_reply(turns_of(turns)) and (bool(tools) or declares_tools(row, turns))
    if not fenced and not with_tools and not episodes.is_episode(turns):
        if results:
            raise Unusable("an agent's chat whose actions are in no form that is known")
        return None
    require_good(row)
    require_success(row)
    return _of_turns(row, turns, tools, asked, name)


def _of_turns(row: Row, turns: Any, tools: tuple[Any, ...], asked: str, name: str) -> Fields:
    told = told_of(row, turns, tools)
    found = episodes.of_turns(turns, tools, told)
    shape = f"{name}, below what its system says" if told else name
    return _acted(shape, asked, found.task, found, tools)


def said_and_asked(asked: Any, replied: Any) -> list[Mapping[str, Any]]:
    """A conversation whose two parts stand apart, each as turns or as a text; [] for others."""
    turns: list[Mapping[str, Any]] = []
    for held, role in ((asked, "user"), (replied, "assistant")):
        text = isinstance(held, str) and not is_chat(held)
        turns += [{"role": role, "content": held}] if text else turns_of(held)
    return turns


def has_reply(turns: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an assistant has said anything."""
    return any(map(episodes.replies, turns))


def trajectory(row: Row) -> Fields | None:
    """SWE-agent's and OpenHands' trajectories: turns of a chat, or rows of action and result."""
    steps = turns_of(row["trajectory"])
    by_actions = any("action" in step for step in steps)
    if not by_actions and not is_chat(steps):
        return None
    require_success(row)
    tools = tools_of(row, steps)
    if by_actions:
        found = episodes.of_steps(steps)
        asked = next((c for c in (*PROBLEMS, *_TASKS) if row.get(c)), "")
        return _acted("SWE-agent", asked, row.get(asked), found, tools)
    return _of_turns(row, steps, tools, "trajectory", "agent trajectory")


def chat_in(column: str) -> Shape:
    """An agent's chat in a column."""
    name = "messages with tool calls"
    return Shape(name, (column,), lambda row: of_chat(row, row[column], column, name))


def glaive(row: Row) -> list[Mapping[str, Any]]:
    """The turns of Glaive's chats, which are one text; [] for others."""
    text = row["chat"]
    if not isinstance(text, str) or not _GLAIVE.match(text):
        return []
    _, *parts = _GLAIVE.split(text)
    said = [part.replace("<|endoftext|>", "").strip() for part in parts[1::2]]
    turns = zip(parts[::2], said, strict=True)
    return [{"role": _GLAIVES[who], "content": text} for who, text in turns]


def calls(row: Row) -> Fields | None:
    """xLAM's: a request, the functions and the calls of these."""
    tools = tools_of(row)
    if not tools and not episodes.are_calls(row["answers"]):
        return None
    found = episodes.of_calls(row["query"], row["answers"], tools)
    return _acted("function calls", "query", row["query"], found, tools)


def bfcl(row: Row) -> Fields | None:
    """BFCL's: turns of a user, functions, and what each argument of the calls may be."""
    turns = [turn for part in as_list(row["question"]) or () for turn in turns_of(part)]
    tools = tools_of({"tools": row["function"]})
    if not turns or not tools:
        return None
    if not isinstance(truth := as_list(row.get("ground_truth")), list):
        raise Unusable("functions without a call")
    made = [_first_of(call) for call in truth]
    asked = [turn["content"] for turn in turns if isinstance(turn.get("content"), str)]
    found = episodes.of_calls("\n\n".join(asked), made, tools)
    return _acted("BFCL", "question", found.task, found, tools)


def _first_of(call: Any) -> dict[str, Any]:
    """A call by what its arguments may be, a list each; '' says that one may be left out."""
    if not isinstance(call, Mapping) or len(call) != 1:
        raise Unusable("calls of several turns")
    ((name, given),) = call.items()
    listed = {key: as_list(held) for key, held in given.items()}
    return {"name": name, "arguments": {k: v[0] for k, v in listed.items() if v and v[0] != ""}}


def tool_output(row: Row) -> Fields | None:
    """ToolRL's: a chat up to its last reply, and that reply with its thought and calls."""
    told = (row["instruction"], row.get("input"))  # what may be called, and what is asked
    asked = "\n\n".join(text for text in told if isinstance(text, str) and text.strip())
    turns = said_and_asked(asked, row["output"])
    column = "input" if row.get("input") else "instruction"
    found = of_chat(row, turns, column, "tool calls in text")
    return _fulfilled(found) if found and episodes.is_episode(turns) else found


def tool_truth(row: Row) -> Fields | None:
    """ToolRL's in verl's form: a chat that asks, and the right reply with its thought and calls."""
    judged = row["reward_model"]
    truth = judged.get("ground_truth") if isinstance(judged, Mapping) else None
    turns = said_and_asked(row["prompt"], truth) if isinstance(truth, str) else []
    if not episodes.is_episode(turns[-1:]):
        return None
    found = of_chat(row, turns, "prompt", "ToolRL")
    return _fulfilled(found) if found else None


def _fulfilled(found: Fields) -> Fields:
    """What a single reply does: each of its calls a step, of which no results are known."""
    return replace(found, steps=[*found.steps[0].split("\n"), DONE], observations=())


def tau(row: Row) -> Fields | None:
    """tau-bench's tasks: what a user wants, and the calls that bring it about."""
    scenario, criteria = row.get("user_scenario"), row.get("evaluation_criteria")
    if isinstance(scenario, Mapping) and isinstance(criteria, Mapping):
        told = scenario.get("instructions")
        if isinstance(told, Mapping):
            told = "\n".join(text for text in told.values() if isinstance(text, str) and text)
        made, asked = criteria.get("actions"), "user_scenario"
    elif isinstance(row.get("instruction"), str) and episodes.are_calls(row.get("actions")):
        told, made, asked = row["instruction"], row["actions"], "instruction"
    else:
        return None
    found = episodes.of_calls(told, made)
    return _acted("tau-bench", asked, told, found)


def _acted(
    shape: str, asked: str, task: Any, found: episodes.Episode, tools: tuple[Any, ...] = ()
) -> Fields:
    ends = found.actions and found.actions[-1] == DONE
    answer = "\n".join(found.actions[:-1]) if ends else None
    return Fields(
        shape,
        asked,
        task,
        (),
        list(found.actions),
        answer,
        list(found.thoughts),
        found.observations,
        tools,
    )
