"""The shapes of rows that are known: which columns are the problem, the solution and the answer.

A new shape is an entry of `SHAPES`; where rows of a source differ, each is read by its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from srl_edge.data.agents import episodes
from srl_edge.data.agents.declared import tools_of
from srl_edge.data.beside import require_no_image, whole
from srl_edge.data.chats import first_exchange, is_chat, require_good, turns_of
from srl_edge.data.cutting import MARK
from srl_edge.data.values import Unusable, as_list
from srl_edge.data.verdicts import require_right, right_of
from srl_edge.method.prompt_form import DONE

Row = Mapping[str, Any]

# Of rows of no source that is known by name; SVAMP's problem is a `Body` and a `Question`.
_PROBLEMS = ("problem", "question", "question_concat")
_QUESTIONS = (*_PROBLEMS, "Body", "instruction")  # columns that hold no more than a question
_ANSWERS = ("answer", "Answer", "target")
_TASKS = ("problem_statement", "task", "issue")
COLUMNS = ("problem", "solution", "steps", "answer", "thought")  # that a recipe may name


@dataclass(frozen=True, slots=True)
class Fields:
    """A row's values by what they are, as they stand in it.

    shape: the name of its shape; '' where none is known. asked: the column of its problem.
    solutions: in the order in which they are tried. thought: the first solution's. observations:
    what came of steps that are actions; None where they are none. tools: what could be called.
    """

    shape: str
    asked: str
    problem: Any
    solutions: tuple[Any, ...] = ()
    steps: Any = None
    answer: Any = None
    thought: Any = None
    observations: tuple[str, ...] | None = None
    tools: tuple[Any, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape by its name, the columns that its rows have, and what reads one (None: it is not)."""

    name: str
    has: tuple[str, ...]
    read: Callable[[Row], Fields | None]


def fields(row: Row, columns: Mapping[str, str] | None = None) -> Fields:
    """The values of a row: from the columns that are named, else by the first shape that fits.

    A question is read with what it needs beside its column. columns: the row's columns by the
    names in `COLUMNS`. Raises Unusable.
    """
    found = _named(row, columns) if columns else _of_a_shape(row)
    require_right(row, found.told)
    if found.solutions:
        first, *others = found.solutions
        found = replace(found, solutions=(right_of(row, first), *others))
    acted = found.observations is not None or row.get("observations") or row.get("world")
    if acted or not isinstance(found.problem, str):
        return found
    if columns or found.asked in _QUESTIONS:
        solutions = (*found.solutions, found.steps, found.answer)
        problem, beside = whole(found.problem, row, columns, found.asked, solutions)
        shape = ", with ".join([found.shape, *([" and ".join(beside)] if beside else [])])
        return replace(found, shape=shape, problem=problem)
    require_no_image(row)
    return found


def _named(row: Row, columns: Mapping[str, str]) -> Fields:
    named = {key: row.get(column) for key, column in columns.items()}
    problem, solution, thought = (named.get(key) for key in ("problem", "solution", "thought"))
    if is_chat(problem):
        problem = _question(turns_of(problem))
    if is_chat(solution):
        told = first_exchange(solution)
        if told.question is None:  # replies alone
            told = first_exchange([{"role": "user", "content": "?"}, *turns_of(solution)])
        solution, thought = told.reply, thought or told.thought
    solutions = () if solution is None else (solution,)
    steps, answer = named.get("steps"), named.get("answer")
    asked, read_from = columns["problem"], columns.get("solution") or columns.get("steps", "")
    return Fields("data.columns", asked, problem, solutions, steps, answer, thought, told=read_from)


def _question(turns: Sequence[Row]) -> str | None:
    """What is asked in a chat that ends in a question, or by its first; raises Unusable."""
    said = first_exchange(turns)
    if said.more and first_exchange(turns[-1:]).question:
        raise Unusable("a question with turns before it")
    return said.question


def _of_a_shape(row: Row) -> Fields:
    for shape in SHAPES:
        if all(row.get(column) is not None for column in shape.has) and (found := shape.read(row)):
            return found
    return _by_common_names(row)


def _of(
    name: str,
    problem: str,
    *solutions: str,
    answer: str | None = None,
    thought: str | None = None,
    marks: tuple[str, ...] = (),
) -> Shape:
    """A shape whose columns hold what they say; marks: further columns that tell it from others."""

    def read(row: Row) -> Fields:
        texts = tuple(row.get(column) for column in solutions)
        steps, said, thought_of = (
            row.get(column) if column else None for column in ("steps", answer, thought)
        )
        told = solutions[0]
        return Fields(name, problem, row[problem], texts, steps, said, thought_of, told=told)

    return Shape(name, (problem, solutions[0], *marks), read)


