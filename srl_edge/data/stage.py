"""The data stage: expert trajectories in, three splits and a report of what was dropped out."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from srl_edge import owned
from srl_edge.data import quality, splits, trajectories
from srl_edge.data.made import made
from srl_edge.data.reading import Columns, choice_for, columns_for, read_tables
from srl_edge.data.sources import GENERATED, Table, open_source, part_of
from srl_edge.data.splits import SPLITS
from srl_edge.data.trajectories import ParseReport
from srl_edge.errors import InputError
from srl_edge.files import read_json, scratch_folder
from srl_edge.method import actions, calls
from srl_edge.method.headroom import class_of
from srl_edge.method.prompt_form import DONE
from srl_edge.method.prompts import expert_ids, prompt_ids, step_prompts, whole_prompts
from srl_edge.method.types import Trajectory
from srl_edge.method.verifiers import kind_of
from srl_edge.models.chat_template import of_tokenizer
from srl_edge.models.tokenizer import tokenizer_if_there
from srl_edge.recipe import Recipe
from srl_edge.terminal import progress

FEW = 20  # held-out problems, of which one is worth five points
Splits = dict[str, list[Trajectory]]


# Problems -> how often a model solves each of them.
Solved = Callable[[Sequence[Trajectory]], list[int]]


def prepare(recipe: Recipe, run: Path, solved: Solved | None = None) -> Path:
    """Write `run/data/{train,validation,test}.jsonl` and `report.json`; return `run/data`.

    Splits share no problem; gsm_symbolic's share no template. solved: is asked where the recipe
    keeps training problems of some difficulty.
    """
    folder, report = run / "data", ParseReport()
    owned.require_own(folder)
    if recipe.data.source in GENERATED:
        found, details = made(recipe, report)
    else:
        found, details = _from_source(recipe, report)
    judged: list[quality.Judged] = []
    if recipe.data.source not in GENERATED:
        judged, details["quality"] = quality.filtered(found, recipe.data.quality, report)
    if recipe.data.difficulty.keep and solved:
        found["train"], details["difficulty"] = _of_difficulty(
            found["train"], recipe, solved, report
        )
    _require_all(found, recipe, report)
    kept = [t for split in found.values() for t in split]
    kinds = Counter("none" if t.answer is None else kind_of(t.answer) for t in kept)
    details |= {
        "answers": dict(kinds.most_common()),
        "thoughts": sum(bool(t.thoughts) for t in kept),
        "acted": sum(bool(t.observations) or _calls(t) for t in kept),
        "called": sum(map(_calls, kept)),
        "unread": _unread(kept, recipe),
    }
    details["splits"] = {
        name: {"problems": len(found[name]), "steps": sum(len(t.steps) for t in found[name])}
        for name in SPLITS
    }
    summary = report.as_dict() | {"source": recipe.data.source} | details
    with scratch_folder(run, "data") as scratch:
        for name in SPLITS:
            trajectories.write_jsonl(scratch / f"{name}.jsonl", found[name])
        text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
        (scratch / "report.json").write_text(text, encoding="utf-8")
        (scratch / "quality.jsonl").write_text(quality.write(judged), encoding="utf-8")
        for sentence in _in_words(summary, kept, recipe):
            progress.say(f"data: {sentence}")
        return owned.publish(scratch, folder)


def _calls(t: Trajectory) -> bool:
    """Whether a function is called in a trajectory, as JSON where nothing tells what came of it."""
    begins = ("{", "[") if not t.observations else ""
    return any(step.startswith(begins) and calls.parsed(step) is not None for step in t.steps)


def _unread(kept: Sequence[Trajectory], recipe: Recipe) -> int:
    """How many steps of experts are no actions as the recipe reads them."""
    kind = recipe.prompt.form.action
    return sum(actions.kind_of(step, kind) != kind for t in kept for step in t.steps)


def _of_difficulty(
    split: Sequence[Trajectory], recipe: Recipe, solved: Solved, report: ParseReport
) -> tuple[list[Trajectory], dict[str, int]]:
    """Those that are solved as often as the recipe wants, and how many are how often."""
    wanted, k = recipe.data.difficulty.keep, recipe.data.difficulty.k
    judged = [t for t in split if t.answer is not None]
    splits.leave_out(
        (t for t in split if t.answer is None), "no answer to tell how hard it is", report
    )
    classes = [class_of(right, k) for right in solved(judged)]
    for name in ("never", "sometimes", "always"):
        if name not in wanted:
            others = [t for t, its in zip(judged, classes, strict=True) if its == name]
            splits.leave_out(others, f"a problem that is {name} solved", report)
    kept = [t for t, its in zip(judged, classes, strict=True) if its in wanted]
    return kept, dict(Counter(classes))


def _require_all(found: Splits, recipe: Recipe, report: ParseReport) -> None:
    """Raise InputError where a split is empty."""
    data, source = recipe.data, recipe.data.source
    if not report.kept:
        raise InputError(
            f"{source}: none of {report.read} rows can be used; dropped: {report.reasons}."
        )
    asked = (data.validation_problems, data.test_problems)
    drawn = (len(found["validation"]), len(found["test"]))
    held = [number or len_ for number, len_ in zip(asked, drawn, strict=True)]
    for name in SPLITS:
        if not found[name]:
            raise InputError(
                f"{source}: the {name} split is empty ({report.kept} of {report.read} rows were "
                f"kept; dropped: {report.reasons}); give more rows, or lower "
                f"data.validation_problems and data.test_problems ({held[0]} and {held[1]})."
            )


def _in_words(summary: dict[str, Any], kept: Sequence[Trajectory], recipe: Recipe) -> list[str]:
    """What was read, kept and dropped, how, how answers are compared, and the longest step."""
    dropped = _counted(summary["dropped"], "{count} for {what}")
    longest = max((step for t in kept for step in t.steps), key=len)
    tokenizer = tokenizer_if_there(recipe.model.name)
    tokens = len(tokenizer.encode(longest, add_special_tokens=False)) if tokenizer else None
    size = f"{len(longest)} characters" if tokens is None else f"{tokens} tokens"
    said = [
        f"{summary['read']} rows read, {summary['kept']} kept, {sum(summary['dropped'].values())} "
        f"dropped{f' ({dropped})' if dropped else ''}; answers: {_counted(summary['answers'])}; "
        f"the longest step has {size}"
    ]
    if "style" in summary:
        styles = _counted(summary["style"]["used"])
        thoughts = f"; {summary['thoughts']} with thoughts" if summary["thoughts"] else ""
        said.append(f"shape: {_counted(summary['shapes'])}; steps: {styles}{thoughts}")
    early = summary.get("early", {})
    if early.get("openings"):
        said.append(
            f"{early['openings']} solutions began with their answer, which is now said last"
        )
    if early.get("unmarked"):
        said.append(
            f"{early['unmarked']} solutions marked an answer before their last step, where an "
            "attempt would end: the mark is taken away, and the value stays"
        )
    sizes = (f"{name} {split['problems']}" for name, split in summary["splits"].items())
    said.append(f"problems: {', '.join(sizes)}")
    if few := [name for name in SPLITS[1:] if summary["splits"][name]["problems"] < FEW]:
        said.append(
            f"fewer than {FEW} problems in {' and '.join(few)}: what is measured on them is mostly "
            "chance (data.validation_problems and data.test_problems, with more rows)"
        )
    said += _warnings(summary, kept, recipe)
    told = sum(bool(t.tools) for t in kept)
    template = of_tokenizer(tokenizer) if tokenizer and tokenizer.chat_template else None
    if told and template and not template.takes_tools(recipe.prompt.form.told()):
        said.append(
            f"{told} trajectories have tools, for which the model's chat template has no place; "
            "they stand as JSON in the system's text"
        )
    if poor := quality.in_words(summary.get("quality", {}), recipe.data.quality):
        said.append(poor)
    if (alike := summary.get("near_duplicates", {})).get("problems"):
        two = alike["on_two_sides"]
        where = (
            f"{two} of them have one on another side of the split, since there are too many"
            if two
            else "those that are alike are on the same side of the split"
        )
        said.append(f"{alike['problems']} problems differ from another in numbers alone; {where}")
    if unused := summary.get("unused"):
        said.append(f"not used: {', '.join(unused)} (data.validation and data.test take them)")
    return said


def _longer(kept: Sequence[Trajectory], recipe: Recipe) -> tuple[int, int, int] | None:
    """How many solutions have more steps than an attempt may, the longest one's, and the limit."""
    most = min(stage.max_steps for stage in recipe.stages)
    longer = [len(t.steps) for t in kept if len(t.steps) > most]
    return (len(longer), max(longer), most) if longer else None


