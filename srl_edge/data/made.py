"""Trajectories that are made up, each of its kind into splits that share nothing to be copied."""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

from srl_edge.data import final_step, gsm_symbolic, home, splits, stories
from srl_edge.data.agents import home_requests, shell_tasks
from srl_edge.data.agents.sandbox import confinement, kept
from srl_edge.data.reading import keep_fitting
from srl_edge.data.style import choose
from srl_edge.data.trajectories import ParseReport
from srl_edge.errors import InputError
from srl_edge.method.prompt_form import DONE
from srl_edge.method.types import Trajectory
from srl_edge.recipe import Data, Recipe
from srl_edge.terminal import progress

Splits = dict[str, list[Trajectory]]
Made = tuple[Splits, dict[str, Any]]


def made(recipe: Recipe, report: ParseReport) -> Made:
    """The splits of a source of `sources.GENERATED`, and what the report says of them."""
    match recipe.data.source:
        case "gsm_symbolic":
            return _gsm_symbolic(recipe, report)
        case "stories":
            return _stories(recipe, report)
        case "home":
            return _home(recipe, report)
    return _agents(recipe, report)


def _gsm_symbolic(recipe: Recipe, report: ParseReport) -> Made:
    data, seed, form = recipe.data, recipe.seed, recipe.prompt.form
    templates = gsm_symbolic.rows_by_template(data.rows_per_template, seed)
    sound = gsm_symbolic.sound_templates(templates)
    for row in (row for t, rows in templates.items() if t not in sound for row in rows):
        report.read += 1
        report.drop("its template has wrong arithmetic", row["id"], row["solution"])
    styles = choose(data.style, ()).styles
    by_template = {t: keep_fitting(rows, data, report, form, styles) for t, rows in sound.items()}
    # A template that is mostly too long or too hard would leave a split with a handful of rows.
    kept = {t: rows for t, rows in by_template.items() if 2 * len(rows) >= len(sound[t])}
    for t in by_template.keys() - kept.keys():
        splits.leave_out(by_template[t], "few of its template's problems fit", report)
    split = gsm_symbolic.split_templates(kept, data.validation_templates, data.test_templates, seed)
    parsed = {name: [t for m in members for t in kept[m]] for name, members in split.items()}
    for rows in parsed.values():
        Random(seed).shuffle(rows)
    return parsed, {"templates": split}


def _stories(recipe: Recipe, report: ParseReport) -> Made:
    data, made = recipe.data, recipe.data.stories
    found = {
        name: stories.problems(
            stories.SPLITS[name], count, made.events, made.largest, f"{name}/{recipe.seed}"
        )
        for name, count in _counts(data, made.problems).items()
    }
    for name, rows in found.items():
        # What is made here states its answer in a step of its own, as GSM8K's are marked.
        form, own = recipe.prompt.form, data.answer_step
        found[name] = [
            replace(t, steps=final_step.with_answer(t.steps[:-1], t.answer, form, own))
            for t in rows
        ]
    report.read = report.kept = sum(map(len, found.values()))
    settings = {name: [each.thing for each in its] for name, its in stories.SPLITS.items()}
    return found, {"settings": settings}


def _require_done(recipe: Recipe, preset: str) -> None:
    if recipe.prompt.form.answer != DONE:
        raise InputError(
            f"data.source = {recipe.data.source!r}: a request ends with a step that says done; set "
            f"prompt.preset = {preset!r}."
        )


def _agents(recipe: Recipe, report: ParseReport) -> Made:
    _require_done(recipe, "agent")
    problems, details = home_requests.problems, dict[str, Any]()
    if recipe.data.source == "agent-shell":
        problems, details = shell_tasks.problems, {"confinement": confinement()}
        progress.say(f"data: {kept()}")
    counts = _counts(recipe.data, recipe.data.agents.problems)
    with progress.bar("data", sum(counts.values())) as advance:
        found = {
            name: problems(name, count, recipe.seed, advance) for name, count in counts.items()
        }
    report.read = report.kept = sum(map(len, found.values()))
    families = {
        name: dict(Counter(t.id.partition("/")[0] for t in split)) for name, split in found.items()
    }
    return found, details | {"families": families}


def _home(recipe: Recipe, report: ParseReport) -> Made:
    made = recipe.data.home
    _require_done(recipe, "commands")
    found = {
        name: home.problems(home.SPLITS[name], count, made.things, f"{name}/{recipe.seed}")
        for name, count in _counts(recipe.data, made.problems).items()
    }
    report.read = report.kept = sum(map(len, found.values()))
    return found, {"rooms": {name: list(its.rooms) for name, its in home.SPLITS.items()}}


def _counts(data: Data, train: int) -> dict[str, int]:
    """How many problems to make for each split."""
    validation = data.validation_problems or splits.HELD_OUT["validation"]
    test = data.test_problems or splits.HELD_OUT["test"]
    return {"train": train, "validation": int(validation), "test": int(test)}