def _gsm8k(row: Row) -> Fields | None:
    if not isinstance(row["answer"], str) or MARK not in row["answer"] or row.get("solution"):
        return None
    return Fields("GSM8K", "question", row["question"], (row["answer"],))


def _prm800k(row: Row) -> Fields | None:
    """The steps that were chosen, of solutions that came to the right answer."""
    question, label = row["question"], row["label"]
    if not isinstance(question, Mapping) or not isinstance(label, Mapping):
        return None
    if (end := label.get("finish_reason")) != "solution":
        raise Unusable(f"a solution that did not come to its end ({end})")
    try:
        steps = [_chosen_step(step) for step in label["steps"]]
    except (AttributeError, IndexError, KeyError, TypeError):
        raise Unusable("steps of PRM800K of which none is chosen") from None
    answer = question.get("ground_truth_answer")
    return Fields("PRM800K", "question", question.get("problem"), (), steps, answer)


def _chosen_step(step: Mapping[str, Any]) -> str:
    chosen, by_hand = step.get("chosen_completion"), step.get("human_completion")
    said: Any = by_hand if chosen is None else step["completions"][chosen]
    text: str = said if isinstance(said, str) else said["text"]
    return text.partition("\n\n# Answer")[0]  # the last one ends with a heading and the answer


def _stepwise(row: Row) -> Fields | None:
    """TRL's stepwise supervision, of solutions whose steps are all right."""
    steps, labels = as_list(row["completions"]), as_list(row["labels"])
    if steps is None or labels is None:
        return None
    if not all(labels):
        raise Unusable("a solution with a step that is labelled wrong")
    return Fields("TRL stepwise", "prompt", row["prompt"], (), steps, row.get("answer"))


def _processbench(row: Row) -> Fields:
    """Steps of models, of which the label names the first wrong one, and is -1 for none."""
    if not row["final_answer_correct"]:
        raise Unusable("a solution that ends in a wrong answer")
    if row.get("label", -1) != -1:
        raise Unusable("a solution with a step that is labelled wrong")
    return Fields("ProcessBench", "problem", row["problem"], (), row["steps"], row.get("answer"))


def _alpaca(row: Row) -> Fields | None:
    require_good(row, ("kto_tag",))  # its label may be anything
    parts = [row["instruction"], row.get("input")]
    texts = [part.strip() for part in parts if isinstance(part, str) and part.strip()]
    return Fields(
        "Alpaca", "instruction", "\n\n".join(texts), (row["output"],), None, row.get("answer")
    )


def _chat(name: str, column: str) -> Shape:
    """A conversation, of which the first question and its reply are read."""

    def read(row: Row) -> Fields | None:
        if not is_chat(row[column]):
            return None
        require_good(row)
        said = first_exchange(row[column])
        source = "OpenThoughts" if "<|begin_of_thought|>" in (said.reply or "") else name
        shape = f"{source}, the first exchange of several" if said.more else source
        answer, thought = row.get("answer"), said.thought
        reply = (said.reply,)
        return Fields(shape, column, said.question, reply, None, answer, thought, told=column)

    return Shape(name, (column,), read)


def _prompt_completion(row: Row) -> Fields | None:
    require_good(row)  # TRL's unpaired preference
    prompt, completion, answer = row["prompt"], row["completion"], row.get("answer")
    if isinstance(prompt, str) and isinstance(completion, str) and not is_chat(prompt):
        return Fields("TRL prompt-completion", "prompt", prompt, (completion,), None, answer)
    turns = [as_list(prompt), as_list(completion)]
    if None in turns:
        return None
    said = first_exchange([turn for part in turns for turn in part or ()])
    if said.more:
        raise Unusable("a completion of a chat of several questions")
    name, thought = "TRL prompt-completion, conversational", said.thought
    return Fields(name, "prompt", said.question, (said.reply,), None, answer, thought)


def _trajectory(row: Row) -> Fields | None:
    """SWE-agent's and OpenHands' trajectories: turns of a chat, or rows of action and result."""
    steps = turns_of(row["trajectory"])
    by_actions = any("action" in step for step in steps)
    if not by_actions and not is_chat(steps):
        return None
    episodes.require_success(row)
    tools = tools_of(row, steps)
    if by_actions:
        found = episodes.of_steps(steps)
        asked = next((c for c in (*_PROBLEMS, *_TASKS) if row.get(c)), "")
        return _acted("SWE-agent", asked, row.get(asked), found, tools)
    found = episodes.of_turns(steps, tools, episodes.told_of_tools(row, steps))
    return _acted("agent trajectory", "trajectory", found.task, found, tools)


