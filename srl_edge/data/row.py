"""One row of somebody's data: its problem, its steps and its answer; or why it cannot be used."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from srl_edge.data.agents.declared import tools_of
from srl_edge.data.agents.worlds import recorded, require_bubblewrap
from srl_edge.data.beside import as_choice, is_place
from srl_edge.data.cutting import AUTO, MARK, cut_solution, stated
from srl_edge.data.fields import Fields
from srl_edge.data.shapes import fields
from srl_edge.data.thoughts import joined, of_solution, plain_thought, split_thoughts, unwrapped
from srl_edge.data.values import Unusable, answer_of, as_list, clean, is_text, tidy
from srl_edge.method.answers.expected import bare
from srl_edge.method.answers.reading import is_value
from srl_edge.method.answers.texts import as_step
from srl_edge.method.prompt_form import DONE
from srl_edge.method.verifiers import same_value

_IDS = ("id", "ID", "unique_id", "uuid")


@dataclass(frozen=True, slots=True)
class Row:
    """What a row says; `steps` may be none, and `answer` is None where it gives none.

    taught: the answer as the row has it, where `answer` is a choice's letter with its text.
    thoughts: what was thought before each step, '' for nothing; () where no step has one. shape:
    the row's; style: how its solution was cut, '' where steps were given.
    """

    id: str
    problem: str
    steps: tuple[str, ...]
    answer: str | None
    thoughts: tuple[str, ...] = ()
    shape: str = ""
    style: str = ""
    observations: tuple[str, ...] = ()
    tools: tuple[Any, ...] = ()
    world: Mapping[str, Any] | None = None
    taught: str | None = None


def read(
    row: Mapping[str, Any],
    name: str,
    styles: Sequence[str] = AUTO,
    ours: bool = False,
    columns: Mapping[str, str] | None = None,
) -> Row:
    """A row of any known shape, or with its columns named; raises Unusable.

    name: its id where it has none. styles: how a solution is cut, by the first that gives two
    steps. ours: it was read before, so that its answer is known to be the one its steps end in.
    """
    found = fields(row, columns)
    problem, answer = _problem(found), found.answer
    solutions = solutions_of(found)
    reference: str | None = None
    style = ""
    if found.observations is not None:
        steps = [clean(step) for step in found.steps]
        thoughts = [plain_thought(clean(thought)) for thought in found.thought]
        said = None
    elif found.steps:
        steps, thoughts, said = _given_steps(found.steps, found.thought)
    else:
        if not solutions and _is_solution(answer, styles):
            solutions, answer = [answer], None
        steps, thoughts, said, style, reference = _best(solutions, styles, found.thought)
    observations, world = _acted(row, found, steps, ours)
    said = None if said is None else bare(said)
    known = said if said is not None and said == answer else answer_of(answer)
    known = reference if known is None else known
    if known is None and world is not None and steps and steps[-1] == DONE:
        known = "\n".join(steps[:-1])
    taught = said if known is None else known
    written = not isinstance(found.answer, int | float | Decimal)
    if taught is not None and is_place(taught, problem, row, written, said):
        raise Unusable("an answer that is the place of a choice")
    right = None if taught is None else as_choice(taught, problem, row)
    if not ours and known and said is not None and not same_value(said, right or known):
        raise Unusable("a solution that ends in another answer than the row's")
    return Row(
        _id(row, name),
        problem,
        tuple(steps),
        right,
        tuple(thoughts) if any(thoughts) else (),
        found.shape,
        style,
        observations,
        _tools(row, found),
        world,
        taught,
    )


def _acted(
    row: Mapping[str, Any], found: Fields, steps: Sequence[str], ours: bool
) -> tuple[tuple[str, ...], Mapping[str, Any] | None]:
    """What came of the steps that are actions, and their world, which they are taken in."""
    if found.observations is not None:
        return tuple(clean(text) for text in found.observations), None
    if not found.steps:  # a solution is no actions, whatever columns stand beside it
        return (), None
    world, said = _world(row.get("world")), as_list(row.get("observations"))
    if world is not None and not (ours and said is not None):
        if world["kind"] == "shell":  # the steps are somebody else's, whosever the world is
            require_bubblewrap()
        return recorded(world, steps)
    if said is None:
        return (), None
    if len(said) != len(steps) or not all(isinstance(each, str) for each in said):
        raise Unusable("steps without an observation each")
    if not all(map(is_text, said)):
        raise Unusable("half of a character (a lone surrogate)")
    return tuple(said), world


def _world(value: Any) -> Mapping[str, Any] | None:
    """A record of a world, also as a cell of CSV has it; None for what another column may be."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
        return None
    if not _is_json(value):
        raise Unusable("a world that is no JSON")
    return value