def _warnings(summary: dict[str, Any], kept: Sequence[Trajectory], recipe: Recipe) -> list[str]:
    """What of the data will not be taught as somebody may expect."""
    form, said = recipe.prompt.form, []
    if summary["acted"] and form.action == "text" and form.answer != DONE:
        said.append(
            f"{summary['acted']} trajectories are of actions; prompt.preset = 'agent' is for those"
            + (" with prompt.action = 'call'" if summary["called"] else "")
        )
    elif summary["called"] and form.action == "command":
        said.append(
            f"{summary['called']} trajectories have calls, which are no commands of a shell; "
            "prompt.action = 'call' reads them, and what is said to the user"
        )
    elif set(summary["answers"]) == {"none"}:
        said.append(
            "no problem has an answer: nothing can be solved, and rlvr cannot train; name its "
            "column (data.columns.answer), or say how solutions mark it (prompt.answer)"
        )
    elif form.pattern and not form.stated("1"):
        said.append(
            f"prompt.answer ({form.answer}) says how an answer is read and not how it is written, "
            "so none is added to the steps; write it as WORDS(.+), or mark it in the solutions"
        )
    if not recipe.whole and (longer := _longer(kept, recipe)):
        count, longest, most = longer
        said.append(
            f"{count} of {len(kept)} solutions have more than stages.max_steps = {most} steps (the "
            f"longest: {longest}), so nobody who takes such steps can finish them; raise it, or "
            "set data.max_steps"
        )
    if summary["unread"]:
        kind = "commands of a shell" if form.action == "command" else "calls"
        mend = "; prompt.action = 'call' reads words too" if form.action == "command" else ""
        said.append(
            f"{summary['unread']} steps cannot be read as {kind}, and are scored as text{mend}"
        )
    if summary["thoughts"] and not form.think:
        said.append("the thoughts are not taught, since replies have none (prompt.think)")
    return said