def _agent_chat(column: str) -> Shape:
    def read(row: Row) -> Fields | None:
        turns = row[column]
        results = episodes.tells_results(turns)
        told = episodes.told_of_tools(row, turns)
        fenced = (results or row.get("instance_id")) and episodes.is_fenced(turns)
        if not fenced and not told and not episodes.is_episode(turns):
            if results:
                raise Unusable("an agent's chat whose actions are in no form that is known")
            return None
        require_good(row)
        episodes.require_success(row)
        tools = tools_of(row, turns)
        found = episodes.of_turns(turns, tools, told)
        return _acted("messages with tool calls", column, found.task, found, tools)

    return Shape("messages with tool calls", (column,), read)


def _calls(row: Row) -> Fields | None:
    tools = tools_of(row)
    if not tools and not episodes.are_calls(row["answers"]):
        return None
    found = episodes.of_calls(row["query"], row["answers"], tools)
    return _acted("function calls", "query", row["query"], found, tools)


def _tool_output(row: Row) -> Fields | None:
    """ToolRL's: a chat up to its last reply, and that reply with its thought and calls."""
    told = (row["instruction"], row.get("input"))  # what may be called, and what is asked
    asked, reply = "\n\n".join(text for text in told if isinstance(text, str)), row["output"]
    if not episodes.is_episode([{"role": "assistant", "content": reply}]):
        return None
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": reply}]
    found = episodes.of_turns(turns)
    ended = replace(found, actions=(*found.actions[0].split("\n"), DONE), observations=())
    return _acted(
        "tool calls in text", "input" if row.get("input") else "instruction", asked, ended
    )


def _tau(row: Row) -> Fields | None:
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


# The first that fits is taken, so those with more columns come before those with fewer.
SHAPES = (
    _of(
        "s1K-1.1",
        "question",
        "deepseek_attempt",
        "solution",
        thought="deepseek_thinking_trajectory",
    ),
    _of(
        "s1K",
        "question",
        "attempt",
        "solution",
        thought="thinking_trajectories",
        marks=("thinking_trajectories",),
    ),
    _of("OpenMathReasoning", "problem", "generated_solution", answer="expected_answer"),
    _of(
        "OpenThoughts",
        "problem",
        "deepseek_solution",
        "ground_truth_solution",
        thought="deepseek_reasoning",
    ),
    _of("OpenR1", "problem", "generations", "solution", answer="answer"),
    _of("NuminaMath-CoT", "problem", "solution", answer="answer", marks=("source", "messages")),
    _of("MATH", "problem", "solution", answer="answer", marks=("level",)),
    Shape("agent trajectory", ("trajectory",), _trajectory),
    _agent_chat("messages"),
    _agent_chat("conversations"),
    Shape("function calls", ("query", "answers"), _calls),
    Shape("tool calls in text", ("instruction", "output"), _tool_output),
    Shape("tau-bench", (), _tau),
    Shape("PRM800K", ("question", "label"), _prm800k),
    Shape("ProcessBench", ("problem", "steps", "final_answer_correct"), _processbench),
    Shape("GSM8K", ("question", "answer"), _gsm8k),
    Shape("TRL stepwise", ("prompt", "completions", "labels"), _stepwise),
    Shape("Alpaca", ("instruction", "output"), _alpaca),
    _chat("ShareGPT", "conversations"),
    _chat("messages", "messages"),
    Shape("TRL prompt-completion", ("prompt", "completion"), _prompt_completion),
)


def _by_common_names(row: Row) -> Fields:
    """A row whose columns have common names; what it lacks is None."""
    asked = next((column for column in _PROBLEMS if row.get(column)), "")
    problem = row[asked] if asked else None
    if not asked and isinstance(row.get("Body"), str) and isinstance(row.get("Question"), str):
        asked, body = "Body", row["Body"].strip()
        problem = f"{body}{'' if body.endswith('.') else '.'} {row['Question'].strip()}"
    answered = next((column for column in _ANSWERS if row.get(column) is not None), "")
    thought = row.get("thoughts") or row.get("thought")
    there = [column for column in ("solution", "steps") if row.get(column)]
    shape = ", ".join([asked, *there, *([answered] if answered else [])]) if asked else ""
    answer = row[answered] if answered else None
    told = there[0] if there else answered
    texts, steps = (row.get("solution"),), row.get("steps")
    return Fields(shape, asked, problem, texts, steps, answer, thought, told=told)