def _tools(row: Mapping[str, Any], found: Fields) -> tuple[Any, ...]:
    """What could be called, also where nothing is."""
    tools = found.tools or tools_of(row)
    if not _is_json(tools):
        raise Unusable("tools that are no JSON")
    return tools


def _is_json(value: Any) -> bool:
    """Whether a value can be written, which not all is that a table may hold."""
    try:
        return is_text(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):
        return False


def solutions_of(found: Fields) -> list[str]:
    """The texts of a row's solutions; of several in a list, the first."""
    each = (held[0] if isinstance(held, list) and held else held for held in found.solutions)
    return [text for text in each if isinstance(text, str)]


def _is_solution(answer: Any, styles: Sequence[str]) -> bool:
    """Whether what is called an answer is a worked solution."""
    if not isinstance(answer, str) or is_value(answer):
        return False
    return MARK in answer or len(cut_solution(answer, styles)[0]) > 1


def _problem(found: Fields) -> str:
    if not isinstance(found.problem, str) or not found.problem.strip():
        raise Unusable("no problem text")
    return clean(found.problem)


def _id(row: Mapping[str, Any], name: str) -> str:
    found = next((row[key] for key in _IDS if row.get(key) is not None), name)
    try:
        return clean(str(found)) if isinstance(found, str | int | float) else name
    except (Unusable, ValueError):  # a character of no tokenizer, or thousands of digits
        return name


def _given_steps(steps: Any, thought: Any) -> tuple[list[str], list[str], str | None]:
    """Steps that are there one by one, the thought before each, and the answer that they end in.

    The thought of none goes on.
    """
    given = as_list(steps)
    if given is None or not all(isinstance(s, str | int | float) for s in given):
        raise Unusable("steps are no list of texts")
    of_steps = as_list(thought) or ()
    apart = [_thought(t) for t in of_steps] if len(of_steps) == len(given) else []
    waiting = [] if apart else [_thought(thought)]
    said: str | None = None
    kept: list[str] = []
    thoughts: list[str] = []
    for number, step in enumerate(given):
        text, own = split_thoughts(tidy(step if isinstance(step, str) else answer_of(step) or ""))
        waiting += [*apart[number : number + 1], *(said for _, said in own)]
        text, _, answer = unwrapped(text)
        if answer or text.strip():
            said = stated(answer or text)
        if text.strip():
            kept.append(as_step(text))
            thoughts.append(joined(waiting))
            waiting = []
    return kept, thoughts, said


def _best(
    solutions: list[str], styles: Sequence[str], thought: Any
) -> tuple[list[str], list[str], str | None, str, str | None]:
    """The steps of the first solution that has two, else of the first, and the thought before each;
    what it states, how it was cut, and what another solution states or is.
    """
    cut = []
    for number, solution in enumerate(solutions):
        text, found = of_solution(clean(solution))
        text, places, answer = unwrapped(text, [place for place, _ in found])
        steps, style, numbers = cut_solution(text, styles, places)
        before = [[] for _ in steps]  # type: list[list[str]]
        if steps and number == 0:
            before[0].append(_thought(thought))
        for at, (_, said) in zip(numbers, found, strict=True):
            if steps:
                before[at].append(said)
        cut.append((steps, [joined(parts) for parts in before], stated(answer or text), style))
    if not cut:
        return [], [], None, "", None
    chosen = next((at for at, (steps, *_) in enumerate(cut) if len(steps) > 1), 0)
    others = [at for at in range(len(cut)) if at != chosen]
    short = (solutions[at].strip() if is_value(solutions[at]) else cut[at][2] for at in others)
    return *cut[chosen], next((value for value in short if value), None)


def _thought(value: Any) -> str:
    """A thought of its own column, in one piece or in several."""
    parts = as_list(value) or [value]
    return joined([plain_thought(clean(part)) for part in parts if isinstance(part, str)])
