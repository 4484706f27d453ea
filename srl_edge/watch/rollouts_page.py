"""Rollouts as a page shows them: beside the expert's step, searched, sorted, a page at a time."""

from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from srl_edge.method.answers.texts import as_step
from srl_edge.method.prompt_form import PromptForm
from srl_edge.method.rewards import matching_blocks
from srl_edge.report.layout import marked
from srl_edge.report.text import signed
from srl_edge.watch.rollouts import FAULTLESS, FAULTY, Entry, Query, Row
from srl_edge.watch.run import Run
from srl_edge.watch.templates import render

ON_A_PAGE = 25


def page(run: Run, at: int, asked: Query, number: int) -> Markup:
    """A page of the rollouts that are asked for; at: which of the runs it is."""
    found = run.rollouts.find(asked)
    total, pages = len(run.rollouts.entries), max(-(-len(found) // ON_A_PAGE), 1)
    number = min(number, pages)
    part = found[(number - 1) * ON_A_PAGE : number * ON_A_PAGE]
    said = f"{len(found)} of {total} rollouts."
    if not total:
        said = "No rollouts yet; the first come with the first step of an srl or rlvr stage."
    elif not found:
        said = f"None of {total} rollouts is like that."
    links = {
        "first": address(at, asked, 1),
        "prev": address(at, asked, number - 1),
        "next": address(at, asked, number + 1),
        "last": address(at, asked, pages),
    }
    return render(
        "rollouts.html",
        run=at,
        asked=asked,
        choices=_choices(run, asked),
        said=said,
        count=total,
        rows=[beside(e, r, run.form) for e, r in run.rollouts.rows(part)],
        page=number,
        pages=pages,
        links=links,
        here=address(at, asked, 1),
        warnings=run.rollouts.skipped[:1],
    )


def address(at: int, asked: Query, page: int) -> str:
    """Where a page of rollouts is."""
    values = {
        "run": at,
        "q": asked.text,
        "stage": asked.stage,
        "step": asked.step,
        "fault": asked.fault,
        "pick": asked.pick,
        "sort": asked.sort,
        "page": page,
    }
    plain = {"pick": "all", "sort": "newest", "page": 1}
    kept = {k: v for k, v in values.items() if v not in (None, "") and plain.get(k) != v}
    return f"/rollouts?{urlencode(kept)}"


def _choices(run: Run, asked: Query) -> list[tuple[str, str, list[tuple[str, str, bool]]]]:
    """Lists to choose from: a parameter, its title, and its values in words, chosen or not."""
    sorts = {
        "newest": "newest first",
        "oldest": "oldest first",
        "best": "highest reward first",
        "worst": "lowest reward first",
        "longest": "longest reply first",
        "shortest": "shortest reply first",
    }
    picks = {"all": "all", "best": "the best", "worst": "the worst"}
    faults = {"": "any or none", FAULTLESS: "no fault", FAULTY: "some fault"}
    faults |= {fault: f"{fault} ({count})" for fault, count in run.rollouts.faults().items()}
    stages = {"": "all"} | {
        str(index): f"{index + 1}: {kind}" for index, (kind, _) in run.rollouts.steps().items()
    }
    stage = "" if asked.stage is None else str(asked.stage)
    lists = [
        ("sort", "Order", sorts, asked.sort),
        ("pick", "Of each group", picks, asked.pick),
        ("fault", "Fault", faults, asked.fault),
        ("stage", "Stage", stages, stage),
    ]
    shown = lists if len(stages) > 2 else lists[:-1]
    return [
        (name, title, [(value, said, value == chosen) for value, said in options.items()])
        for name, title, options, chosen in shown
    ]


def beside(entry: Entry, row: Row, form: PromptForm) -> dict[str, Any]:
    """What of a rollout is shown, with what its step and the expert's have in common marked."""
    expert = as_step(row["expert_action"])
    reply = form.read(row["completion"], row["finished"])
    # A broken format is shown as it was written: that is where the fault can be seen.
    action = row["completion"] if reply.fault else reply.action
    blocks = [] if reply.fault or not expert else matching_blocks(action, expert)
    came = row.get("observations") or []
    came = [*came, *[""] * (len(row["previous_steps"]) - len(came))]
    return {
        "id": f"r{entry.number}",
        "reward": signed(entry.reward) if entry.reward < 0 else f"+{entry.reward:.2f}",
        "grade": "high" if entry.reward >= 0.9 else "low" if entry.reward < 0.3 else "",
        "where": f"{entry.kind} step {entry.step}: {row['trajectory_id']}, step "
        f"{row['step_index'] + 1}, rollout {entry.rollout + 1}",
        "problem": row["problem"],
        "steps": list(zip(row["previous_steps"], came, strict=False)),
        "thought": "" if reply.fault else reply.thought,
        "what": "the whole reply; it is not compared" if reply.fault else "its step",
        "expert": marked(expert, [(b, n) for _, b, n in blocks]) if expert else "",
        "action": marked(action, [(a, n) for a, _, n in blocks]),
        "fault": entry.fault,
        "parts": [(name, signed(value)) for name, value in row["parts"].items()],
    }
