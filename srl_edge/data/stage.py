"""The data stage: expert trajectories in, three splits and a report of what was dropped out."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from srl_edge import owned
from srl_edge.data import gsm_symbolic, trajectories
from srl_edge.data.trajectories import ParseReport
from srl_edge.errors import InputError
from srl_edge.files import scratch_folder
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.prompts import numbers, prompt_ids, step_prompts, warm_up_reply, whole_prompts
from srl_edge.method.types import Trajectory
from srl_edge.method.verifiers import kind_of
from srl_edge.models.tokenizer import tokenizer_if_there
from srl_edge.recipe import Data, Recipe
from srl_edge.terminal import progress

SPLITS = ("train", "validation", "test")


def prepare(recipe: Recipe, run: Path) -> Path:
    """Write `run/data/{train,validation,test}.jsonl` and `report.json`; return `run/data`.

    Splits share no problem; gsm_symbolic's share no template.
    """
    folder, report = run / "data", ParseReport()
    owned.require_own(folder)
    if recipe.data.source == "gsm_symbolic":
        splits, details = _from_gsm_symbolic(recipe, report)
    else:
        splits, details = _from_jsonl(recipe, report)
    for name in SPLITS:
        if not splits[name]:
            held = f"{recipe.data.validation_problems} and {recipe.data.test_problems}"
            raise InputError(
                f"{recipe.data.source}: the {name} split is empty ({report.kept} of {report.read} "
                f"rows were kept; dropped: {dict(report.dropped)}); give more rows, or lower "
                f"data.validation_problems and data.test_problems ({held})."
                if report.kept
                else f"{recipe.data.source}: none of {report.read} rows can be used; dropped: "
                f"{dict(report.dropped)}."
            )
    kept = [t for split in splits.values() for t in split]
    kinds = Counter("none" if t.answer is None else kind_of(t.answer) for t in kept)
    summary = report.as_dict() | details | {"source": recipe.data.source}
    summary["answers"] = dict(kinds.most_common())
    summary["splits"] = {
        name: {"problems": len(splits[name]), "steps": sum(len(t.steps) for t in splits[name])}
        for name in SPLITS
    }
    with scratch_folder(run, "data") as scratch:
        for name in SPLITS:
            trajectories.write_jsonl(scratch / f"{name}.jsonl", splits[name])
        (scratch / "report.json").write_text(json.dumps(summary, indent=1) + "\n")
        progress.say(f"data: {_in_words(report, kinds, kept, recipe.model.name)}")
        return owned.publish(scratch, folder)


def _in_words(
    report: ParseReport, kinds: Counter[str], kept: Sequence[Trajectory], model: str
) -> str:
    """What was read, kept and dropped, how answers are compared, and the longest step."""
    dropped = ", ".join(f"{count} for {why}" for why, count in report.dropped.most_common())
    answers = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    longest = max((step for t in kept for step in t.steps), key=len)
    tokenizer = tokenizer_if_there(model)
    tokens = len(tokenizer.encode(longest, add_special_tokens=False)) if tokenizer else None
    size = f"{len(longest)} characters" if tokens is None else f"{tokens} tokens"
    return (
        f"{report.read} rows read, {report.kept} kept, {report.dropped.total()} dropped"
        f"{f' ({dropped})' if dropped else ''}; answers: {answers}; the longest step has {size}"
    )


def show(recipe: Recipe, run: Path, count: int) -> str:
    """The first prompts of a run as the model reads them, with their tokens counted."""
    from srl_edge.models.catalog import resolve
    from srl_edge.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(resolve(recipe.model.name))
    split, form = trajectories.load(run / "data" / "train.jsonl")[:count], recipe.prompt.form
    groups = whole_prompts(split, form) if recipe.whole else step_prompts(split, "all", form=form)
    shown = []
    for number, prompt in enumerate([p for group in groups for p in group][:count], start=1):
        ids = prompt_ids(tokenizer, prompt)
        reply = tokenizer.encode(warm_up_reply(prompt), add_special_tokens=False)
        shown.append(
            f"--- prompt {number}: {len(ids)} tokens\n{tokenizer.decode(ids)}\n"
            f"--- the expert's reply: {len(reply)} tokens\n{warm_up_reply(prompt)}\n"
        )
    return "\n".join(shown)


def _from_gsm_symbolic(
    recipe: Recipe, report: ParseReport
) -> tuple[dict[str, list[Trajectory]], dict[str, Any]]:
    data, seed, form = recipe.data, recipe.seed, recipe.prompt.form
    templates = gsm_symbolic.rows_by_template(data.rows_per_template, seed)
    sound, dropped = gsm_symbolic.sound_templates(templates)
    report.read += sum(dropped.values())
    report.dropped.update(dropped)
    by_template = {t: keep_fitting(rows, data, report, form) for t, rows in sound.items()}
    # A template that is mostly too long or too hard would leave a split with a handful of rows.
    kept = {t: rows for t, rows in by_template.items() if 2 * len(rows) >= len(sound[t])}
    split = gsm_symbolic.split_templates(kept, data.validation_templates, data.test_templates, seed)
    parsed = {name: [t for m in members for t in kept[m]] for name, members in split.items()}
    for rows in parsed.values():
        Random(seed).shuffle(rows)
    return parsed, {"templates": split}


def _from_jsonl(
    recipe: Recipe, report: ParseReport
) -> tuple[dict[str, list[Trajectory]], dict[str, Any]]:
    data, seed = recipe.data, recipe.seed
    read = trajectories.read_jsonl(Path(data.source), report)
    rows = keep_fitting(read, data, report, recipe.prompt.form)
    unique = list({t.problem: t for t in rows}.values())
    if len(unique) < len(rows):
        report.dropped["the same problem twice"] += len(rows) - len(unique)
        report.kept = len(unique)
    Random(seed).shuffle(unique)
    held = data.test_problems + data.validation_problems
    return {
        "test": unique[: data.test_problems],
        "validation": unique[data.test_problems : held],
        "train": unique[held:],
    }, {}


def keep_fitting(
    rows: Iterable[dict[str, Any]], data: Data, report: ParseReport, form: PromptForm = DEFAULT
) -> list[Trajectory]:
    """Trajectories within the recipe's limits; what is left out is counted in the report."""
    kept = []
    limits = data.style, data.max_step_characters
    for trajectory in trajectories.parse_rows(rows, report, *limits, form, data.answer_step):
        text = " ".join((trajectory.problem, *trajectory.steps))
        if data.max_steps and len(trajectory.steps) > data.max_steps:
            reason = f"more than {data.max_steps} steps"
        elif data.max_number and any(float(n) > data.max_number for n in numbers(text)):
            reason = f"a number larger than {data.max_number}"
        else:
            kept.append(trajectory)
            continue
        report.dropped[reason] += 1
        report.kept -= 1
    return kept
