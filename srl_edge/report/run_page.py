"""The report of a run as one HTML page that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from srl_edge import __version__
from srl_edge.recipe import dumps
from srl_edge.report import bench_part, definitions, plots, tables
from srl_edge.report.facts import Example, RunFacts
from srl_edge.report.layout import Part, document, marked, prose, render
from srl_edge.report.rows import AFTER, BASE, HELD_OUT, IN_OWN_WAY, OWN_WAY, TUNED
from srl_edge.report.sentences import headline, summary, training_words, verdicts
from srl_edge.report.text import signed
from srl_edge.report.training_rows import STAGES, MetricsRow, Training

PARTS = {
    "training": "Training",
    "bench": "Accuracy, size and speed",
    "parity": "Parity with the trained model",
    "examples": "What the reward sees",
    "data": "Data",
    "method": "How it was measured",
}


def page(facts: RunFacts, commands: Mapping[str, str]) -> str:
    """The whole report as one document; every text of a model or a data set is escaped.

    commands: how to repeat what, by what it is.
    """
    parts = []
    for key, title in PARTS.items():
        note = facts.missing.get(key)
        body = Markup('<p class="quiet">{}</p>').format(prose(note)) if note else _part(key, facts)
        if key == "method":
            terms = definitions.of_run(facts.recipe, facts.bench, bool(facts.parity))
            listed = {"The recipe, with every setting": dumps(facts.recipe)}
            body = render("method.html", definitions=terms, commands=commands, listed=listed)
        parts.append(Part(key, title, body))
    kind = f"srl-edge {__version__}: report of a run"
    return document(
        kind,
        facts.recipe.model.name,
        summary(facts),
        headline(facts),
        parts,
        _lead(facts),
        facts.warnings,
    )


def _lead(facts: RunFacts) -> Markup:
    """What was solved before training, after each stage, and on the device."""
    bench, last = facts.bench, facts.recipe.stages[-1].kind
    if not bench:
        return Markup()
    rows = {row.name: row.tasks for row in bench.rows}
    # The base in its best way, beside which the gain is told.
    asked = OWN_WAY if bench.gain["best"].base_asked == IN_OWN_WAY else HELD_OUT
    shown = []
    for name, tasks in rows.items():
        found = tasks[asked if name == BASE else HELD_OUT]
        kind = name.removeprefix(AFTER).partition(" ")[0]
        said = {BASE: "before training", TUNED: f"after {STAGES[last]}"}.get(name, name)
        said = f"after {STAGES.get(kind, kind)}" if name.startswith(AFTER) else said
        colour = 0 if name == BASE else 2 if name == TUNED else 1 if name.startswith(AFTER) else 3
        shown.append(plots.Model(said, colour, 0, 0, found.accuracy, found.accuracy_interval))
    count = rows[TUNED][HELD_OUT].problems
    said = (
        f"Share of {count} held-out problems solved, with 95% intervals. The 4-bit and 8-bit "
        "artifacts are what a device runs."
    )
    return plots.figure(said, plots.bars, shown, wide=980)


def _part(key: str, facts: RunFacts) -> Markup:
    match key:
        case "training" if facts.training:
            return _training(facts.training)
        case "bench" if facts.bench:
            found, folder = facts.bench, facts.bench_folder
            speed = bench_part.speed(found, found.tasks[0], verdicts(found))
            return speed + Markup("").join(
                bench_part.task(folder, found, name, f"Task {name}") for name in found.tasks
            )
        case "parity":
            return render("tables.html", tables=[tables.parity(facts.parity)])
        case "examples":
            return render("examples.html", examples=[_example(e) for e in facts.examples])
        case "data" if facts.data:
            return render("tables.html", tables=tables.data(facts.data))
    return Markup()


def _training(t: Training) -> Markup:
    srl, loss = t.steps["srl"], loss_curve(t)
    said = (
        "Faint points: mean reward of the rollouts sampled in a step. Line: Gaussian-weighted "
        "mean over neighbouring steps. Open circles: greedy replies to held-out prompts."
    )
    wide, narrow = [], []
    for label, curves in reward_curves(t).items():
        wide.append(plots.figure(said, plots.curves, curves, label, "reward", wide=980))
    if srl:
        terms = {"format": 3, "similarity": 1}
        lines = [plots.Series(k, _points(srl, f"rewards/{k}/mean"), c) for k, c in terms.items()]
        said = "Share of replies in the right format, and the mean similarity of those."
        narrow.append(plots.figure(said, plots.curves, lines, "SRL step", "mean", y_range=(0, 1)))
    if loss:
        said = "Loss of the supervised warm-up on the expert's steps, in nats a token."
        top = max(y for _, y in loss[0].points)
        narrow.append(
            plots.figure(said, plots.curves, loss, "warm-up step", "loss", y_range=(0, top))
        )
    return render("training.html", words=training_words(t), wide=wide, narrow=narrow)


def reward_curves(t: Training) -> dict[str, list[plots.Series]]:
    """Rewards over the steps of each kind that has any, by what its steps are called."""
    found = {}
    for kind, name, key in (("srl", "SRL", "eval_reward"), ("rlvr", "RLVR", "eval_accuracy")):
        held_out = [row for row in t.held_out if row.kind == kind and key in row.figures]
        steps = t.steps[kind]
        curves = [plots.Series("training", _points(steps, "reward"), 1)] if steps else []
        if curves and held_out:
            curves.append(plots.Series("held-out", _points(held_out, key), 2, True))
        if curves:
            found[f"{name} step"] = curves
    return found


def loss_curve(t: Training) -> list[plots.Series]:
    """The loss over the steps of supervised training; empty where there were none."""
    points = _points(t.steps["sft"], "loss")
    return [plots.Series("loss", points, 1)] if points else []


def _example(e: Example) -> dict[str, Any]:
    rollout, fault = e.rollout, e.rollout["fault"]
    terms = ", ".join(f"{name} {signed(value)}" for name, value in rollout["parts"].items())
    return {
        "title": e.title,
        "problem": rollout["problem"],
        "previous_steps": rollout["previous_steps"],
        "thought": e.thought,
        "reward": f"Reward {signed(rollout['reward'])} ({terms}){f': {fault}' if fault else ''}",
        "what": "the whole reply; it is not compared" if fault else "the step",
        "expert": marked(e.expert_action, [(b, n) for _, b, n in e.blocks]),
        "action": marked(e.action, [(a, n) for a, _, n in e.blocks]),
    }


def _points(rows: Sequence[MetricsRow], key: str) -> list[tuple[float, float]]:
    return [(row.at, row.figures[key]) for row in rows if key in row.figures]
