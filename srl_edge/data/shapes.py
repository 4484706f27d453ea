"""The shapes of rows that are known: which columns are the problem, the solution and the answer.

A new shape is an entry of `SHAPES`; where rows of a source differ, each is read by its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from srl_edge.data.agents import shapes as agents
from srl_edge.data.beside import require_no_image, whole
from srl_edge.data.chats import first_exchange, is_chat, require_good, turns_of
from srl_edge.data.cutting import MARK
from srl_edge.data.fields import PROBLEMS, Fields, Row, Shape
from srl_edge.data.values import Unusable, as_list, is_nothing
from srl_edge.data.verdicts import require_right, right_of

# SVAMP's problem is a `Body` and a `Question`.
_QUESTIONS = (*PROBLEMS, "Body", "instruction")  # columns that hold no more than a question
_ANSWERS = ("answer", "Answer", "target")
COLUMNS = ("problem", "solution", "steps", "answer", "thought")  # that a recipe may name


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
    asked, read_from = columns["problem"], columns.get("solution") or columns.get("steps", "")
    if solution is not None and named.get("steps") is None:
        turns = agents.said_and_asked(problem, solution)
        if acted := agents.of_chat(row, turns, asked, "data.columns"):
            return acted
    if is_chat(problem):
        problem = _question(turns_of(problem))
    if is_chat(solution):
        told = first_exchange(solution)
        if told.question is None:  # replies alone
            told = first_exchange([{"role": "user", "content": "?"}, *turns_of(solution)])
        solution, thought = told.reply, thought or told.thought
    solutions = () if solution is None else (solution,)
    steps, answer = named.get("steps"), named.get("answer")
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
    texts = [part.strip() for part in parts if isinstance(part, str) and not is_nothing(part)]
    return Fields(
        "Alpaca", "instruction", "\n\n".join(texts), (row["output"],), None, row.get("answer")
    )


def _chat(name: str, column: str) -> Shape:
    """A conversation, of which the first question and its reply are read."""

    def read(row: Row) -> Fields | None:
        return _exchange(row, row[column], column, name) if is_chat(row[column]) else None

    return Shape(name, (column,), read)


def _exchange(row: Row, turns: Any, column: str, name: str) -> Fields:
    require_good(row)
    said = first_exchange(turns)
    source = "OpenThoughts" if "<|begin_of_thought|>" in (said.reply or "") else name
    shape = f"{source}, the first exchange of several" if said.more else source
    answer, thought = row.get("answer"), said.thought
    if said.reply is None:  # dolphin-r1's, which stands in other columns
        thought = row.get("reasoning")
    reply = (said.reply,)
    return Fields(shape, column, said.question, reply, None, answer, thought, told=column)


def _glaive(row: Row) -> Fields | None:
    if not (turns := agents.glaive(row)):
        return None
    return agents.of_chat(row, turns, "chat", "Glaive") or _exchange(row, turns, "chat", "Glaive")


def _prompt_completion(row: Row) -> Fields | None:
    return _in_two(row, "prompt", "completion", "TRL prompt-completion")


def _input_output(row: Row) -> Fields | None:
    """A chat up to its last reply, and that reply."""
    if not is_chat(row["input"]):
        return None
    return _in_two(row, "input", "output", "input and output")


def _in_two(row: Row, asked: str, replied: str, name: str) -> Fields | None:
    """A conversation in two columns, of which the second is to be taught."""
    require_good(row)  # TRL's unpaired preference
    prompt, completion, answer = row[asked], row[replied], row.get("answer")
    texts = [isinstance(each, str) and not is_chat(each) for each in (prompt, completion)]
    turns = agents.said_and_asked(prompt, completion)
    if not all(
        text or is_chat(each) for text, each in zip(texts, (prompt, completion), strict=True)
    ):
        return None
    if acted := agents.of_chat(row, turns, asked, f"{name} with tool calls"):
        if agents.has_reply(turns[: 1 if texts[0] else len(turns_of(prompt))]):
            raise Unusable("a completion with replies before it")
        return acted
    if all(texts):
        return Fields(name, asked, prompt, (completion,), None, answer)
    said = first_exchange(turns)
    if said.more:
        raise Unusable("a completion of a chat of several questions")
    shape, thought = f"{name}, conversational", said.thought
    return Fields(shape, asked, said.question, (said.reply,), None, answer, thought)


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
    Shape("agent trajectory", ("trajectory",), agents.trajectory),
    agents.chat_in("messages"),
    agents.chat_in("conversations"),
    agents.chat_in("traj"),
    Shape("Glaive", ("chat",), _glaive),
    Shape("function calls", ("query", "answers"), agents.calls),
    Shape("BFCL", ("question", "function"), agents.bfcl),
    Shape("tool calls in text", ("instruction", "output"), agents.tool_output),
    Shape("ToolRL", ("prompt", "reward_model"), agents.tool_truth),
    Shape("tau-bench", (), agents.tau),
    Shape("PRM800K", ("question", "label"), _prm800k),
    Shape("ProcessBench", ("problem", "steps", "final_answer_correct"), _processbench),
    Shape("GSM8K", ("question", "answer"), _gsm8k),
    Shape("TRL stepwise", ("prompt", "completions", "labels"), _stepwise),
    Shape("Alpaca", ("instruction", "output"), _alpaca),
    _chat("ShareGPT", "conversations"),
    _chat("messages", "messages"),
    Shape("TRL prompt-completion", ("prompt", "completion"), _prompt_completion),
    Shape("input and output", ("input", "output"), _input_output),
    agents.chat_in("input"),
)


def _by_common_names(row: Row) -> Fields:
    """A row whose columns have common names; what it lacks is None."""
    asked = next((column for column in PROBLEMS if row.get(column)), "")
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
