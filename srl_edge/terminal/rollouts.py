"""What the model wrote at a training step, beside what the expert wrote."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from srl_edge import recipe
from srl_edge.errors import InputError
from srl_edge.files import read_rows
from srl_edge.method.answers.texts import as_step
from srl_edge.method.prompt_form import DEFAULT, PromptForm
from srl_edge.method.rewards import matching_blocks
from srl_edge.terminal.signs import printable

SIDE_BY_SIDE = 100  # columns from which two texts have room beside each other
STEPS_SHOWN = 3
Row = dict[str, Any]
Pick = Literal["best", "worst"]


def show(run: Path, step: int | None = None, pick: Pick | None = None, limit: int = 5) -> None:
    """Print rollouts of one step of a run, by default the newest, on the terminal.

    pick: the best or the worst of each group, the most extreme groups first; None: both of each
    group, in order. limit: most groups. Raises InputError where there is nothing to show.
    """
    rows = picked(run, step, pick, limit)
    form = recipe.load(run).prompt.form if (run / "recipe.toml").is_file() else DEFAULT
    console = Console(highlight=False)
    with console:  # a notebook shows it as one output
        if pick is None:
            said = "The best and the worst reply of each group"
            said += "; what matches is green, the rest red." if console.color_system else "."
            console.print(said, style="dim")
        for row in rows:
            _print(console, row, form)


def picked(run: Path, step: int | None, pick: Pick | None, limit: int) -> list[Row]:
    """The rows that `show` prints."""
    return choose(read_step(run / "train" / "rollouts.jsonl", step), pick, limit)


def read_step(path: Path, step: int | None = None) -> list[Row]:
    """The rows of one step, by default the newest; of the newest stage that has such a step.

    Raises InputError where the file is missing, cannot be read, or has no such step.
    """
    rows: list[Row] = []
    newest = None
    for row in _rows(path):
        newest = row["step"]
        if step is not None and row["step"] != step:
            continue
        if rows and (rows[0]["stage"], rows[0]["step"]) != (row["stage"], row["step"]):
            rows = []
        rows.append(row)
    if newest is None:
        raise InputError(f"{path}: it is empty; its first lines come with the first sampled step.")
    if not rows:
        raise InputError(f"{path}: no step {step}; the newest is step {newest}.")
    return rows


def choose(rows: Iterable[Row], pick: Pick | None, limit: int) -> list[Row]:
    """The best, the worst, or (pick None) both rollouts of at most `limit` groups of a step.

    Of a solution found step by step, the row of its last reply stands for all.
    """
    groups: list[dict[int, Row]] = []
    last: Row | None = None
    for row in rows:
        # Rollouts are numbered within a group, and one prompt may be sampled as two groups.
        if (
            last is None
            or row["trajectory_id"] != last["trajectory_id"]
            or row["rollout"] < last["rollout"]
        ):
            groups.append({})
        groups[-1][row["rollout"]] = last = row
    ranked = [sorted(group.values(), key=_reward) for group in groups]
    match pick:
        case "best":
            return sorted((g[-1] for g in ranked), key=_reward, reverse=True)[:limit]
        case "worst":
            return sorted((g[0] for g in ranked), key=_reward)[:limit]
    # Where all rewards are equal, one rollout says it all.
    both = ([g[-1], g[0]] if _reward(g[-1]) > _reward(g[0]) else [g[-1]] for g in ranked[:limit])
    return [row for pair in both for row in pair]


def marked(text: str, spans: Iterable[tuple[int, int]], rest: str = "") -> Text:
    """A text whose spans (start, length) are bold green and whose other characters are `rest`."""
    out = Text()
    at = 0
    for start, length in spans:
        out.append(text[at:start], rest)
        out.append(text[start : start + length], "bold green")
        at = start + length
    return out.append(text[at:], rest)


def _rows(path: Path) -> Iterator[Row]:
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; run `srl-edge train` on a recipe with an srl or rlvr stage, "
            "and give its run folder here."
        )
    for row in read_rows(path, "RolloutRow"):
        yield {key: _shown(value) for key, value in row.items()}


def _shown(value: Any) -> Any:
    """A text without what a terminal would take for a command."""
    if isinstance(value, list):
        return [_shown(inner) for inner in value]
    return printable(value) if isinstance(value, str) else value


def _reward(row: Row) -> float:
    return float(row["reward"])


def _print(console: Console, row: Row, form: PromptForm) -> None:
    parts = ", ".join(f"{name} {value:.3f}" for name, value in row["parts"].items())
    heading = Text.assemble(
        (f"{row['kind']} step {row['step']}", "bold"),
        f"  {row['trajectory_id']}, step {row['step_index'] + 1}  ",
        (f"reward {row['reward']:+.3f}", "bold"),
        f" ({parts})",
    )
    console.print(heading, soft_wrap=True)
    reply = form.read(row["completion"], row["finished"])
    facts = Table.grid(Column(style="dim", no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    facts.add_row("problem", Text(shorten(row["problem"], 240, placeholder=" …")))
    came = row.get("observations") or [""] * len(row["previous_steps"])
    so_far = [
        f"{step} → {observed}" if observed else step
        for step, observed in zip(row["previous_steps"], came, strict=True)
    ]
    facts.add_row("so far", Text(_so_far(so_far)))
    if reply.thought:
        facts.add_row("thought", Text(reply.thought, "dim"))
    # A broken format is shown as it was written: that is where the fault can be seen.
    action = row["completion"] if reply.fault else reply.action
    expert = as_step(row["expert_action"])
    blocks = [] if reply.fault else matching_blocks(action, expert)
    texts = {"model": marked(action, [(a, n) for a, _, n in blocks], "red" if expert else "")}
    if expert:
        texts = {"expert": marked(expert, [(b, n) for _, b, n in blocks])} | texts
    wide = bool(expert) and console.width >= SIDE_BY_SIDE
    if not wide:
        for name, text in texts.items():
            facts.add_row(name, text)
    console.print(facts)
    if wide:
        beside = Table(*(Column(name, ratio=1, overflow="fold") for name in texts), expand=True)
        beside.add_row(*texts.values())
        console.print(beside)
    if row["fault"]:
        console.print(Text(f"fault: {row['fault']}", "yellow"))
    console.print()


def _so_far(steps: Sequence[str]) -> str:
    if not steps:
        return "nothing"
    lines = [f"{i}. {shorten(step, 120, placeholder=' …')}" for i, step in enumerate(steps, 1)]
    earlier = ["…"] if len(lines) > STEPS_SHOWN else []
    return "\n".join(earlier + lines[-STEPS_SHOWN:])
