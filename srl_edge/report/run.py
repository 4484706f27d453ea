"""The report of a run: as data, as Markdown, and as one page."""

import json
import shlex
from pathlib import Path
from typing import Any

from srl_edge import __version__, owned
from srl_edge.recipe import Recipe, dumps
from srl_edge.report import definitions, parity_rows, rows, tables, training_rows
from srl_edge.report.facts import Example, RunFacts, gather
from srl_edge.report.markdown import as_markdown, fenced, plain, verbatim
from srl_edge.report.run_page import PARTS, page
from srl_edge.report.sentences import headline, summary, training_words, verdicts
from srl_edge.terminal.signs import printable


def report(recipe: Recipe, run: Path, out: Path | None = None) -> Path:
    """Write `report.json`, `report.md` and `report.html`, one offline page; return the page.

    out: a claimed folder that they go to, in place of the run's own; nothing is written into that.
    Parts that have not run yet are left out, and the report says so; raises InputError where
    there are none at all.
    """
    facts = gather(recipe, run)
    dumped = json.dumps(as_json(facts), indent=1, ensure_ascii=False) + "\n"
    texts = {
        "json": dumped,
        "md": printable(markdown(facts)),
        "html": page(facts, commands(recipe)),
    }
    for kind, text in texts.items():
        owned.write((out or run) / f"report.{kind}", text)
    return (out or run) / "report.html"


def as_json(facts: RunFacts) -> dict[str, Any]:
    """The facts and what they allow one to say, as plain JSON values."""
    return {
        "version": __version__,
        "summary": summary(facts),
        "headline": headline(facts),
        "verdicts": verdicts(facts.bench),
        "data": facts.data,
        "training": training_rows.as_json(facts.training) if facts.training else None,
        "examples": [example.as_json() for example in facts.examples],
        "artifacts": [artifact.as_json() for artifact in facts.artifacts],
        "parity": [parity_rows.as_json(row) for row in facts.parity],
        "bench": rows.as_json(facts.bench) if facts.bench else None,
        "missing": facts.missing,
        "outdated": facts.warnings,
        "recipe": facts.recipe.model_dump(mode="json"),
        "recipe_toml": dumps(facts.recipe),
        "commands": commands(facts.recipe),
    }


def commands(recipe: Recipe) -> dict[str, str]:
    """How to repeat the run, its measurements and its report."""
    folder = shlex.quote(recipe.output)
    return {
        "everything": f"srl-edge run {folder}/recipe.toml --output {folder}-again",
        "the measurements": f"srl-edge bench {folder}",
        "this report": f"srl-edge report {folder}",
    }


def markdown(facts: RunFacts) -> str:
    """The report as Markdown, with a table of speeds in the manner of llama-bench."""
    model, bench = facts.recipe.model.name, facts.bench
    title = f"# {plain(model)}: report of a run"
    parts = [title, *map(plain, facts.warnings), plain(summary(facts))]
    numbers = [map(plain, pair) for pair in headline(facts)]
    parts.append("\n".join(f"- **{value}** {label}" for value, label in numbers))
    for key, title in PARTS.items():
        parts.append(f"## {title}")
        if note := facts.missing.get(key):
            parts.append(plain(note))
            continue
        match key:
            case "training" if facts.training:
                parts += map(plain, training_words(facts.training))
            case "bench" if bench:
                parts += [
                    *map(plain, verdicts(bench)),
                    as_markdown(tables.llama_bench(bench, model)),
                ]
                parts.append(as_markdown(tables.speeds(bench)))
                for task in bench.tasks:
                    parts += [f"### {plain(task)}", as_markdown(tables.answers(bench, task))]
            case "parity":
                parts.append(as_markdown(tables.parity(facts.parity)))
            case "examples":
                parts += map(_example, facts.examples)
            case "data" if facts.data:
                parts += map(as_markdown, tables.data(facts.data))
    terms = definitions.of_run(facts.recipe, bench, bool(facts.parity))
    parts += [f"- **{plain(term)}**: {plain(said)}" for term, said in terms.items()]
    for what, command in commands(facts.recipe).items():
        parts += [f"To repeat {what}:", fenced(f"{command}\n", "sh")]
    return "\n\n".join([*parts, fenced(dumps(facts.recipe), "toml")]) + "\n"


def _example(example: Example) -> str:
    rollout = example.rollout
    texts = {
        "Problem": rollout["problem"],
        "Expert's step": example.expert_action,
        "The model": rollout["completion"],
    }
    shown = [f"{title}:\n\n{verbatim(text)}" for title, text in texts.items()]
    return "\n\n".join([f"### {plain(example.title)}: reward {rollout['reward']:.2f}", *shown])