def _counted(counts: dict[str, int], form: str = "{count} {what}") -> str:
    items = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(form.format(count=count, what=what) for what, count in items)


def show(recipe: Recipe, run: Path, count: int) -> str:
    """The first prompts of a run as the model reads them, with their tokens counted; and what was
    dropped, with examples.
    """
    from srl_edge.models.tokenizer import load_tokenizer
    from srl_edge.run_folder import base_of

    tokenizer = load_tokenizer(base_of(recipe))
    split, form = trajectories.load(run / "data" / "train.jsonl")[:count], recipe.prompt.form
    groups = whole_prompts(split, form) if recipe.whole else step_prompts(split, "all", form=form)
    shown = []
    for number, prompt in enumerate([p for group in groups for p in group][:count], start=1):
        ids = prompt_ids(tokenizer, prompt)
        reply = expert_ids(tokenizer, prompt)
        shown.append(
            f"--- prompt {number}: {len(ids)} tokens\n{tokenizer.decode(ids)}\n"
            f"--- the expert's reply: {len(reply)} tokens\n{tokenizer.decode(reply)}\n"
        )
    report = read_json(run / "data" / "report.json", "DataReport")
    for why, count in report["dropped"].items():
        examples = report.get("examples", {}).get(why, ())
        shown.append(f"--- {count} dropped: {why}\n" + "".join(f"{text}\n" for text in examples))
    return "\n".join(shown)


def _from_source(recipe: Recipe, report: ParseReport) -> tuple[Splits, dict[str, Any]]:
    data, seed, form = recipe.data, recipe.seed, recipe.prompt.form
    source = open_source(data.source)
    asked = {"validation": data.validation, "test": data.test}
    parts = {key: part_of(source, name, key) for key, name in asked.items() if name}
    main = source.chosen(("train",), [table for part in parts.values() for table in part])
    columns = columns_for(main, data.columns.named)
    choice = choice_for(main, data, columns)

    def read(tables: Sequence[Table], its_columns: Columns | None) -> list[Trajectory]:
        rows = read_tables(tables, data, report, form, its_columns, choice)
        return splits.unique(rows, report)

    numbers = {"validation": data.validation_problems, "test": data.test_problems}
    found: Splits = {}
    for name in ("test", "validation"):
        if part := parts.get(name):
            rows = read(part, columns_for(part, data.columns.named, ""))
            rows = splits.apart(rows, [t for split in found.values() for t in split], report)
            Random(seed).shuffle(rows)
            asked_for = numbers[name]
            number = splits.number_of(asked_for, len(rows), name) if asked_for else len(rows)
            splits.leave_out(rows[number:], f"more than data.{name}_problems", report)
            found[name] = rows[:number]
    rows = splits.apart(read(main, columns), [t for split in found.values() for t in split], report)
    left = {name: number for name, number in numbers.items() if name not in parts}
    found |= splits.divide(rows, left, seed)
    used = [table.where for part in (main, *parts.values()) for table in part]
    details = {
        "shapes": dict(report.shapes.most_common()),
        "style": {
            "asked": data.style,
            "used": dict(report.styles.most_common()),
            "would_keep": dict(choice.keeps),
            "of": choice.looked_at,
        },
        "early": {"openings": report.openings, "unmarked": report.unmarked},
        "near_duplicates": splits.near_duplicates(found),
        "revision": source.commit,
        "unused": [
            table.where
            for table in source.tables
            if not any(where.startswith(table.where) for where in used)
        ],
    }
    return found, details
